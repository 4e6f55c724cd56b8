"""Measures three networks and their vote on a held-out store.

python3 -m contourd_training.evaluate --config RECIPE --store FOLDER --model MODEL_FOLDER --out evaluation.json

Whole slices of each plane, a majority vote, Dice for each class and case; anatomical rules are not applied.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Callable

import numpy as np
import torch

from .config import Recipe
from .export import load_network
from .store import PLANES, Plane, Store
from .unet import UNet

# Dice in percent after vote and rules on real heads (thesis, Table 4.2), where nerves and chiasm were measured as one.
THESIS = {"eye": 89.6, "lens": 58.8, "optic_nerve": 67.4, "chiasm": 67.4, "pituitary": 58.0, "hippocampus": 71.4,
          "brainstem": 88.6, "brain": 96.8}
SLICES_AT_ONCE = 4

Predict = Callable[[np.ndarray], np.ndarray]
Surround = Callable[[int], tuple[int, int]]


def onnx_network(path: Path) -> Predict:
    """A network file as a function from (N, 1, H, W) to logits (N, 2C, H', W')."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["logits"], {"image": image})[0]


def torch_network(network: UNet) -> Predict:
    """The same for a PyTorch network."""

    def predict(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(image)).numpy()

    return predict


def predict_plane(predict: Predict, image: np.ndarray, plane: Plane, factor: float, surround: Surround) -> np.ndarray:
    """Bit-encoded labels uint8 (z, y, x) of one network; `surround` gives the zeros that an axis needs around it.
    Slices without any signal have no label."""
    out = np.zeros(image.shape, np.uint8)
    rows, cols = plane.size(image.shape)
    pad = [(0, 0), (0, 0), surround(rows), surround(cols)]
    wanted = [n for n in range(image.shape[plane.normal]) if plane.cut(image, n).any()]
    for first in range(0, len(wanted), SLICES_AT_ONCE):
        numbers = wanted[first:first + SLICES_AT_ONCE]
        stack = np.stack([plane.cut(image, n) for n in numbers])[:, None] * np.float32(factor)
        logits = predict(np.pad(stack.astype(np.float32), pad))[:, :, :rows, :cols]
        marked = logits[:, 1::2] > logits[:, ::2]
        bits = np.packbits(marked, axis=1, bitorder="little")[:, 0]
        for number, slice_bits in zip(numbers, bits):
            plane.cut(out, number)[...] = slice_bits
    return out


def majority(votes: list[np.ndarray]) -> np.ndarray:
    """A bit is set where at least two of three label volumes set it."""
    a, b, c = votes
    return (a & b) | (a & c) | (b & c)


def dice(found: np.ndarray, truth: np.ndarray, bit: int) -> float | None:
    """Dice of one bit of two label volumes; None when neither has it."""
    x, y = (found >> bit) & 1, (truth >> bit) & 1
    total = int(np.count_nonzero(x)) + int(np.count_nonzero(y))
    return 2 * int(np.count_nonzero(x & y)) / total if total else None


def evaluate(recipe: Recipe, store: Store, networks: dict[str, Predict], limit: int | None = None) -> dict:
    """Dice for each case, class and stage (each plane, then the vote), with the summary by class."""
    shape = UNet(recipe.network, len(store.classes))
    stages = [*PLANES, "vote"]
    rows = []
    for case in store.cases[:limit]:
        start = time.monotonic()
        labels = [predict_plane(networks[plane], case.image, PLANES[plane], recipe.network.input_factor,
                                shape.surround) for plane in PLANES]
        stage_labels = dict(zip(stages, [*labels, majority(labels)]))
        for c, name in enumerate(store.classes):
            if case.known[c]:
                values = {stage: dice(labels, case.labels, c) for stage, labels in stage_labels.items()}
                rows.append({"case": case.name, "class": name, **values})
        print(f"{case.name}: {time.monotonic() - start:.1f} s", flush=True)
    summary = []
    for name in store.classes:
        line = {"class": name}
        for stage in stages:
            values = [row[stage] for row in rows if row["class"] == name and row[stage] is not None]
            if values:
                line[stage] = {"mean": sum(values) / len(values), "min": min(values), "n": len(values)}
        summary.append(line)
    return {"store_sha256": store.sha256, "summary": summary, "cases": rows}


def table(result: dict) -> str:
    """The summary for people, with the thesis's figures (real heads, after rules) beside it."""
    lines = [f"{'Dice %':14}{'axial':>8}{'coronal':>9}{'sagittal':>10}{'vote':>8}{'worst':>8}{'n':>5}   "
             "thesis (real heads)"]
    for row in result["summary"]:
        cells = [f"{100 * row[s]['mean']:.1f}" if s in row else "-" for s in (*PLANES, "vote")]
        worst, n = (f"{100 * row['vote']['min']:.1f}", row["vote"]["n"]) if "vote" in row else ("-", 0)
        lines.append(f"{row['class']:14}{cells[0]:>8}{cells[1]:>9}{cells[2]:>10}{cells[3]:>8}{worst:>8}{n:>5}   "
                     f"{THESIS.get(row['class'], '-')}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--store", required=True, type=Path, help="held-out store written by contourd")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="model folder: the ONNX files, by onnxruntime")
    source.add_argument("--run", type=Path, help="training folder: the checkpoints, by PyTorch")
    parser.add_argument("--out", required=True, type=Path, help="JSON file to write")
    parser.add_argument("--limit", type=int, help="measure only the first cases")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    recipe = Recipe.read(given.config)
    if given.model:
        networks = {plane: onnx_network(given.model / f"{plane}.onnx") for plane in PLANES}
    else:
        networks = {plane: torch_network(load_network(recipe, given.run / plane / "checkpoint.pt")) for plane in PLANES}
    result = evaluate(recipe, Store(given.store), networks, given.limit)
    given.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
