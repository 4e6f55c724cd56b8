"""The operating point: against every threshold tried by hand, and on a network's whole slices."""

import numpy as np
import pytest
import torch

from contourd_training.calibrate import BINS, REACH, best_threshold, calibrate, count_margins, spread
from contourd_training.config import NetworkConfig
from contourd_training.evaluate import predict_plane
from contourd_training.store import PLANES
from contourd_training.unet import UNet


def test_the_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(6)
    margins = {1: rng.normal(2, 1.5, 300), 0: rng.normal(-1, 1.5, 30000)}
    counts = {k: np.histogram(v, BINS, (-REACH, REACH))[0] for k, v in margins.items()}
    threshold, dice = best_threshold(counts[1], counts[0])

    def by_hand(t):
        found, wrong = (margins[1] >= t).sum(), (margins[0] >= t).sum()
        return 2 * found / (found + wrong + 300)

    assert dice == pytest.approx(by_hand(threshold), abs=1e-9)
    assert dice == pytest.approx(max(by_hand(t) for t in np.arange(-20, 20, 0.05)), abs=1e-9)
    assert threshold > 2 and dice > by_hand(0) + 0.2


def test_between_two_classes_apart_the_middle_is_taken_and_nothing_without_positives():
    positive, negative = np.zeros(BINS, int), np.zeros(BINS, int)
    positive[600], negative[399] = 5, 500  # margins 10 and -0.05: any threshold in (0, 10] is perfect
    assert best_threshold(positive, negative) == (pytest.approx(5.0), 1.0)
    assert best_threshold(0 * positive, negative) == (0.0, 0.0)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_calibrated_biases_give_the_dice_that_was_promised(store, classes, padding):
    torch.manual_seed(1)
    config = NetworkConfig(base_width=2, poolings=1, padding=padding)
    network = UNet(config, len(store.classes)).eval()
    plane = PLANES["coronal"]
    counts = count_margins(network, classes, plane, spread(store, plane, 4, 1))
    truth = sum(case.labels.size for case in store.cases)
    assert counts[0].sum() == truth and counts[1].sum() < truth  # the lens is unknown in a part of case 1
    for c in (0, 7):
        assert counts[c, 1].sum() == sum(int((case.labels >> c & 1).sum()) for case in store.cases)
    promised = calibrate(network, store, classes, plane, 4, 1)
    hits = total = 0
    for case in store.cases:
        with torch.no_grad():
            found = predict_plane(lambda image: network(torch.from_numpy(image)).numpy(), case.image, plane,
                                  config.input_factor, network.surround, np.dtype("u1"))
        brain, mine = case.labels >> 7 & 1, found >> 7 & 1
        hits, total = hits + int((brain & mine).sum()), total + int(brain.sum()) + int(mine.sum())
    assert 2 * hits / total == pytest.approx(promised["brain"], abs=0.01)
