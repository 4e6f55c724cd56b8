"""Class-centred sampling (thesis section 4.2.1.2) and the three-valued targets made from label bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .store import Case, Plane, Store

UNKNOWN = -1

# What another class tells about a class that was not segmented: outside a segmented eye there is no lens; outside a
# segmented brain there is neither hippocampus nor brainstem.
ENCLOSED_BY = {"lens": "eye", "hippocampus": "brain", "brainstem": "brain"}


@dataclass
class Batch:
    """M patches. `image` float32 (M, 1, h, w) as stored; `bits` uint8 (M, h, w); `inside` bool (M, h, w), False
    beyond the volume; `known` bool (M, C)."""

    image: torch.Tensor
    bits: torch.Tensor
    inside: torch.Tensor
    known: torch.Tensor


class Sampler:
    """Draws batches for one plane: the first C patches centred on each class in turn, the others on the largest."""

    def __init__(self, store: Store, plane: Plane, batch: int):
        self.store, self.plane, self.batch = store, plane, batch
        self.having = [[case for case in store.cases if case.boxes[c]] for c in range(len(store.classes))]
        volumes = [sum(np.prod(hi - lo + 1) for case in cases for lo, hi in case.boxes[c]) for c, cases in
                   enumerate(self.having)]
        self.largest = int(np.argmax(volumes))
        if not self.having[self.largest]:
            raise ValueError("no case of the store has a box of any class: there is nothing to centre a patch on")

    def class_of(self, position: int) -> int:
        """The class on which the patch at this position of a batch is centred."""
        return position if position < len(self.having) and self.having[position] else self.largest

    def draw_centre(self, rng: np.random.Generator, c: int) -> tuple[Case, np.ndarray]:
        """An image that has class c, and a voxel (z, y, x) uniformly in one of its boxes."""
        case = self.having[c][rng.integers(len(self.having[c]))]
        lo, hi = case.boxes[c][rng.integers(len(case.boxes[c]))]
        return case, rng.integers(lo, hi + 1)

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Batch:
        """A batch of patches of `size` (rows, columns); the centre is pixel (rows // 2, columns // 2)."""
        h, w = size
        image = np.zeros((self.batch, 1, h, w), np.float32)
        bits = np.zeros((self.batch, h, w), np.uint8)
        inside = np.zeros((self.batch, h, w), bool)
        known = np.zeros((self.batch, len(self.having)), bool)
        for m in range(self.batch):
            case, voxel = self.draw_centre(rng, self.class_of(m))
            row, col = voxel[self.plane.rows], voxel[self.plane.cols]
            target, source = overlap(self.plane.size(case.image.shape), (row, col), size)
            image[m, 0][target] = self.plane.cut(case.image, voxel[self.plane.normal])[source]
            bits[m][target] = self.plane.cut(case.labels, voxel[self.plane.normal])[source]
            inside[m][target] = True
            known[m] = case.known
        return Batch(*(torch.from_numpy(a) for a in (image, bits, inside, known)))


def overlap(extent: tuple[int, int], centre: tuple[int, int], size: tuple[int, int]):
    """Slices (of the patch, of the slice) where a patch of `size` around `centre` covers a slice of `extent`."""
    target, source = [], []
    for length, middle, n in zip(extent, centre, size):
        start = int(middle) - n // 2
        first, last = max(start, 0), min(start + n, length)
        target.append(slice(first - start, last - start))
        source.append(slice(first, last))
    return tuple(target), tuple(source)


def targets(bits: torch.Tensor, inside: torch.Tensor, known: torch.Tensor, classes: list[str]) -> torch.Tensor:
    """int8 (M, C, h, w): 1, 0 or UNKNOWN for each class and pixel.

    A class that is not known in an image is UNKNOWN there, but 0 outside the class that encloses it when that one is
    known. Beyond the volume everything is UNKNOWN.
    """
    shift = torch.arange(len(classes), dtype=torch.uint8).view(1, -1, 1, 1)
    marked = torch.bitwise_and(torch.bitwise_right_shift(bits.unsqueeze(1), shift), 1).to(torch.int8)
    out = torch.where(known[:, :, None, None], marked, torch.full_like(marked, UNKNOWN))
    for inner, outer in ENCLOSED_BY.items():
        if inner in classes and outer in classes:
            i, o = classes.index(inner), classes.index(outer)
            implied = (out[:, i] == UNKNOWN) & (out[:, o] == 0)
            out[:, i].masked_fill_(implied, 0)
    return out.masked_fill_(~inside.unsqueeze(1), UNKNOWN)
