"""Measures three networks and their vote on a held-out store.

python3 -m contourd_training.evaluate --config RECIPE --store FOLDER --model MODEL_FOLDER --out evaluation.json [--flip]

Whole slices of each plane, a majority vote, Dice for each class and case; anatomical rules are not applied. --out is
written after every case: started again, what the same networks have measured on the same store is not measured again.
--flip averages each slice's logits with those of the slice flipped left to right, flipped back, with classes that are
declared per side (recipe, `opposite`) changing places. A sagittal slice has no left and right: it stays as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Callable

import numpy as np
import onnxruntime

from .classes import Classes
from .config import Recipe
from .store import PLANES, Case, Plane, Store, label_type
from .trainer import classes_of
from .unet import UNet

# Dice in percent after vote and rules on real heads (thesis, Table 4.2), where nerves and chiasm were measured as one.
THESIS = {"eye": 89.6, "lens": 58.8, "optic_nerve": 67.4, "chiasm": 67.4, "pituitary": 58.0, "hippocampus": 71.4,
          "brainstem": 88.6, "brain": 96.8}
SLICES_AT_ONCE = 8
STAGES = [*PLANES, "vote"]

Predict = Callable[[np.ndarray], np.ndarray]
Surround = Callable[[int], tuple[int, int]]


def onnx_network(path: Path, threads: int) -> Predict:
    """A network file as a function from (N, 1, H, W) to logits (N, 2C, H', W')."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["logits"], {"image": image})[0]


def digests(model: Path) -> dict[str, str]:
    """SHA-256 of each network file of a model folder."""
    return {plane: hashlib.sha256((model / f"{plane}.onnx").read_bytes()).hexdigest() for plane in PLANES}


def flipped_too(predict: Predict, mirror: list[int]) -> Predict:
    """The mean of a network's logits on a slice and, turned back, on its mirror image (columns)."""
    # In the mirror image class c looks like class mirror[c]: its two maps are read there.
    order = np.array([2 * other + n for other in mirror for n in (0, 1)])

    def mean(image: np.ndarray) -> np.ndarray:
        turned = predict(np.ascontiguousarray(image[..., ::-1]))[..., ::-1]
        return (predict(image) + turned[:, order]) / 2

    return mean


def predict_plane(predict: Predict, image: np.ndarray, plane: Plane, factor: float, surround: Surround,
                  dtype: np.dtype) -> np.ndarray:
    """Bit-encoded labels (z, y, x) of one network, as words of `dtype`; `surround` gives the zeros that an axis needs
    around it. Slices without any signal have no label."""
    # Slices of the third axis lie scattered in memory: brought to the front once, each is read in one piece.
    slices = np.ascontiguousarray(np.moveaxis(image, plane.normal, 0))
    out = np.zeros(slices.shape, dtype)
    rows, cols = plane.size(image.shape)
    pad = [(0, 0), (0, 0), surround(rows), surround(cols)]
    wanted = np.flatnonzero(slices.any(axis=(1, 2)))
    for first in range(0, len(wanted), SLICES_AT_ONCE):
        numbers = wanted[first:first + SLICES_AT_ONCE]
        logits = predict(np.pad(slices[numbers, None] * np.float32(factor), pad))[:, :, :rows, :cols]
        marked = logits[:, 1::2] > logits[:, ::2]
        out[numbers] = pack(marked, out.dtype)
    return np.moveaxis(out, 0, plane.normal)


