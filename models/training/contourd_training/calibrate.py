"""Sets each class's operating point on whole slices of training heads.

Training balances rare and common pixels by weight and shows mostly patches around organs, so that a margin of 0 (logit
of the class equal to that of its background) marks far too much on whole slices, where a lens is one pixel in thirty
thousand. The margin that gives the best Dice over whole training slices is found here for each class, and subtracted
from the class's bias: serving goes on to take the larger of two maps. Held-out heads have no part in it.
"""

from __future__ import annotations

import numpy as np
import torch

from .sampling import targets
from .store import Plane, Store
from .unet import UNet

# Margins are counted in bins of 0.05 from -REACH to REACH; what lies beyond falls into the outermost bins.
REACH, BINS = 20.0, 800


def best_threshold(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """The margin above which marking gives the best Dice, and that Dice, from counts of positive and negative pixels
    in each bin. Of equally good ones the middle; 0 where there is no positive pixel."""
    total = positive.sum()
    if total == 0:
        return 0.0, 0.0
    # Entry b: everything from bin b on is marked.
    found, wrong = positive[::-1].cumsum()[::-1], negative[::-1].cumsum()[::-1]
    dice = 2 * found / (found + wrong + total)
    best = np.flatnonzero(dice == dice.max())
    edge = (best[0] + best[-1]) / 2 * (2 * REACH / BINS) - REACH
    return float(edge), float(dice.max())


@torch.no_grad()
def count_margins(network: UNet, store: Store, plane: Plane, cases: int, stride: int) -> np.ndarray:
    """Pixels by class, truth (0 or 1) and bin, int64 (C, 2, BINS), on every `stride`-th slice of `cases` heads spread
    over the store. Unknown pixels are not counted."""
    classes = len(store.classes)
    counts = torch.zeros(classes * 2 * BINS, dtype=torch.int64)
    chosen = np.unique(np.linspace(0, len(store.cases) - 1, cases).round().astype(int))
    for position, case in enumerate(store.cases[n] for n in chosen):
        rows, cols = plane.size(case.image.shape)
        pad = (*network.surround(cols), *network.surround(rows))
        known = torch.from_numpy(case.known)[None]
        # Another first slice in each head, so that together they see more of the planes.
        for index in range(position % stride, case.image.shape[plane.normal], stride):
            image = torch.from_numpy(np.ascontiguousarray(plane.cut(case.image, index)))[None, None]
            bits = torch.from_numpy(np.ascontiguousarray(plane.cut(case.labels, index)))[None]
            truth = targets(bits, torch.ones_like(bits, dtype=torch.bool), known, store.classes)[0]
            image = torch.nn.functional.pad(image * network.input_factor, pad)
            margin = network.margins(image.contiguous(memory_format=torch.channels_last))[0, :, :rows, :cols]
            bins = ((margin + REACH) * (BINS / (2 * REACH))).long().clamp_(0, BINS - 1)
            place = (torch.arange(classes).view(-1, 1, 1) * 2 + truth) * BINS + bins
            counts += torch.bincount(place[truth >= 0], minlength=counts.numel())
    return counts.view(classes, 2, BINS).numpy()


def calibrate(network: UNet, store: Store, plane: Plane, cases: int, stride: int) -> dict[str, float]:
    """Moves the biases of a network's classes; returns the Dice that each reaches on the slices that were counted."""
    counts = count_margins(network, store, plane, cases, stride)
    reached = {}
    for c, name in enumerate(store.classes):
        threshold, reached[name] = best_threshold(counts[c, 1], counts[c, 0])
        with torch.no_grad():
            network.heads.bias[2 * c + 1] -= threshold
        print(f"{plane.name} {name}: margin {threshold:+.2f}, Dice {reached[name]:.3f} on training slices", flush=True)
    return reached
