"""Finds what is wrong with a recipe, its data and its memory before the night starts, all of it at once."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from .config import Recipe
from .store import Case, Store, StoreError, check_digests, read_case, read_tree
from .strict import RecipeError
from .trainer import Trainer, classes_of

# Words of labels that are looked at in one go.
SLAB = 16


def dry_run(config: Path, folder: Path, validate: Path | None, planes: list[str], device: str) -> int:
    """Prints what it finds; the exit status: 0 when a training can start, 1 when not."""
    faults: list[str] = []
    recipe = None
    try:
        recipe = Recipe.read(config)
    except (RecipeError, OSError) as fault:
        faults.append(f"{config}: {fault}")
    for path in (folder, validate) if validate else (folder,):
        found = check_store(path)
        print(f"{path}: {found.cases} cases, {found.describe()}", flush=True)
        faults += found.faults
    if not faults and recipe:
        faults += check_pair(recipe, folder, validate)
    if not faults and recipe:
        for plane in planes:
            faults += try_step(recipe, folder, plane, device)
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    print(f"{len(faults)} faults" if faults else "ready to train", flush=True)
    return 1 if faults else 0


class Found:
    """What a walk through a store found: `having[class]` cases that have it, and the faults."""

    def __init__(self) -> None:
        self.cases, self.faults = 0, []
        self.having: dict[str, int] = {}

    def describe(self) -> str:
        """The classes and in how many cases they are."""
        return ", ".join(f"{name} in {count}" for name, count in self.having.items()) or "no class"


def check_store(folder: Path) -> Found:
    """Reads everything of a store: descriptions, digests, every voxel."""
    found = Found()
    try:
        _, tree = read_tree(folder)
    except StoreError as fault:
        found.faults.append(str(fault))
        return found
    classes = tree["classes"]
    found.having = dict.fromkeys(classes, 0)
    seen: set[str] = set()
    for entry in tree["cases"]:
        found.cases += 1
        if entry["id"] in seen:
            found.faults.append(f"{folder}/store.json: case {entry['id']} is listed twice")
        seen.add(entry["id"])
        try:
            case = read_case(folder, entry, classes)
        except StoreError as fault:
            found.faults.append(str(fault))
            continue
        found.faults += check_digests(folder, entry)
        found.faults += [f"{folder}: case {case.name}: {fault}" for fault in check_case(case, classes)]
        for c, name in enumerate(classes):
            found.having[name] += bool(case.boxes[c])
    missing = [name for name, count in found.having.items() if not count]
    if missing:
        found.faults.append(f"{folder}: no case has {', '.join(missing)}; segment it in some, or make the store without it (--leave-out)")
    return found


def check_case(case: Case, classes: list[str]) -> list[str]:
    """What is wrong with the voxels of a case."""
    faults = []
    depth = case.image.shape[0]
    bad = sum(int((~np.isfinite(case.image[k:k + SLAB])).sum()) for k in range(0, depth, SLAB))
    if bad:
        faults.append(f"{bad} voxels of the image are not finite numbers; import it again")
    elif not case.image.any():
        faults.append("the image is empty (all zero); leave the case out")
    word = 0
    for k in range(0, depth, SLAB):
        word |= int(np.bitwise_or.reduce(case.labels[k:k + SLAB], axis=None))
    if word >> len(classes):
        faults.append(f"labels have bits beyond the {len(classes)} classes; make the case again")
    for c, name in enumerate(classes):
        if not case.known[c] and (word >> c & 1 or case.boxes[c]):
            faults.append(f"{name} is marked or has a box, but is not listed as known")
        elif bool(word >> c & 1) != bool(case.boxes[c]):
            faults.append(f"{name} is marked without a box, or has a box without a mark")
        elif case.boxes[c]:
            faults += _check_boxes(case, c, name)
    return faults


def _check_boxes(case: Case, c: int, name: str) -> list[str]:
    """Boxes must hold every voxel of the class, and each box must have one on each of its six sides."""
    bit = case.labels.dtype.type(1 << c)
    inside = 0
    touched = True
    for lo, hi in case.boxes[c]:
        part = (case.labels[lo[0]:hi[0] + 1, lo[1]:hi[1] + 1, lo[2]:hi[2] + 1] & bit) != 0
        inside += int(part.sum())
        for axis in range(3):
            ends = np.moveaxis(part, axis, 0)
            touched &= bool(ends[0].any() and ends[-1].any())
    total = sum(int(((case.labels[k:k + SLAB] & bit) != 0).sum()) for k in range(0, case.labels.shape[0], SLAB))
    if inside < total:
        return [f"{total - inside} voxels of {name} lie outside its boxes; make the case again"]
    return [] if touched else [f"a box of {name} is larger than what is marked in it; make the case again"]


def check_pair(recipe: Recipe, folder: Path, validate: Path | None) -> list[str]:
    """Recipe against store, and the held-out store against the training store."""
    faults = []
    store = Store(folder)
    try:
        classes_of(recipe, store)
    except RecipeError as fault:
        faults.append(str(fault))
    if validate:
        other = Store(validate)
        if other.classes != store.classes:
            faults.append(f"{validate}: has other classes than {folder}")
        if other.images & store.images:
            faults.append(f"{validate}: shares {len(other.images & store.images)} images with {folder}")
        patients = {case.patient for case in other.cases} & {case.patient for case in store.cases}
        if patients:
            faults.append(f"{validate}: shares patients with {folder}: {', '.join(sorted(patients))}")
    return faults


def try_step(recipe: Recipe, folder: Path, plane: str, device: str) -> list[str]:
    """Draws a batch, looks whether every class is in it, makes one update and says how much memory it took."""
    faults = []
    store = Store(folder)
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(recipe, store, plane, Path(out), device)
        if recipe.sampling.batch < len(store.classes):
            faults.append(f"sampling.batch: {recipe.sampling.batch} patches cannot show {len(store.classes)} classes")
        saved: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        try:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                line = trainer.step(0.0)
        except RuntimeError as fault:
            return [*faults, f"{plane}: one update fails: {fault}; a patch must fit the network (network.padding, "
                             f"network.poolings, sampling.patch), a batch the memory of {device}"]
        if not np.isfinite(line["loss"]):
            faults.append(f"{plane}: the loss of the first update is {line['loss']}")
        # Four numbers of four bytes a parameter: itself, its gradient, up to two of the optimiser.
        fixed = 16 * sum(p.numel() for p in trainer.network.parameters())
        need = (fixed + sum(saved.values())) / 2**20
        said = f"{plane}: one update works, loss {line['loss']:.3f}, about {need:.0f} MiB for network and batch"
        if trainer.device.type == "cuda":
            said += f"; {torch.cuda.max_memory_allocated(trainer.device) / 2**20:.0f} MiB were used on {device}"
        print(said, flush=True)
    return faults