def pack(marked: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Label words (N, rows, columns) from bool (N, C, rows, columns)."""
    packed = np.packbits(marked, axis=1, bitorder="little")
    words = np.zeros((len(marked), *marked.shape[2:], dtype.itemsize), np.uint8)
    words[..., :packed.shape[1]] = np.moveaxis(packed, 1, -1)
    return words.view(dtype)[..., 0]


def majority(votes: list[np.ndarray]) -> np.ndarray:
    """A bit is set where at least two of three label volumes set it."""
    a, b, c = votes
    return (a & b) | (a & c) | (b & c)


def label_bytes(labels: np.ndarray) -> list[np.ndarray]:
    """The bytes of label words, lowest first: byte n has the bits of classes 8n to 8n + 7."""
    apart = np.ascontiguousarray(labels)[..., None].view(np.uint8)
    return [apart[..., n] for n in range(labels.dtype.itemsize)]


def joint_counts(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How often each pair of label bytes (found, truth) occurs, (256, 256): all that the Dice of eight classes needs."""
    pairs = found.astype(np.uint16) * np.uint16(256) + truth
    return np.bincount(pairs.ravel(), minlength=65536).reshape(256, 256)


def dice(joint: np.ndarray, bit: int) -> float | None:
    """Dice of one bit of two label volumes, from their joint counts; None when neither has it."""
    has = (np.arange(256) >> bit & 1).astype(bool)
    total = int(joint[has].sum()) + int(joint[:, has].sum())
    return 2 * int(joint[np.ix_(has, has)].sum()) / total if total else None


def measure(recipe: Recipe, classes: Classes, case: Case, networks: dict[str, Predict]) -> list[dict]:
    """Dice of each known class of a case at each stage (each plane, then the vote)."""
    shape = UNet(recipe.network, len(classes))
    labels = [predict_plane(networks[plane], case.image, PLANES[plane], recipe.network.input_factor, shape.surround,
                            label_type(len(classes)))
              for plane in PLANES]
    truth = label_bytes(case.labels)
    joint = {stage: [joint_counts(*pair) for pair in zip(label_bytes(found), truth, strict=True)]
             for stage, found in zip(STAGES, [*labels, majority(labels)])}
    return [{"case": case.name, "class": name, **{stage: dice(joint[stage][c // 8], c % 8) for stage in STAGES}}
            for c, name in enumerate(classes.names) if case.known[c]]


def summarise(classes: list[str], rows: list[dict]) -> list[dict]:
    """Mean, lowest and number for each class and stage; a class that a head does not have is not counted there."""
    summary = []
    for name in classes:
        line = {"class": name}
        for stage in STAGES:
            values = [row[stage] for row in rows if row["class"] == name and row[stage] is not None]
            if values:
                line[stage] = {"mean": sum(values) / len(values), "min": min(values), "n": len(values)}
        summary.append(line)
    return summary


def measured_before(out: Path, store: Store, networks: dict[str, str], flip: bool) -> list[dict]:
    """The rows of an earlier call with the same store, networks and way of predicting."""
    if not out.exists():
        return []
    result = json.loads(out.read_text(encoding="utf-8"))
    before = (result.get("store_sha256"), result.get("networks"), result.get("flip", False))
    same = before == (store.sha256, networks, flip)
    return result["cases"] if same else []


def table(result: dict) -> str:
    """The summary for people, with the thesis's figures (real heads, after rules) beside it."""
    lines = [f"{'Dice %':14}{'axial':>8}{'coronal':>9}{'sagittal':>10}{'vote':>8}{'worst':>8}{'n':>5}   "
             "thesis (real heads)"]
    for row in result["summary"]:
        cells = [f"{100 * row[s]['mean']:.1f}" if s in row else "-" for s in STAGES]
        worst, n = (f"{100 * row['vote']['min']:.1f}", row["vote"]["n"]) if "vote" in row else ("-", 0)
        lines.append(f"{row['class']:14}{cells[0]:>8}{cells[1]:>9}{cells[2]:>10}{cells[3]:>8}{worst:>8}{n:>5}   "
                     f"{THESIS.get(row['class'], '-')}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--store", required=True, type=Path, help="held-out store written by contourd")
    parser.add_argument("--model", required=True, type=Path, help="model folder with the ONNX files")
    parser.add_argument("--out", required=True, type=Path, help="JSON file to write, or to go on with")
    parser.add_argument("--flip", action="store_true", help="average with the flipped slice (test-time augmentation)")
    parser.add_argument("--limit", type=int, help="measure only the first cases")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    recipe, store, files = Recipe.read(given.config), Store(given.store), digests(given.model)
    classes = classes_of(recipe, store)
    networks = {plane: onnx_network(given.model / f"{plane}.onnx", given.threads) for plane in PLANES}
    if given.flip:
        across = [plane for plane in PLANES if PLANES[plane].cols == 2]
        networks.update({plane: flipped_too(networks[plane], classes.mirror) for plane in across})
    rows = measured_before(given.out, store, files, given.flip)
    done = {row["case"] for row in rows}
    result = {"store_sha256": store.sha256, "networks": files, "flip": given.flip,
              "summary": summarise(store.classes, rows), "cases": rows}
    for case in store.cases[:given.limit]:
        if case.name in done:
            continue
        start = time.monotonic()
        rows += measure(recipe, classes, case, networks)
        result["summary"] = summarise(store.classes, rows)
        part = given.out.with_name(given.out.name + ".part")
        part.write_text(json.dumps(result, indent=1), encoding="utf-8")
        os.replace(part, given.out)
        print(f"{case.name}: {time.monotonic() - start:.1f} s", flush=True)
    print(table(result))


if __name__ == "__main__":
    main()
