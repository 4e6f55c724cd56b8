"""Sets each class's operating point on whole slices of training heads.

Training balances rare and common pixels by weight and shows mostly patches around organs, so that a margin of 0 (logit
of the class equal to that of its background) marks far too much on whole slices, where a lens is one pixel in thirty
thousand. The margin that gives the best Dice over whole training slices is found here for each class, and subtracted
from the class's bias: serving goes on to take the larger of two maps. Held-out heads have no part in it.
"""

from __future__ import annotations

from typing import Iterable, Iterator

import numpy as np
import torch

from .classes import Classes
from .sampling import PATCH_TYPES, targets
from .store import Case, Plane, Store
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


def spread(store: Store, plane: Plane, cases: int, stride: int) -> Iterator[tuple[Case, int]]:
    """Every `stride`-th slice of `cases` heads spread over the store."""
    chosen = np.unique(np.linspace(0, len(store.cases) - 1, cases).round().astype(int))
    for position, case in enumerate(store.cases[n] for n in chosen):
        # Another first slice in each head, so that together they see more of the planes.
        for index in range(position % stride, case.image.shape[plane.normal], stride):
            yield case, index


@torch.no_grad()
def count_margins(network: UNet, classes: Classes, plane: Plane, slices: Iterable[tuple[Case, int]]) -> np.ndarray:
    """Pixels by class, truth (0 or 1) and bin, int64 (C, 2, BINS). Unknown pixels are not counted."""
    counts = torch.zeros(len(classes) * 2 * BINS, dtype=torch.int64)
    for case, index in slices:
        margin, truth = slice_margins(network, classes, plane, case, index)
        bins = ((margin + REACH) * (BINS / (2 * REACH))).long().clamp_(0, BINS - 1)
        place = (torch.arange(len(classes)).view(-1, 1, 1) * 2 + truth) * BINS + bins
        counts += torch.bincount(place[truth >= 0], minlength=counts.numel())
    return counts.view(len(classes), 2, BINS).numpy()


@torch.no_grad()
def slice_margins(network: UNet, classes: Classes, plane: Plane, case: Case, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Margins float32 and targets int8 (-1 unknown), both (C, rows, columns), of one whole slice; on the CPU."""
    rows, cols = plane.size(case.image.shape)
    pad = (*network.surround(cols), *network.surround(rows))
    labels = plane.cut(case.labels, index)
    bits = torch.from_numpy(labels.astype(PATCH_TYPES[labels.itemsize]))[None]
    truth = targets(bits, torch.ones_like(bits, dtype=torch.bool), torch.from_numpy(case.known)[None], classes)[0]
    image = torch.from_numpy(plane.cut(case.image, index) * np.float32(network.input_factor))[None, None]
    device = next(network.parameters()).device
    image = torch.nn.functional.pad(image, pad).contiguous(memory_format=torch.channels_last).to(device)
    return network.margins(image)[0, :, :rows, :cols].float().cpu(), truth


def calibrate(network: UNet, store: Store, classes: Classes, plane: Plane, cases: int, stride: int) -> dict[str, float]:
    """Moves the biases of a network's classes; returns the Dice that each reaches on the slices that were counted."""
    counts = count_margins(network, classes, plane, spread(store, plane, cases, stride))
    reached = {}
    for c, name in enumerate(classes.names):
        threshold, reached[name] = best_threshold(counts[c, 1], counts[c, 0])
        with torch.no_grad():
            network.heads.bias[2 * c + 1] -= threshold
        print(f"{plane.name} {name}: margin {threshold:+.2f}, Dice {reached[name]:.3f} on training slices", flush=True)
    return reached
