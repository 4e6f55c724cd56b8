"""Splits a training store by patient into stores of folds, and prints the thesis's tables of a cross-validation."""

from __future__ import annotations

import json
import math
import os
import statistics
from pathlib import Path

import numpy as np

from .store import Store

# Thesis, Tables 4.2 to 4.5 (5 folds, real heads): Dice axial, Dice final, then with a tolerance of one voxel Dice,
# sensitivity and what it calls specificity (precision), Hausdorff distance axial and final, mean distance axial and final.
THESIS = {
    "hippocampus": (69.2, 71.4, 88.2, 92.7, 85.0, 42.1, 6.9, 0.97, 0.66),
    "brainstem": (88.1, 88.6, 95.1, 95.5, 95.6, 45.5, 7.8, 0.26, 0.26),
    "eye": (88.3, 89.6, 97.5, 98.3, 96.8, 75.9, 3.0, 0.35, 0.11),
    "lens": (55.8, 58.8, 82.1, 88.2, 78.4, 31.0, 3.7, 1.29, 0.63),
    "optic_nerves_and_chiasm": (63.9, 67.4, 91.1, 96.2, 87.1, 76.7, 6.3, 1.09, 0.48),
    "pituitary": (53.6, 58.0, 79.7, 83.3, 77.5, 52.5, 4.6, 2.45, 0.69),
    "brain": (96.5, 96.8, 98.6, 98.0, 99.4, 30.4, 9.8, 0.07, 0.08),
}
# The axial network alone, the three networks' vote, and what the rules make of it.
STAGES = ("axial", "vote", "final")
# Title; columns as (heading, stage, measure, factor, place in THESIS).
TABLES = [
    ("Table 4.2: Dice, %",
     [("axial", "axial", "dice", 100, 0), ("vote", "vote", "dice", 100, None), ("final", "final", "dice", 100, 1)]),
    ("Table 4.3: with a tolerance of one voxel, final, %",
     [("Dice", "final", "dice_tolerant", 100, 2), ("sensitivity", "final", "sensitivity_tolerant", 100, 3),
      ("precision", "final", "precision_tolerant", 100, 4),
      ("specificity", "final", "specificity_tolerant", 100, None)]),
    ("Table 4.4: Hausdorff distance, mm", [("axial", "axial", "hausdorff_mm", 1, 5), ("final", "final", "hausdorff_mm", 1, 6)]),
    ("Table 4.5: mean distance, mm",
     [("axial", "axial", "mean_distance_mm", 1, 7), ("final", "final", "mean_distance_mm", 1, 8)]),
]


def patients_of(store: Store, folds: int, seed: int) -> list[set[str]]:
    """The patients of each fold, dealt out in an order that depends on the seed."""
    patients = sorted({case.patient for case in store.cases})
    if len(patients) < folds:
        raise SystemExit(f"{store.folder}: has {len(patients)} patients, too few for {folds} folds; give a smaller --folds")
    order = np.random.default_rng(seed).permutation(len(patients))
    return [{patients[n] for n in order[fold::folds]} for fold in range(folds)]


def write_part(store: Store, folder: Path, chosen: set[str]) -> None:
    """A store of the cases of some patients: its own store.json beside links to the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in store.tree["cases"] if entry.get("patient", entry["id"]) in chosen]
    for entry in entries:
        for kind in ("image", "labels"):
            name = f"{entry['id']}.{kind}.npy"
            if not (folder / name).exists():
                os.symlink((store.folder / name).resolve(), folder / name)
    part = folder / "store.json.part"
    part.write_text(json.dumps({**store.tree, "cases": entries}), encoding="utf-8")
    os.replace(part, folder / "store.json")


def values_of(measured: list[dict], name: str, stage: str, measure: str) -> list[float]:
    """One measure of a class over the cases that have it defined."""
    found = [case["classes"].get(name, {}).get(stage, {}).get(measure) for case in measured]
    return [value for value in found if value is not None]


def tables(measured: list[dict]) -> str:
    """The thesis's tables: ours (mean, with a 95 % interval of it, and number of cases) beside the thesis's."""
    others = sorted({name for case in measured for name in case["classes"]} - set(THESIS) - {"optic_nerve", "chiasm"})
    lines = []
    for title, columns in TABLES:
        lines += [title, f"{'':26}" + "".join(f"{heading:>28}{'thesis':>8}" for heading, *_ in columns)]
        for name in [*THESIS, "optic_nerve", "chiasm", *others]:
            cells = []
            for _, stage, measure, factor, place in columns:
                values = [factor * value for value in values_of(measured, name, stage, measure)]
                theirs = THESIS[name][place] if name in THESIS and place is not None else "-"
                cells.append(f"{_mean(values):>28}{theirs:>8}")
            lines.append(f"{name:26}" + "".join(cells))
        lines.append("")
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    if not values:
        return "-"
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.2f} (n 1)"
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.2f} +- {half:.2f} (n {len(values)})"
