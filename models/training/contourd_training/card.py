"""Writes the model's card.

python3 -m contourd_training.card --config RECIPE --store FOLDER --heldout FOLDER --run FOLDER --evaluation FILE
    --commands FILE --out MODEL_FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import math
import tomllib
from pathlib import Path

import onnxruntime

from . import evaluate
from .config import Recipe
from .records import trained_with
from .store import PLANES, Store
from .trainer import classes_of, earlier, read_checkpoint
from .unet import UNet


def toml_value(value) -> str:
    """A TOML value on one line. Strings as in JSON, whose escapes TOML's basic strings share."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a card holds finite numbers only")
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(v, str) for v in value) and sum(map(len, value)) > 80:
            return "[\n" + "".join(f"    {toml_value(v)},\n" for v in value) + "]"
        return "[" + ", ".join(map(toml_value, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no place in a card")


def to_toml(tree: dict) -> str:
    """TOML of a tree of tables and arrays of tables."""
    text = "\n".join(_blocks(tree, "", ""))
    if tomllib.loads(text) != json.loads(json.dumps(tree)):
        raise ValueError("the card does not read back as it was written")
    return text


def _blocks(table: dict, path: str, header: str) -> list[str]:
    """A table's own block (its header, if it has one, and its plain values), then those of the tables in it."""
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    blocks = [header + "".join(f"{key} = {toml_value(value)}\n" for key, value in plain.items())]
    for key, value in table.items():
        inner = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict):
            blocks += _blocks(value, inner, f"[{inner}]\n")
        elif _is_table(value):
            blocks += [block for entry in value for block in _blocks(entry, inner, f"[[{inner}]]\n")]
    return blocks


def _is_table(value) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def int8_notes(evaluation: dict | None) -> list[str]:
    """What contourd_training.quantise did to the networks, when it was it that measured them."""
    done = (evaluation or {}).get("quantised")
    if not done:
        return []
    name, most = max(done["lost"].items(), key=lambda loss: loss[1])
    return [f"{', '.join(done['planes'])}: networks in 8 bits (static, per channel), but for the first convolution and the "
            f"segmentation layers; the greatest loss of a class's mean Dice against float32 is {most:.4f} ({name})."]


def card(
    recipe: Recipe, store: Store, heldout: Store, run: Path, evaluation: dict | None, commands: list[str],
    notes: list[str], model: Path, looks: list[str] | None = None,
) -> dict:
    """The card of the networks in a model folder. Without an evaluation it has no figures (a fold of a
    cross-validation, which is measured by contourd itself)."""
    if evaluation and evaluation["store_sha256"] != heldout.sha256:
        raise SystemExit("the evaluation was not made with this held-out store; measure again")
    if evaluation and evaluation["networks"] != evaluate.digests(model):
        raise SystemExit("the evaluation was made with other networks; measure again")
    if shared := heldout.shares_with(store):
        raise SystemExit(f"the held-out store shares {shared} with the training store; a card needs figures on others")
    networks = [{"plane": plane, "file": f"{plane}.onnx", "sha256": digest}
                for plane, digest in evaluate.digests(model).items()]
    trained, with_versions = [], []
    for plane in PLANES:
        state = read_checkpoint(run / plane / "checkpoint.pt")
        if state["store_sha256"] != store.sha256 or state["plane"] != plane:
            raise SystemExit(f"{run / plane}: this network was trained on another store or plane")
        before = earlier(state)
        with_versions += trained_with(run / plane, state["iteration"])
        trained.append({"plane": plane, "iterations": before["iterations"] + state["iteration"],
                        "minutes": round((before["seconds"] + state["seconds"]) / 60, 1)})
    classes = classes_of(recipe, store)
    border = UNet(recipe.network, len(classes)).border
    settings = dataclasses.asdict(recipe)
    parts = ("implied", "opposite", "network", "sampling", "loss", "optimiser", "augmentation", "compute")
    described = {key: settings[key] for key in parts if settings[key]}
    return {
        "format": 1,
        "name": recipe.model.name,
        "version": recipe.model.version,
        "created": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "purpose": recipe.model.purpose,
        "statement": recipe.model.statement,
        "licence": recipe.model.licence,
        "classes": classes.names,
        "input_factor": recipe.network.input_factor,
        "padding": recipe.network.padding,
        "multiple": 2 ** recipe.network.poolings,
        **({"border": border} if border else {}),
        "working": store.working,
        **({"class": [entry.card() for entry in classes.described]} if classes.described else {}),
        "network": networks,
        "training": {
            "data": f"{recipe.model.data} {len(store.cases)} heads to train, {len(heldout.cases)} others to measure. "
                    f"Store: {store.tree.get('generator', 'unknown')}.",
            "commands": commands,
            "notes": [*int8_notes(evaluation), *notes],
            **({"looks": looks} if looks else {}),
            "recipe": described,
            "seed": recipe.seed,
            # Of the training; of each the one, or all that took part.
            "versions": {what: ", ".join(sorted({start[what] for start in with_versions})) for what in with_versions[0]}
                        | {"onnxruntime": onnxruntime.__version__},
            "store_sha256": store.sha256,
            "heldout_sha256": heldout.sha256,
            "trained": trained,
        },
        "validation": [
            {"class": row["class"], "dice_mean": round(row["vote"]["mean"], 4),
             "dice_min": round(row["vote"]["min"], 4), "n": row["vote"]["n"]}
            for row in (evaluation["summary"] if evaluation else []) if "vote" in row
        ],
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.card", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--store", required=True, type=Path, help="training store")
    parser.add_argument("--heldout", required=True, type=Path, help="store of the evaluation")
    parser.add_argument("--run", required=True, type=Path, help="folder that holds axial, coronal and sagittal")
    parser.add_argument("--evaluation", required=True, type=Path, help="JSON written by contourd_training.evaluate")
    parser.add_argument("--commands", required=True, type=Path, help="the commands that made the model, one a line")
    parser.add_argument("--note", action="append", default=[], help="what the commands do not tell, once or often")
    parser.add_argument("--look", action="append", default=[],
                        help="a look at real images that nothing was trained on: date, what was seen, what was changed")
    parser.add_argument("--out", required=True, type=Path, help="model folder with the ONNX files")
    given = parser.parse_args(arguments)
    recipe = Recipe.read(given.config)
    commands = [line for line in given.commands.read_text(encoding="utf-8").splitlines() if line.strip()]
    evaluation = json.loads(given.evaluation.read_text(encoding="utf-8"))
    tree = card(recipe, Store(given.store), Store(given.heldout), given.run, evaluation, commands, given.note, given.out,
                given.look)
    (given.out / "card.toml").write_text(to_toml(tree), encoding="utf-8")
    print(f"{given.out / 'card.toml'}: written")


if __name__ == "__main__":
    main()
