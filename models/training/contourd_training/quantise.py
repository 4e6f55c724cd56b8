"""Static int8 of a model's networks, kept only when it costs no class 0.005 of its Dice.

python3 -m contourd_training.quantise --config RECIPE --model MODEL_FOLDER --store FOLDER --heldout FOLDER
    --evaluation FILE.json --out MODEL_FOLDER --record FILE.json [--planes axial sagittal]

Reads MODEL_FOLDER/<plane>.onnx (float32, written by contourd_training.export), finds the range of every map on slices of
the training store and writes OUT/<plane>.onnx with int8 weights and uint8 maps: the same input and output, N, H and W
free. Planes that are not named are copied as they are. Then the new model is measured as contourd_training.evaluate
measured the float32 one (--evaluation), on the same held-out heads. When a class loses 0.005 or more of the mean Dice of its vote, or
no head has it, nothing is written and the exit status is 3 (1: anything else that went wrong). Else --record is the evaluation of the new model, for
contourd_training.card, with what it was made from and what each class lost (`quantised`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Iterator

import numpy as np

from . import evaluate
from .classes import Classes
from .config import Recipe
from .export import TOLERANCE, export, parity, real_slices
from .int8 import Int8UNet
from .store import PLANES, Plane, Store
from .trainer import classes_of

# A class may lose less than this of its mean Dice.
ALLOWED = 0.005


class TooCostly(SystemExit):
    """8 bits cost a class too much, or it was not measured."""


def calibration_slices(store: Store, plane: Plane, network: Int8UNet, cases: int) -> Iterator[np.ndarray]:
    """Network inputs float32 (1, 1, H, W): the middle slice of each organ's box, on each side, of `cases` heads spread
    over the store. Slices at random would hardly show the small organs, whose maps have the largest values."""
    for number in np.unique(np.linspace(0, len(store.cases) - 1, cases).round().astype(int)):
        case = store.cases[number]
        middles = {int(lo[plane.normal] + hi[plane.normal]) // 2 for boxes in case.boxes for lo, hi in boxes}
        for index in sorted(middles):
            image = plane.cut(case.image, index)
            pad = [network.surround(extent) for extent in image.shape]
            yield np.pad(image * np.float32(network.input_factor), pad)[None, None]


def quantise(recipe: Recipe, classes: Classes, store: Store, plane: Plane, source: Path, out: Path,
             cases: int) -> None:
    """Writes the int8 network of a plane. Raises SystemExit when `source` was not read as what it computes."""
    network = Int8UNet(recipe.network, len(classes), source)
    worst = parity(network, source, real_slices(store, plane, network))
    if worst > TOLERANCE:
        raise SystemExit(f"{source}: differs by {worst:.1e} from the recipe's network with its weights (allowed: "
                         f"{TOLERANCE:.0e}); the recipe must be the model's, and the model float32")
    network.calibrate(calibration_slices(store, plane, network, cases))
    export(network, out)


def figures(evaluation: Path, model: Path, heldout: Store) -> list[dict]:
    """The summary of a model's evaluation. Raises SystemExit when it has not measured each head of the store."""
    rows = evaluate.measured_before(evaluation, heldout, evaluate.digests(model), False)
    if {row["case"] for row in rows} != {case.name for case in heldout.cases}:
        raise SystemExit(f"{evaluation}: is not the evaluation of {model} on all heads of {heldout.folder}; run "
                         "contourd_training.evaluate first, without --flip")
    return evaluate.summarise(heldout.classes, rows)


def lost(before: list[dict], after: list[dict], stage: str) -> dict[str, float]:
    """Mean Dice that each class loses at a stage, from two summaries; NaN for a class that neither measured."""
    mean = lambda row: row[stage]["mean"] if stage in row else float("nan")
    return {old["class"]: mean(old) - mean(new) for old, new in zip(before, after, strict=True)}


