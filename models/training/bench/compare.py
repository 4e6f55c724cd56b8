"""Compares ways to train one plane at equal budget: optimisers, terms of the loss, what is done with missing labels.

PYTHONPATH=models/training:target/onnxruntime/python python3 models/training/bench/compare.py
    --plan models/training/bench/optimisers.toml --config RECIPE --store TRAIN --heldout HELDOUT --out FOLDER
    [--at-once 2] [--minutes 30]

A plan lists variants: what each changes in the recipe, and what it does with a part of the labels that is hidden (unknown
to the training: the loss leaves them out) or whose images are dropped. Every variant is trained with every seed for the same
time on one thread each, takes the thresholds that are best on training slices, and is measured on every second slice of the
held-out heads. The time is the processor's, so that other work on the machine takes nothing from a variant. Started
again it goes on where it was, and plans with one --out share what they have in common. Results go to FOLDER/compare.json
and, as a table, to standard output.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import statistics
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch

from contourd_training.calibrate import BINS, REACH, best_threshold, count_margins, spread
from contourd_training.config import Recipe
from contourd_training.card import to_toml
from contourd_training.folds import write_part
from contourd_training.planes import Job, run_all
from contourd_training.store import PLANES, Store
from contourd_training.trainer import Trainer

LABELS = ("all", "hidden", "dropped")


def changed(tree: dict, changes: dict) -> dict:
    """A recipe's tree with the values of another laid over it."""
    out = copy.deepcopy(tree)
    for key, value in changes.items():
        out[key] = changed(out.get(key, {}), value) if isinstance(value, dict) else value
    return out


def make_store(store: Store, folder: Path, labels: str, part: float, seed: int) -> None:
    """The training store of a variant. Each label (one class of one image) is hidden with probability `part`: `hidden`
    trains on the rest, `dropped` leaves out every image that lacks a label."""
    everyone = {case.patient for case in store.cases}
    write_part(store, folder, everyone)
    tree = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    rng = np.random.default_rng(seed)
    kept = []
    for entry in tree["cases"]:
        hidden = [name for name in tree["classes"] if rng.random() < part]
        if labels == "hidden":
            entry["known"] = [name for name in entry["known"] if name not in hidden]
            entry["boxes"] = {name: boxes for name, boxes in entry["boxes"].items() if name not in hidden}
        if labels != "dropped" or not hidden:
            kept.append(entry)
    if not kept:
        raise SystemExit(f"{store.folder}: no image has all of its labels when {part} of them are hidden; give more cases")
    (folder / "store.json").write_text(json.dumps({**tree, "cases": kept}), encoding="utf-8")


def dice_of(positive: np.ndarray, negative: np.ndarray, threshold: float) -> float | None:
    """Dice at a threshold, from counts of positive and negative pixels in each bin; None without a positive pixel."""
    first = int(np.ceil((threshold + REACH) * BINS / (2 * REACH) - 1e-9))
    found, wrong, total = positive[first:].sum(), negative[first:].sum(), positive.sum()
    return float(2 * found / (found + wrong + total)) if total else None


def measure(recipe: Recipe, train: Store, heldout: Store, plane: str, run: Path) -> dict[str, list[float]]:
    """Dice of each class on each held-out head."""
    trainer = Trainer(recipe, train, plane, run)
    if not trainer.resume():
        raise SystemExit(f"{run}: there is no checkpoint")
    network, classes = trainer.network.eval(), trainer.classes
    counts = count_margins(network, classes, PLANES[plane], spread(train, PLANES[plane], 8, 3))
    thresholds = [best_threshold(counts[c, 1], counts[c, 0])[0] for c in range(len(classes))]
    found: dict[str, list[float]] = {name: [] for name in classes.names}
    for case in heldout.cases:
        slices = [(case, n) for n in range(0, case.image.shape[PLANES[plane].normal], 2)]
        counts = count_margins(network, classes, PLANES[plane], slices)
        for c, name in enumerate(classes.names):
            dice = dice_of(counts[c, 1], counts[c, 0], thresholds[c])
            if case.known[c] and dice is not None:
                found[name].append(dice)
    return found


