"""Random changes of a batch: where things lie (in millimetres) and how bright they are. Not in the thesis.

A network that learns from synthetic heads must not learn their exact grey values, so the intensity changes are strong.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from .config import AugmentationConfig
from .sampling import Batch, swap_sides

KNOTS = 9
BLUR_RADIUS = 3


def cut_size(config: AugmentationConfig, patch: tuple[int, int], spacing: tuple[float, float]) -> tuple[int, int]:
    """Size of the patch to cut so that a rotated, scaled and stretched patch still finds its pixels in it."""
    angle = math.radians(config.rotation)
    grow = 1 / ((1 - config.scale) * (1 - config.stretch))
    extent = [n * mm for n, mm in zip(patch, spacing)]
    needed = [extent[a] * math.cos(angle) + extent[1 - a] * math.sin(angle) for a in (0, 1)]
    return tuple(max(n, math.ceil(mm * grow / step)) for n, mm, step in zip(patch, needed, spacing))


def geometric(
    config: AugmentationConfig, rng: np.random.Generator, batch: Batch, patch: tuple[int, int],
    spacing: tuple[float, float], across: bool, mirror: list[int],
) -> Batch:
    """Rotates, scales, stretches and (where columns run from right to left, `across`) flips each patch about its
    centre, and crops it to `patch`. Images are interpolated linearly, labels taken from the nearest pixel; in a
    flipped patch each class takes the place of its `mirror` class."""
    m, _, height, width = batch.image.shape
    grids, flipped = zip(*(_grid(config, rng, (height, width), patch, spacing, across) for _ in range(m)))
    grid = torch.from_numpy(np.stack(grids))
    image = F.grid_sample(batch.image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Words of many classes are not exact in float32, so labels are copied by position.
    col, row = (((grid[..., axis] + 1) * n - 1).mul_(0.5).round_().long() for axis, n in ((0, width), (1, height)))
    within = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    place = (row.clamp_(0, height - 1) * width + col.clamp_(0, width - 1)).flatten(1)
    inside = batch.inside.flatten(1).gather(1, place).view(within.shape) & within
    bits = batch.bits.flatten(1).gather(1, place).view(within.shape) * inside
    known = batch.known
    if mirror != sorted(mirror) and any(flipped):
        bits, known = bits.clone(), known.clone()
        for n in np.flatnonzero(flipped):
            bits[n], known[n] = swap_sides(bits[n], known[n], mirror)
    return Batch(image, bits, inside, known)


def _grid(config, rng, size, patch, spacing, across) -> tuple[np.ndarray, bool]:
    """Where each pixel of the new patch lies in the cut one: (h, w, 2) as grid_sample reads it (x first, -1 to 1);
    and whether it is flipped."""
    angle = math.radians(rng.uniform(-config.rotation, config.rotation))
    scale = rng.uniform(1 - config.scale, 1 + config.scale)
    stretch = 1 + rng.uniform(-config.stretch, config.stretch, 2)
    flip = -1.0 if across and config.flip and rng.random() < 0.5 else 1.0
    rows = (np.arange(patch[0]) - patch[0] // 2) * spacing[0]
    cols = (np.arange(patch[1]) - patch[1] // 2) * spacing[1] * flip
    y, x = np.meshgrid(rows / (scale * stretch[0]), cols / (scale * stretch[1]), indexing="ij")
    y, x = math.cos(angle) * y + math.sin(angle) * x, math.cos(angle) * x - math.sin(angle) * y
    pixel = [size[0] // 2 + y / spacing[0], size[1] // 2 + x / spacing[1]]
    unit = [(2 * p + 1) / n - 1 for p, n in zip(pixel, size)]
    return np.stack([unit[1], unit[0]], axis=-1).astype(np.float32), flip < 0


def intensity(
    config: AugmentationConfig, rng: np.random.Generator, image: torch.Tensor, inside: torch.Tensor
) -> torch.Tensor:
    """Blur, contrast curve, gamma, bias field, gain and noise on images (M, 1, h, w) scaled so that the head's
    maximum is near 1. Beyond the volume they stay 0."""
    m = image.shape[0]
    each = lambda values: torch.from_numpy(np.asarray(values, np.float32)).view(m, 1, 1, 1)
    if config.blur:
        image = _blur(image, rng.uniform(0, config.blur, (m, 2)) * (rng.random((m, 1)) < 0.5))
    if config.remap:
        image = _remap(image, config.remap, rng)
    if config.gamma:
        image = image.clamp(min=1e-6).pow(each(np.exp(rng.uniform(-config.gamma, config.gamma, m))))
    if config.bias:
        coarse = torch.from_numpy(rng.uniform(-config.bias, config.bias, (m, 1, 4, 4)).astype(np.float32))
        image = image * F.interpolate(coarse, size=image.shape[2:], mode="bicubic", align_corners=False).exp()
    lowest, highest = config.gain
    image = image * each(np.exp(rng.uniform(math.log(lowest), math.log(highest), m)))
    if config.noise:
        # Magnitude images: the noise of both channels adds in square, so that air is not negative.
        deviation = each(rng.uniform(0, config.noise, m))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        real, imaginary = (torch.randn(image.shape, generator=generator) * deviation for _ in range(2))
        image = torch.hypot(image + real, imaginary)
    return image * inside.unsqueeze(1)


def _blur(image: torch.Tensor, deviation: np.ndarray) -> torch.Tensor:
    """Gaussian blur along rows and columns, each patch with its own two deviations in pixels (0 leaves it alone)."""
    m = image.shape[0]
    offset = np.arange(-BLUR_RADIUS, BLUR_RADIUS + 1)
    kernel = np.exp(-0.5 * (offset / np.maximum(deviation, 1e-3)[:, :, None]) ** 2)
    kernel = torch.from_numpy((kernel / kernel.sum(-1, keepdims=True)).astype(np.float32))
    flat = F.pad(image.view(1, m, *image.shape[2:]), [BLUR_RADIUS] * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, 0].view(m, 1, -1, 1), groups=m)
    flat = F.conv2d(flat, kernel[:, 1].view(m, 1, 1, -1), groups=m)
    return flat.view(image.shape)


def _remap(image: torch.Tensor, amount: float, rng: np.random.Generator) -> torch.Tensor:
    """Sends each patch's intensities through its own rising broken line from (0, 0) to (1, 1)."""
    m = image.shape[0]
    steps = 1 + rng.uniform(-amount, amount, (m, KNOTS - 1))
    table = np.concatenate([np.zeros((m, 1)), np.cumsum(steps, axis=1)], axis=1)
    table = torch.from_numpy((table / table[:, -1:]).astype(np.float32))
    place = image.flatten(1) * (KNOTS - 1)
    low = place.floor().clamp(0, KNOTS - 2)
    index = low.long()
    left, right = table.gather(1, index), table.gather(1, index + 1)
    return (left + (place - low) * (right - left)).view(image.shape)
