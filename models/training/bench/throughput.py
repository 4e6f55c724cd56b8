"""How fast the trainer is beside a plain PyTorch loop, and what each augmentation costs.

PYTHONPATH=models/training python3 models/training/bench/throughput.py --config RECIPE --store STORE
    [--width 8 16] [--threads 1 2] [--plane axial] [--device cpu]

The plain loop is what one writes first: the same network, PyTorch's own cross-entropy and SGD, batches that lie in memory
already, no records. The trainer makes its batches and does all that it does for an update. Both take
turns, a few iterations each, so that other work on the machine disturbs both; the ratio is the median over the turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable

import numpy as np
import torch
from torch.nn import functional

from contourd_training import augment
from contourd_training.batches import Ahead, Batches
from contourd_training.config import AugmentationConfig, Recipe
from contourd_training.sampling import targets
from contourd_training.store import PLANES, Store
from contourd_training.trainer import Trainer
from contourd_training.unet import UNet

IN_MEMORY = 4


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """How long a call takes, and what it started on the device."""
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


class Plain:
    """A loop of PyTorch's own parts over batches in memory."""

    def __init__(self, recipe: Recipe, classes: int, held: list[tuple[torch.Tensor, torch.Tensor]], device: str):
        torch.manual_seed(recipe.seed)
        self.order = torch.channels_last if recipe.compute.channels_last else torch.contiguous_format
        self.network = UNet(recipe.network, classes).to(device, memory_format=self.order)
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=recipe.optimiser.momentum)
        self.device, self.half = torch.device(device), torch.float16 if device.startswith("cuda") else torch.bfloat16
        self.amp = recipe.compute.amp
        self.held = itertools.cycle([tuple(t.to(self.device) for t in pair) for pair in held])

    def step(self) -> None:
        """One update."""
        image, truth = next(self.held)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=self.half, enabled=self.amp):
            logits = self.network.margins(image)
        weights = (truth >= 0).float()
        loss = functional.binary_cross_entropy_with_logits(logits.float(), truth.float().clamp(min=0), weights)
        loss.backward()
        self.optimiser.step()


def compare(recipe: Recipe, store: Store, plane: str, device: str, threads: int, workers: int, turns: int,
            length: int) -> tuple[float, float, float]:
    """Seconds an iteration of the plain loop and of the trainer, and the median of their ratio."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as out:
        own = Trainer(recipe, store, plane, Path(out), device)
    plain = Plain(recipe, len(own.classes), [own.batches.make(n, 0) for n in range(IN_MEMORY)], device)
    ahead = Ahead(own.batches, workers, own.device.type == "cuda") if workers else None
    given = ahead.iterate(0) if ahead else None
    times: list[tuple[float, float]] = []
    for turn in range(turns + 1):
        a = seconds(lambda: [plain.step() for _ in range(length)], plain.device)
        b = seconds(lambda: [own.step(0.0, given) for _ in range(length)], own.device)
        if turn:  # the first one warms up
            times.append((a / length, b / length))
    if given:
        given.close()
        ahead.close()
    a, b = (statistics.median(values) for values in zip(*times))
    return a, b, statistics.median(x / y for x, y in times)


def pieces(recipe: Recipe, store: Store, plane: str, repeats: int) -> dict[str, float]:
    """Milliseconds a batch of each thing that makes one, on one thread."""
    torch.set_num_threads(1)
    batches = Batches(recipe, store, Trainer(recipe, store, plane, Path("."), "cpu").classes, plane)
    config, rng = recipe.augmentation, np.random.default_rng(1)
    across, mirror = PLANES[plane].cols == 2, batches.classes.mirror
    drawn = batches.sampler.draw(rng, batches.cut)
    moved = augment.geometric(config, rng, drawn, batches.patch, batches.spacing, across, mirror)
    image = moved.image / store.working["intensity_scale"]
    calls: dict[str, Callable[[], object]] = {
        "cutting patches": lambda: batches.sampler.draw(rng, batches.cut),
        "cutting, no margin": lambda: batches.sampler.draw(rng, batches.patch),
        "rotation, scale, stretch, flip": lambda: augment.geometric(config, rng, drawn, batches.patch, batches.spacing, across,
                                                                    mirror),
        "targets": lambda: targets(moved.bits, moved.inside, moved.known, batches.classes),
    }
    nothing = AugmentationConfig()
    for name in ("gain", "gamma", "remap", "bias", "blur", "noise"):
        alone = dataclasses.replace(nothing, **{name: getattr(config, name)})
        calls[name] = lambda alone=alone: augment.intensity(alone, rng, image, moved.inside)
    calls["whole batch"] = lambda: batches.make(0, 0)
    taken = {}
    for name, call in calls.items():
        call()
        taken[name] = 1000 * statistics.median(seconds(call, torch.device("cpu")) for _ in range(repeats))
    return taken


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--store", required=True, type=Path)
    parser.add_argument("--plane", choices=sorted(PLANES), default="axial")
    parser.add_argument("--width", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--length", type=int, default=4, help="iterations a turn")
    given = parser.parse_args()
    recipe, store = Recipe.read(given.config), Store(given.store)
    print(f"{given.plane}, milliseconds a batch of {recipe.sampling.batch}, one thread:")
    for name, milliseconds in pieces(recipe, store, given.plane, 9).items():
        print(f"  {name:32}{milliseconds:8.1f}", flush=True)
    print("base width  threads  plain s  trainer s  ratio")
    for width, threads in itertools.product(given.width, given.threads):
        wide = dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, base_width=width))
        a, b, ratio = compare(wide, store, given.plane, given.device, threads, given.workers, given.turns, given.length)
        print(f"{width:10}{threads:9}{a:9.3f}{b:11.3f}{ratio:7.2f}", flush=True)


if __name__ == "__main__":
    main()
