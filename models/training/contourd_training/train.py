"""Trains the network of one plane.

python3 -m contourd_training.train --config RECIPE --store FOLDER --plane axial --minutes 20 --out FOLDER [--from FOLDER]

Writes checkpoint.pt (replaced whole) and log.jsonl (one line an iteration) to --out. Started again with the same --out
it goes on from the checkpoint; --minutes and --iterations count from the first start. With --from it starts with the
network of an earlier run instead of a random one. Advised: OMP_WAIT_POLICY=passive.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch

from . import augment
from .config import Recipe
from .loss import class_losses
from .optim import LearningRateRule, NormalisedSgd, annealed
from .sampling import Sampler, targets
from .store import PLANES, Store
from .unet import UNet


def earlier(state: dict) -> dict:
    """What the runs had that a checkpoint's run started from; older checkpoints do not say: nothing."""
    return state.get("before", {"iterations": 0, "seconds": 0.0})


class Trainer:
    """A network, its data and everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, store: Store, plane: str, out: Path):
        self.recipe, self.store, self.plane, self.out = recipe, store, PLANES[plane], out
        torch.manual_seed(recipe.seed)
        self.network = UNet(recipe.network, len(store.classes)).to(memory_format=torch.channels_last)
        self.optimiser = NormalisedSgd(self.network.parameters(), recipe.optimiser.momentum)
        self.rule = LearningRateRule(recipe.optimiser)
        self.sampler = Sampler(store, self.plane, recipe.sampling.batch)
        self.weights = torch.tensor([recipe.loss.by_class.get(c, recipe.loss.positive_weight) for c in store.classes])
        self.patch = tuple(recipe.sampling.patch[plane])
        self.cut = augment.cut_size(recipe.augmentation, self.patch, store.spacing(self.plane))
        self.iteration, self.seconds = 0, 0.0
        # What the run that this one started from had, and those before it.
        self.before = {"iterations": 0, "seconds": 0.0}

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented images (M, 1, h, w), ready for the network, and their targets int8 (M, C, h', w')."""
        config = self.recipe.augmentation
        drawn = self.sampler.draw(rng, self.cut)
        mirror = self.plane.cols == 2  # columns run along x
        moved = augment.geometric(config, rng, drawn, self.patch, self.store.spacing(self.plane), mirror)
        # Recipes state intensity changes for images whose maximum is 1, whatever the network's own factor.
        unit = 1 / self.store.working["intensity_scale"]
        image = augment.intensity(config, rng, moved.image * unit, moved.inside)
        truth = targets(moved.bits, moved.inside, moved.known, self.store.classes)
        b = self.network.border
        if b:
            truth = truth[:, :, b:-b, b:-b]
        image = image * (self.recipe.network.input_factor / unit)
        return image.contiguous(memory_format=torch.channels_last), truth

    def step(self, progress: float) -> dict:
        """One iteration: N batches, one update. Random numbers depend on the seed and the iteration only."""
        self.network.train()
        parts = self.recipe.optimiser.accumulate
        losses = torch.zeros(len(self.store.classes))
        for part in range(parts):
            rng = np.random.default_rng([self.recipe.seed, self.plane.normal, self.iteration, part])
            image, truth = self.batch(rng)
            per_class = class_losses(self.network.margins(image), truth, self.weights)
            per_class.mean().backward()
            losses += per_class.detach() / parts
        alpha = min(self.rule.alpha, annealed(self.recipe.optimiser, progress))
        norm = self.optimiser.step(alpha)
        self.iteration += 1
        self.rule.update(float(losses.mean()))
        return {"iteration": self.iteration, "alpha": alpha, "window": self.rule.window, "norm": norm,
                "loss": float(losses.mean()), "losses": [round(float(v), 5) for v in losses]}

    def save(self) -> None:
        """Replaces the checkpoint, whole or not at all."""
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
                 "rule": self.rule.state_dict(), "iteration": self.iteration, "seconds": self.seconds, "before": self.before,
                 "plane": self.plane.name, "classes": self.store.classes,
                 "store_sha256": self.store.sha256, "images": sorted(self.store.images)}
        part = self.out / "checkpoint.pt.part"
        torch.save(state, part)
        os.replace(part, self.out / "checkpoint.pt")

    def resume(self) -> bool:
        """Goes on from the checkpoint in the output folder, if there is one. It must be of the same plane and classes;
        the store may have grown, but must still hold every image that was trained on."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu")
        same = (state["plane"], state["classes"]) == (self.plane.name, self.store.classes)
        if not (same and set(state["images"]) <= self.store.images):
            raise SystemExit(f"{path} is of another plane or another store; give another --out or remove it")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rule.load_state_dict(state["rule"])
        self.iteration, self.seconds, self.before = state["iteration"], state["seconds"], earlier(state)
        return True

    def start_from(self, run: Path) -> None:
        """Takes the network of another run, of the same plane and classes; optimiser and budget start anew."""
        state = torch.load(run / "checkpoint.pt", map_location="cpu")
        if (state["plane"], state["classes"]) != (self.plane.name, self.store.classes):
            raise SystemExit(f"{run} is of another plane or has other classes; it cannot be started from")
        self.network.load_state_dict(state["network"])
        before = earlier(state)
        self.before = {"iterations": before["iterations"] + state["iteration"],
                       "seconds": before["seconds"] + state["seconds"]}


def train(trainer: Trainer, minutes: float | None, iterations: int | None, checkpoint_seconds: float) -> None:
    """Iterates until the budget (whichever limit comes first) is used or SIGTERM or SIGINT asks to stop."""
    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(True))
    before, start, saved = trainer.seconds, time.monotonic(), time.monotonic()
    with open(trainer.out / "log.jsonl", "a", encoding="utf-8") as log:
        while not stop:
            progress = max(trainer.seconds / (60 * minutes) if minutes else 0.0,
                           trainer.iteration / iterations if iterations else 0.0)
            if progress >= 1:
                break
            line = trainer.step(progress)
            trainer.seconds = before + time.monotonic() - start
            line.update(progress=round(progress, 4), seconds=round(trainer.seconds, 1))
            log.write(json.dumps(line) + "\n")
            if time.monotonic() - saved > checkpoint_seconds:
                log.flush()
                trainer.save()
                saved = time.monotonic()
    trainer.save()
    print(f"{trainer.plane.name}: {trainer.iteration} iterations in {trainer.seconds / 60:.1f} minutes")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.train", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--store", required=True, type=Path, help="training store written by contourd")
    parser.add_argument("--plane", required=True, choices=sorted(PLANES))
    parser.add_argument("--out", required=True, type=Path, help="folder of the checkpoint and the log")
    parser.add_argument("--from", dest="base", type=Path, help="folder of an earlier run, to start with its network")
    parser.add_argument("--alpha", type=float, help="first learning rate, instead of the recipe's")
    parser.add_argument("--minutes", type=float, help="budget in minutes of training")
    parser.add_argument("--iterations", type=int, help="budget in updates of the parameters")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    given = parser.parse_args(arguments)
    if not given.minutes and not given.iterations:
        parser.error("give --minutes or --iterations, or both")
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe.read(given.config)
    if given.alpha:
        recipe = dataclasses.replace(recipe, optimiser=dataclasses.replace(recipe.optimiser, alpha_init=given.alpha))
    trainer = Trainer(recipe, Store(given.store), given.plane, given.out)
    if not trainer.resume() and given.base:
        trainer.start_from(given.base)
    train(trainer, given.minutes, given.iterations, given.checkpoint_seconds)


if __name__ == "__main__":
    main()
