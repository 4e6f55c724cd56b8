"""Augmentation: the truth moves with the image, and every change is what its range says."""

import math

import numpy as np
import pytest
import torch

from contourd_training.augment import cut_size, geometric, intensity
from contourd_training.config import AugmentationConfig
from contourd_training.sampling import Batch

SPACING = (0.9, 0.7)
SAME = list(range(8))  # no class is declared per side


def batch(height=61, width=75, m=6):
    """Patches with one bright, labelled blob off the centre, and the last five columns beyond the volume."""
    rows, cols = np.mgrid[:height, :width]
    blob = (rows - 22) ** 2 / 30 + (cols - 50) ** 2 / 80 < 1
    bits = torch.from_numpy(np.where(blob, 129, 0).astype(np.uint8)).expand(m, -1, -1)
    inside = torch.from_numpy(cols < width - 5).expand(m, -1, -1)
    image = (bits > 0).float().unsqueeze(1) * 0.8 * inside.unsqueeze(1)
    return Batch(image, bits, inside, torch.ones(m, 8, dtype=torch.bool))


def test_nothing_changes_without_augmentation():
    config, given = AugmentationConfig(), batch()
    assert cut_size(config, (61, 75), SPACING) == (61, 75)
    moved = geometric(config, np.random.default_rng(0), given, (61, 75), SPACING, True, SAME)
    assert torch.allclose(moved.image, given.image, atol=1e-4)
    assert torch.equal(moved.bits, given.bits) and torch.equal(moved.inside, given.inside)
    same = intensity(config, np.random.default_rng(0), given.image, given.inside)
    assert torch.allclose(same, given.image)


def test_the_crop_keeps_the_centre():
    given = batch()
    moved = geometric(AugmentationConfig(), np.random.default_rng(0), given, (31, 41), SPACING, False, SAME)
    assert torch.equal(moved.bits, given.bits[:, 30 - 15:30 + 16, 37 - 20:37 + 21])


def test_labels_follow_the_image():
    config = AugmentationConfig(rotation=25, scale=0.2, stretch=0.1, flip=True)
    moved = geometric(config, np.random.default_rng(5), batch(), (61, 75), SPACING, True, SAME)
    assert set(moved.bits.unique().tolist()) == {0, 129}
    for image, bits in zip(moved.image[:, 0], moved.bits):
        bright, marked = image > 0.4, bits == 129
        assert float((bright == marked).float().mean()) > 0.995 and marked.sum() > 80
    assert len({int((b == 129).sum()) for b in moved.bits}) > 1


def centroid(mask, size):
    rows, cols = np.nonzero(mask.numpy())
    return (rows.mean() - size[0] // 2) * SPACING[0], (cols.mean() - size[1] // 2) * SPACING[1]


def test_rotation_is_in_millimetres_and_scale_about_the_centre():
    size = (61, 75)
    start = np.hypot(*centroid(batch().bits[0] > 0, size))
    config = AugmentationConfig(rotation=25)
    angles = []
    for bits in geometric(config, np.random.default_rng(2), batch(), size, SPACING, False, SAME).bits:
        y, x = centroid(bits > 0, size)
        assert np.hypot(y, x) == pytest.approx(start, abs=0.2)
        y0, x0 = centroid(batch().bits[0] > 0, size)
        angles.append(math.degrees(math.atan2(y, x) - math.atan2(y0, x0)))
    # The blob is a coarse thing of 150 pixels: its barycentre is good to a fraction of a pixel.
    assert max(map(abs, angles)) <= 25.5 and max(angles) > 2 and min(angles) < -2
    config = AugmentationConfig(scale=0.2)
    for bits in geometric(config, np.random.default_rng(2), batch(), size, SPACING, False, SAME).bits:
        share = np.hypot(*centroid(bits > 0, size)) / start
        area = float((bits > 0).sum() / (batch().bits[0] > 0).sum())
        assert 0.79 < share < 1.21 and math.sqrt(area) == pytest.approx(share, abs=0.05)


def test_only_columns_flip_and_only_where_they_run_along_x():
    config, given = AugmentationConfig(flip=True), batch()
    for across in (True, False):
        moved = geometric(config, np.random.default_rng(1), given, (61, 75), SPACING, across, SAME)
        sides = {round(centroid(b > 0, (61, 75))[1], 1) for b in moved.bits}
        y, x = centroid(given.bits[0] > 0, (61, 75))
        assert sides == ({round(x, 1), round(-x, 1)} if across else {round(x, 1)})
        assert {round(centroid(b > 0, (61, 75))[0], 1) for b in moved.bits} == {round(y, 1)}


def test_a_cut_patch_is_large_enough_for_every_turn():
    config = AugmentationConfig(rotation=20, scale=0.1, stretch=0.05)
    patch = (48, 64)
    size = cut_size(config, patch, SPACING)
    ones = torch.ones(40, *size, dtype=torch.uint8)
    full = Batch(ones.unsqueeze(1).float(), ones, ones.bool(), torch.ones(40, 8, dtype=torch.bool))
    moved = geometric(config, np.random.default_rng(3), full, patch, SPACING, True, SAME)
    assert moved.image.shape == (40, 1, 48, 64) and moved.inside.float().mean() > 0.999


@pytest.mark.parametrize("change", [dict(gain=[0.5, 0.6]), dict(gamma=0.4), dict(remap=0.7), dict(bias=0.4),
                                    dict(noise=0.1), dict(blur=1.5)])
def test_each_intensity_change_changes_and_stays_zero_beyond_the_volume(change):
    given = batch()
    out = intensity(AugmentationConfig(**change), np.random.default_rng(8), given.image, given.inside)
    assert not torch.allclose(out, given.image) and torch.isfinite(out).all() and (out >= 0).all()
    assert (out[~given.inside.unsqueeze(1)] == 0).all()
    again = intensity(AugmentationConfig(**change), np.random.default_rng(8), given.image, given.inside)
    assert torch.equal(out, again)


def test_gain_and_contrast_by_hand():
    ramp = torch.linspace(0, 1, 50).view(1, 1, 5, 10).expand(4, -1, -1, -1)
    inside = torch.ones(4, 5, 10, dtype=torch.bool)
    out = intensity(AugmentationConfig(gain=[0.5, 0.5]), np.random.default_rng(0), ramp, inside)
    assert torch.allclose(out, ramp * 0.5)
    out = intensity(AugmentationConfig(remap=0.9), np.random.default_rng(0), ramp, inside).flatten(1)
    assert (out.diff(dim=1) > 0).all() and torch.allclose(out[:, -1], torch.ones(4)) and (out[:, 0] == 0).all()
    flat = torch.full((4, 1, 9, 9), 0.5)
    everywhere = torch.ones(4, 9, 9, dtype=torch.bool)
    blurred = intensity(AugmentationConfig(blur=2.0), np.random.default_rng(0), flat, everywhere)
    assert torch.allclose(blurred, flat)