def table(before: list[dict], after: list[dict]) -> str:
    """Dice in percent of each class and stage, before and after, and what the vote loses."""
    cell = lambda row, stage: f"{100 * row[stage]['mean']:.2f}" if stage in row else "-"
    lines = [f"{'Dice %':14}" + "".join(f"{stage:>16}" for stage in evaluate.STAGES) + f"{'vote loses':>12}"]
    for old, new, loss in zip(before, after, lost(before, after, "vote").values(), strict=True):
        cells = "".join(f"{cell(old, stage):>8}{cell(new, stage):>8}" for stage in evaluate.STAGES)
        lines.append(f"{old['class']:14}{cells}{100 * loss:>12.2f}")
    return "\n".join(lines)


def refusal(before: list[dict], after: list[dict]) -> str:
    """Why the networks are not kept, class by class; nothing when they may be."""
    faults = []
    for name, loss in lost(before, after, "vote").items():
        if np.isnan(loss):
            faults.append(f"{name}: no held-out head has it, so it was not measured")
        elif loss >= ALLOWED:
            planes = ", ".join(f"{plane} {lost(before, after, plane)[name]:+.4f}" for plane in PLANES)
            faults.append(f"{name}: loses {loss:.4f} of its Dice (allowed: less than {ALLOWED}; by plane: {planes})")
    return "\n".join(faults)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.quantise", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--model", required=True, type=Path, help="model folder with the float32 ONNX files")
    parser.add_argument("--store", required=True, type=Path, help="training store, to find ranges on")
    parser.add_argument("--heldout", required=True, type=Path, help="store to measure on")
    parser.add_argument("--evaluation", required=True, type=Path,
                        help="JSON that contourd_training.evaluate wrote of the float32 model on these heads")
    parser.add_argument("--out", required=True, type=Path, help="folder of the int8 model")
    parser.add_argument("--record", required=True, type=Path, help="JSON file to write: the evaluation of the int8 model")
    parser.add_argument("--planes", nargs="+", choices=sorted(PLANES), default=list(PLANES),
                        help="planes to quantise; the others stay float32 [all]")
    parser.add_argument("--cases", type=int, default=12, help="heads to find ranges on")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    recipe, store, heldout = Recipe.read(given.config), Store(given.store), Store(given.heldout)
    if shared := store.shares_with(heldout):
        raise SystemExit(f"the held-out store shares {shared} with the training store; measure on others")
    if given.out.resolve() == given.model.resolve():
        raise SystemExit(f"{given.out}: is the float32 model itself; name another folder")
    classes, before = classes_of(recipe, store), figures(given.evaluation, given.model, heldout)
    for folder in (given.out.parent, given.record.parent):
        folder.mkdir(parents=True, exist_ok=True)
    # Beside the model folder, so that the files can be moved; gone whatever happens.
    with tempfile.TemporaryDirectory(dir=given.out.parent, prefix=f".{given.out.name}.") as scratch:
        part = Path(scratch)
        for plane in PLANES:
            source, path = given.model / f"{plane}.onnx", part / f"{plane}.onnx"
            if plane in given.planes:
                quantise(recipe, classes, store, PLANES[plane], source, path, given.cases)
                print(f"{plane}: {source.stat().st_size} bytes before, {path.stat().st_size} after", flush=True)
            else:
                shutil.copyfile(source, path)
        networks = {plane: evaluate.onnx_network(part / f"{plane}.onnx", given.threads) for plane in PLANES}
        rows = []
        for case in heldout.cases:
            rows += evaluate.measure(recipe, classes, case, networks)
            print(f"{case.name}: measured", flush=True)
        after = evaluate.summarise(classes.names, rows)
        print(table(before, after))
        fault = refusal(before, after)
        if fault:
            raise TooCostly(f"{fault}\nnot written: {given.out}; quantise fewer planes (--planes), or stay with float32")
        made = {"planes": given.planes, "store_sha256": store.sha256, "networks": evaluate.digests(given.model),
                "summary": before, "lost": lost(before, after, "vote")}
        record = {"store_sha256": heldout.sha256, "networks": evaluate.digests(part), "flip": False, "summary": after,
                  "cases": rows, "quantised": made}
        given.out.mkdir(exist_ok=True)
        for plane in PLANES:
            os.replace(part / f"{plane}.onnx", given.out / f"{plane}.onnx")
    given.record.write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(f"{given.out}: written; {given.record}: its evaluation")


if __name__ == "__main__":
    try:
        main()
    except TooCostly as why:
        print(why, file=sys.stderr)
        sys.exit(3)
