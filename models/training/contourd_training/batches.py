"""Batches ready for the network, and threads that make the next ones while it computes.

What a batch holds depends on the seed, the plane, the iteration and its place in it, and on nothing else: neither on
how many threads make batches nor on where a training was stopped.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Iterator

import numpy as np
import torch

from . import augment
from .classes import Classes
from .config import Recipe
from .sampling import Sampler, targets
from .store import PLANES, Store
from .unet import UNet

Pair = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """The batches of one plane of a recipe."""

    def __init__(self, recipe: Recipe, store: Store, classes: Classes, plane: str):
        self.recipe, self.store, self.classes, self.plane = recipe, store, classes, PLANES[plane]
        self.sampler = Sampler(store, self.plane, recipe.sampling.batch)
        self.patch = tuple(recipe.sampling.patch[plane])
        self.spacing = store.spacing(self.plane)
        self.cut = augment.cut_size(recipe.augmentation, self.patch, self.spacing)
        with torch.random.fork_rng(devices=[]):
            self.border = UNet(recipe.network, len(classes)).border

    def make(self, iteration: int, part: int) -> Pair:
        """Augmented images (M, 1, h, w), ready for the network, and their targets int8 (M, C, h', w')."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.plane.normal, iteration, part])
        drawn = self.sampler.draw(rng, self.cut)
        across = self.plane.cols == 2  # columns run along x
        moved = augment.geometric(recipe.augmentation, rng, drawn, self.patch, self.spacing, across, self.classes.mirror)
        # Recipes state intensity changes for images whose maximum is 1, whatever the network's own factor.
        unit = 1 / self.store.working["intensity_scale"]
        image = augment.intensity(recipe.augmentation, rng, moved.image * unit, moved.inside)
        b, (h, w) = self.border, self.patch
        inner = (slice(None), slice(b, h - b), slice(b, w - b))
        truth = targets(moved.bits[inner], moved.inside[inner], moved.known, self.classes)
        image = image * (recipe.network.input_factor / unit)
        if recipe.compute.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        return image, truth


class Ahead:
    """Makes batches in threads, in order, a few ahead of the one that is asked for."""

    def __init__(self, batches: Batches, threads: int, pin: bool):
        self.batches, self.pin, self.depth = batches, pin, threads + 1
        # OpenMP keeps a team for each thread: one that is as large as the network's would fight with it for the cores.
        mine = torch.get_num_threads()
        self.pool = ThreadPoolExecutor(threads, "batches", initializer=torch.set_num_threads, initargs=(1,))
        list(self.pool.map(lambda _: torch.get_num_threads(), range(threads)))
        torch.set_num_threads(mine)

    def iterate(self, first: int) -> Iterator[Pair]:
        """All batches from iteration `first` on, without end."""
        parts = self.batches.recipe.optimiser.accumulate
        waiting: deque[Future] = deque()
        number = first * parts
        try:
            while True:
                while len(waiting) < self.depth:
                    waiting.append(self.pool.submit(self._make, number // parts, number % parts))
                    number += 1
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _make(self, iteration: int, part: int) -> Pair:
        image, truth = self.batches.make(iteration, part)
        return (image.pin_memory(), truth.pin_memory()) if self.pin else (image, truth)

    def close(self) -> None:
        """Ends the threads."""
        self.pool.shutdown(wait=True, cancel_futures=True)
