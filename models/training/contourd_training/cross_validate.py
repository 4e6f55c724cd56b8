"""Cross-validates a recipe by patient, through the daemon's own pipeline.

python3 -m contourd_training.cross_validate --config RECIPE --store FOLDER --iterations 1600 --out FOLDER
    [--folds 5] [--contourd target/release/contourd] [--devices cuda:0 cuda:1]

For each fold the three planes are trained on the patients of the other folds, exported, and run with the anatomical
rules over the fold's own cases by `contourd validate`; then the thesis's tables are printed with ours beside them.
Started again it goes on: what is trained is not trained again, what is measured is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path

from . import export
from .card import card, to_toml
from .config import Recipe
from .folds import STAGES, patients_of, tables, write_part
from .planes import Job, all_devices, run_all, training
from .store import PLANES, Store
from .trainer import read_checkpoint


def plan(out: Path, recipe_file: Path, store: Store, folds: int, iterations: int) -> None:
    """Writes what this folder is a cross-validation of; refuses a folder that is one of something else."""
    wanted = {"recipe": recipe_file.read_text(encoding="utf-8"), "store_sha256": store.sha256, "folds": folds,
              "iterations": iterations}
    path = out / "plan.json"
    if path.exists():
        differs = [key for key, value in json.loads(path.read_text(encoding="utf-8")).items() if value != wanted[key]]
        if differs:
            raise SystemExit(f"{out}: is a cross-validation with another {', '.join(differs)}; give another --out")
    path.write_text(json.dumps(wanted, indent=1), encoding="utf-8")


def untrained(out: Path, recipe_file: Path, folds: int, iterations: int, threads: int) -> dict[str, Job]:
    """The trainings that have not reached their iterations."""
    jobs = {}
    for fold in range(folds):
        words = ["--config", str(recipe_file), "--store", str(out / f"fold{fold}" / "train"), "--iterations", str(iterations),
                 "--progress", "lines"]
        for plane in PLANES:
            run = out / f"fold{fold}" / "run" / plane
            done = run / "checkpoint.pt"
            if not (done.exists() and read_checkpoint(done)["iteration"] >= iterations):
                jobs[f"fold {fold} {plane}"] = training(words, plane, run, threads)
    return jobs


def make_model(folder: Path, recipe_file: Path, command: str) -> Path:
    """The fold's model with a card, so that contourd takes it; its figures are what is measured next."""
    recipe = Recipe.read(recipe_file)
    model = folder / "model" / recipe.model.name  # contourd wants a model's folder to have its name
    if (model / "card.toml").exists():
        return model
    export.main(["--config", str(recipe_file), "--run", str(folder / "run"), "--store", str(folder / "train"),
                 "--out", str(model)])
    tree = card(recipe, Store(folder / "train"), Store(folder / "heldout"), folder / "run", None, [command],
                [f"One fold of a cross-validation ({folder.name})."], model)
    (model / "card.toml").write_text(to_toml(tree), encoding="utf-8")
    return model


def measure(folder: Path, model: Path, contourd: Path) -> list[dict]:
    """What contourd measures on the held-out cases with this fold's model and all rules. It keeps what it has measured."""
    heldout, out = folder / "heldout", folder / "measures"
    command = [str(contourd), "validate", "--store", str(heldout), "--model", str(model), "--output", str(out)]
    try:
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    except OSError as fault:
        raise SystemExit(f"{contourd}: cannot be run ({fault}); build it, or name it with --contourd") from fault
    if status:
        raise SystemExit(f"{folder.name}: contourd validate ended with status {status}; its words are above")
    return [figures(out / "cases" / f"{case.name}.json") for case in Store(heldout).cases]


def figures(path: Path) -> dict:
    """What the tables need of one case's file: {"classes": {class: {stage: {measure: value}}}}."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    classes: dict = {}
    for stage in STAGES:
        for row in kept["stages"][stage]:
            name = row["structure"].replace(" ", "_")
            # Rows of the thesis repeat the classes, but for nerves with chiasm.
            if row["pooled"] and name != "optic_nerves_and_chiasm":
                continue
            overlap, distances = row["overlap"] or {}, row["distances"] or {}
            values = {"dice": overlap.get("dice"), "hausdorff_mm": distances.get("hausdorff_mm"),
                      "mean_distance_mm": distances.get("mean_mm")}
            for measure in ("dice", "sensitivity", "precision", "specificity"):
                values[f"{measure}_tolerant"] = overlap.get(f"tolerant_{measure}")
            classes.setdefault(name, {})[stage] = values
    return {"case": kept["case"], "classes": classes}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.cross_validate", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--store", required=True, type=Path, help="training store; folds are made by its cases' patients")
    parser.add_argument("--iterations", required=True, type=int, help="updates of the parameters, each plane and fold")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--contourd", type=Path, default=Path("target/release/contourd"), help="the program")
    parser.add_argument("--devices", nargs="+", help="one training at a time on each [all CUDA devices, else cpu, three times]")
    parser.add_argument("--threads", type=int, help="of each training [an equal share of the cores]")
    given = parser.parse_args(arguments)
    recipe, store = Recipe.read(given.config), Store(given.store)
    given.out.mkdir(parents=True, exist_ok=True)
    plan(given.out, given.config, store, given.folds, given.iterations)
    parts = patients_of(store, given.folds, recipe.seed)
    everyone = set().union(*parts)
    for fold, patients in enumerate(parts):
        write_part(store, given.out / f"fold{fold}" / "train", everyone - patients)
        write_part(store, given.out / f"fold{fold}" / "heldout", patients)
    found = all_devices()
    slots = given.devices or (["cpu"] * len(PLANES) if found == ["cpu"] else found)
    threads = given.threads or max(1, (os.cpu_count() or 1) // len(slots))
    codes = run_all(untrained(given.out, given.config, given.folds, given.iterations, threads), slots)
    failed = [name for name, code in codes.items() if code]
    if failed:
        raise SystemExit(f"not trained: {', '.join(failed)}; put right what is said above, then run the same command again")
    measured = []
    for fold in range(given.folds):
        folder = given.out / f"fold{fold}"
        model = make_model(folder, given.config, f"python3 -m contourd_training.cross_validate --folds {given.folds} "
                                                 f"--iterations {given.iterations}")
        measured += measure(folder, model, given.contourd)
        print(f"fold {fold}: measured", flush=True)
    text = tables(measured)
    (given.out / "tables.txt").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
