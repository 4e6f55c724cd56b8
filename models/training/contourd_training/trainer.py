"""A network in training: one update of its parameters, and its checkpoint."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Iterator

import torch

from .batches import Batches, Pair
from .classes import Classes, resolve
from .config import Recipe
from .loss import losses
from .optim import LearningRateRule, learning_rate, optimiser
from .precision import Precision
from .store import PLANES, Store
from .strict import require
from .unet import UNet


def earlier(state: dict) -> dict:
    """What the runs had that a checkpoint's run started from; older checkpoints do not say: nothing."""
    return state.get("before", {"iterations": 0, "seconds": 0.0})


def settled(recipe: Recipe) -> dict[str, str]:
    """What of a recipe must stay as it is while a network is trained: everything but its name and how it is computed. A
    text for each part, so that a checkpoint holds plain values."""
    tree = dataclasses.asdict(recipe)
    return {key: json.dumps(value, sort_keys=True) for key, value in tree.items() if key not in ("model", "compute")}


def read_checkpoint(path: Path) -> dict:
    """A checkpoint on the CPU. Nothing but tensors and plain values is taken from the file, where PyTorch can do so."""
    if not path.is_file():
        raise SystemExit(f"{path}: there is no checkpoint; train first, or name the folder of a run and plane")
    # PyTorch 1.13 has the word but refuses every floating-point number under it.
    return torch.load(path, map_location="cpu", weights_only=int(torch.__version__.split(".")[0]) >= 2)


def classes_of(recipe: Recipe, store: Store) -> Classes:
    """The classes of a store with what the recipe says about them. What encloses what is the recipe's word where it has one, else
    the store's."""
    strangers = sorted(set(recipe.loss.by_class) - set(store.classes))
    require(not strangers, "loss.by_class", f"{', '.join(strangers)} is no class of the store")
    return resolve(store.classes, store.described, recipe.described, recipe.implied or store.implied, recipe.opposite)


class Trainer:
    """A network, its data and everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, store: Store, plane: str, out: Path, device: str = "cpu"):
        self.recipe, self.store, self.plane, self.out = recipe, store, PLANES[plane], out
        self.classes = classes_of(recipe, store)
        self.device = torch.device(device)
        torch.manual_seed(recipe.seed)
        order = torch.channels_last if recipe.compute.channels_last else torch.contiguous_format
        self.network = UNet(recipe.network, len(self.classes)).to(self.device, memory_format=order)
        self.optimiser = optimiser(self.network.parameters(), recipe.optimiser)
        self.rule = LearningRateRule(recipe.optimiser)
        self.precision = Precision(self.device, recipe.compute.amp)
        self.batches = Batches(recipe, store, self.classes, plane)
        weights = [recipe.loss.by_class.get(c, recipe.loss.positive_weight) for c in self.classes.names]
        self.weights = torch.tensor(weights, device=self.device)
        self.iteration, self.seconds = 0, 0.0
        # What the run that this one started from had, and those before it.
        self.before = {"iterations": 0, "seconds": 0.0}

    def step(self, progress: float, given: Iterator[Pair] | None = None) -> dict:
        """One iteration: N batches, one update. `given` yields the batches of this iteration and the ones after it;
        without it they are made here."""
        self.network.train()
        parts = self.recipe.optimiser.accumulate
        total = torch.zeros(len(self.classes), device=self.device)
        for part in range(parts):
            image, truth = next(given) if given else self.batches.make(self.iteration, part)
            image, truth = (t.to(self.device, non_blocking=True) for t in (image, truth))
            with self.precision.forward():
                margins = self.network.margins(image)
            per_class = losses(margins.float(), truth, self.weights, self.recipe.loss.dice_weight)
            (per_class.mean() * self.precision.scale).backward()
            total += per_class.detach() / parts
        alpha = learning_rate(self.recipe.optimiser, self.rule, progress)
        norm = self.optimiser.step(alpha, self.precision.scale)
        self.precision.stepped(norm)
        self.iteration += 1
        values = total.tolist()
        loss = sum(values) / len(values)
        self.rule.update(loss)
        return {"iteration": self.iteration, "alpha": alpha, "window": self.rule.window, "norm": norm,
                "loss": loss, "losses": [round(v, 5) for v in values]}

    def save(self) -> None:
        """Replaces the checkpoint, whole or not at all."""
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
                 "rule": self.rule.state_dict(), "precision": self.precision.state_dict(),
                 "iteration": self.iteration, "seconds": self.seconds, "before": self.before,
                 "plane": self.plane.name, "classes": self.classes.names,
                 "store_sha256": self.store.sha256, "images": sorted(self.store.images),
                 "labels": self.store.labels, "recipe": settled(self.recipe)}
        part = self.out / "checkpoint.pt.part"
        with open(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            # Without it a machine that loses power may keep the new name and not the bytes.
            os.fsync(file.fileno())
        os.replace(part, self.out / "checkpoint.pt")

    def resume(self) -> bool:
        """Goes on from the checkpoint in the output folder, if there is one. It must be of the same plane, classes and
        recipe; the store may have grown, but must still hold every image that was trained on, with the same labels."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state = read_checkpoint(path)
        same = (state["plane"], state["classes"]) == (self.plane.name, self.classes.names)
        if not (same and set(state["images"]) <= self.store.images):
            raise SystemExit(f"{path} is of another plane or another store; give another --out or remove it")
        # Checkpoints of earlier versions say neither.
        labels, recipe = self.store.labels, settled(self.recipe)
        relabelled = [image for image, digest in state.get("labels", {}).items() if labels[image] != digest]
        if relabelled:
            raise SystemExit(f"{path}: {len(relabelled)} of the heads that it was trained on have other labels now; "
                             "give another --out or remove it")
        changed = sorted(key for key, value in state.get("recipe", recipe).items() if recipe.get(key) != value)
        if changed:
            raise SystemExit(f"{path} was trained by another recipe ({', '.join(changed)}); give the old one, another --out, "
                             "or remove it")
        try:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as fault:
            raise SystemExit(f"{path} is of another recipe (network or optimiser); give another --out or remove it: "
                             f"{fault}") from fault
        self.rule.load_state_dict(state["rule"])
        if "precision" in state:
            self.precision.load_state_dict(state["precision"])
        self.iteration, self.seconds, self.before = state["iteration"], state["seconds"], earlier(state)
        return True