def table(variants: list[str], results: dict[str, dict[str, list[float]]], seeds: list[int], classes: list[str]) -> str:
    """Mean Dice in percent of each class for each variant, over heads and seeds; beside the mean over classes how far the
    seeds are apart."""
    lines = [f"{'Dice, %':24}" + "".join(f"{name:>13}" for name in classes) + f"{'mean':>8}{'seeds':>16}"]
    for variant in variants:
        runs = [results[f"{variant} {seed}"] for seed in seeds]
        # A class that no held-out head has says nothing.
        seen = [name for name in classes if runs[0][name]]
        cells = {name: f"{100 * statistics.fmean(v for run in runs for v in run[name]):.1f}" for name in seen}
        means = [100 * statistics.fmean(statistics.fmean(run[name]) for name in seen) for run in runs]
        apart = " ".join(f"{mean:.1f}" for mean in means)
        lines.append(f"{variant:24}" + "".join(f"{cells.get(name, '-'):>13}" for name in classes)
                     + f"{statistics.fmean(means):8.1f}{apart:>16}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plan", required=True, type=Path)
    parser.add_argument("--config", required=True, type=Path, help="the recipe that the variants change")
    parser.add_argument("--store", required=True, type=Path)
    parser.add_argument("--heldout", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, help="of each training [the plan's]")
    given = parser.parse_args(arguments)
    plan = tomllib.loads(given.plan.read_text(encoding="utf-8"))
    minutes, plane, seeds = given.minutes or plan["minutes"], plan["plane"], plan["seeds"]
    base = tomllib.loads(given.config.read_text(encoding="utf-8"))
    store, heldout = Store(given.store), Store(given.heldout)
    jobs: dict[str, Job] = {}
    made_of: dict[str, str] = {}
    for variant in plan["variant"]:
        for seed in seeds:
            key = f"{variant['name']} {seed}"
            folder = given.out / key.replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            recipe = changed(base, {**variant.get("recipe", {}), "seed": seed})
            (folder / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
            labels = variant.get("labels", "all")
            if labels not in LABELS:
                raise SystemExit(f"{given.plan}: {variant['name']}: labels must be one of {', '.join(LABELS)}")
            make_store(store, folder / "train", labels, plan.get("hidden", 0.0), seed)
            parts = [to_toml(recipe), str(minutes), Store(folder / "train").sha256, heldout.sha256]
            made_of[key] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
            command = [sys.executable, "-m", "contourd_training.train", "--config", str(folder / "recipe.toml"), "--store",
                       str(folder / "train"), "--plane", plane, "--out", str(folder / "run"), "--minutes", str(minutes),
                       "--clock", "processor", "--threads", "1", "--workers", "0", "--progress", "none"]
            jobs[key] = lambda _, command=command: command
    codes = run_all(jobs, ["cpu"] * given.at_once)
    failed = [key for key, code in codes.items() if code]
    if failed:
        raise SystemExit(f"not trained: {', '.join(failed)}; their words are above")
    torch.set_num_threads(given.at_once)
    kept = given.out / "compare.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for key in jobs:
        if results.get(key, {}).get("made_of") != made_of[key]:
            folder = given.out / key.replace(" ", "-")
            dice = measure(Recipe.read(folder / "recipe.toml"), Store(folder / "train"), heldout, plane, folder / "run")
            results[key] = {"made_of": made_of[key], "dice": dice}
            kept.write_text(json.dumps(results, indent=1), encoding="utf-8")
            print(f"{key}: measured on {len(heldout.cases)} heads", file=sys.stderr, flush=True)
    names = [variant["name"] for variant in plan["variant"]]
    print(table(names, {key: results[key]["dice"] for key in jobs}, seeds, store.classes))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
