"""An early look at a network in training: Dice of each class on a few slices, and a picture of three of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .calibrate import best_threshold, count_margins, slice_margins
from .classes import Classes
from .picture import panel, sheet
from .store import Case, Plane, Store
from .unet import UNet

CASES, STRIDE = 3, 16


@dataclass
class Look:
    """`dice` of each class at its best threshold (None where the slices have no pixel of it), and an RGB picture
    uint8 (rows, columns, 3): image, truth and prediction of three slices."""

    dice: list[float | None]
    picture: np.ndarray


def slices_to_see(store: Store, plane: Plane) -> list[tuple[Case, int]]:
    """Every 16th slice of three heads spread over the store, and the middle slice of each box in them: a lens lies
    between two that are 16 apart."""
    chosen = np.unique(np.linspace(0, len(store.cases) - 1, CASES).round().astype(int))
    found = []
    for case in (store.cases[n] for n in chosen):
        middles = {int(lo[plane.normal] + hi[plane.normal]) // 2 for boxes in case.boxes for lo, hi in boxes}
        found += [(case, n) for n in sorted(middles | set(range(0, case.image.shape[plane.normal], STRIDE)))]
    return found


def look(network: UNet, store: Store, classes: Classes, plane: Plane) -> Look:
    """Looks without changing anything of the network. The threshold of each class is the best one for these slices, as
    the exported network will have been calibrated: at a margin of 0 an early network marks everything."""
    training = network.training
    network.eval()
    slices = slices_to_see(store, plane)
    counts = count_margins(network, classes, plane, slices)
    best = [best_threshold(counts[c, 1], counts[c, 0]) for c in range(len(classes))]
    thresholds = np.array([threshold for threshold, _ in best], np.float32).reshape(-1, 1, 1)
    rows = []
    for case, index in _three(slices, plane):
        margin, truth = slice_margins(network, classes, plane, case, index)
        image, white = plane.cut(case.image, index), float(case.image.max()) or 1.0
        nothing = np.zeros(truth.shape, bool)
        rows.append([panel(image, marked, classes, white)
                     for marked in (nothing, truth.numpy() == 1, margin.numpy() >= thresholds)])
    network.train(training)
    dice = [reached if counts[c, 1].any() else None for c, (_, reached) in enumerate(best)]
    return Look(dice, sheet(rows, plane.rows == 0))


def _three(slices: list[tuple[Case, int]], plane: Plane) -> list[tuple[Case, int]]:
    """The slices of the first head that show most classes, other ones each time."""
    first = [(case, index) for case, index in slices if case is slices[0][0]]
    shown = {index: {c for c, boxes in enumerate(case.boxes) for lo, hi in boxes
                     if lo[plane.normal] <= index <= hi[plane.normal]} for case, index in first}
    chosen, seen = [], set()
    for _ in range(min(3, len(first))):
        index = max(shown.keys() - set(chosen), key=lambda n: (len(shown[n] - seen), len(shown[n]), -n))
        chosen.append(index)
        seen |= shown[index]
    return [(first[0][0], index) for index in sorted(chosen)]
