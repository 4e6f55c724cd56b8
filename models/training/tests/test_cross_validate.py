"""Folds by patient, the way to contourd's door, and the tables."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPE, write_store

from contourd_training import cross_validate
from contourd_training.folds import patients_of, tables, write_part
from contourd_training.store import Store

ROOT = Path(__file__).resolve().parents[3]
CONTOURD = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/contourd"


def store_of(tmp_path, patients):
    folder = write_store(tmp_path / "s", len(patients), 3)
    tree = json.loads((folder / "store.json").read_text())
    for entry, patient in zip(tree["cases"], patients):
        if patient:
            entry["patient"] = patient
    (folder / "store.json").write_text(json.dumps(tree))
    return Store(folder)


def test_folds_part_patients_and_not_cases(tmp_path):
    store = store_of(tmp_path, ["p", "q", "p", None, "r"])  # the fourth is a patient of its own
    folds = patients_of(store, 2, 1)
    assert sorted(p for fold in folds for p in fold) == ["case3", "p", "q", "r"] and list(map(len, folds)) == [2, 2]
    assert folds == patients_of(store, 2, 1)
    for fold, patients in enumerate(folds):
        write_part(store, tmp_path / str(fold), patients)
    parts = [Store(tmp_path / str(fold)) for fold in (0, 1)]
    names = [{case.name for case in part.cases} for part in parts]
    assert names[0] | names[1] == {f"case{n}" for n in range(5)} and not names[0] & names[1]
    assert {"case0", "case2"} <= names[0] or {"case0", "case2"} <= names[1]
    assert np.array_equal(parts[0].cases[0].image, next(c.image for c in store.cases if c.name == parts[0].cases[0].name))
    with pytest.raises(SystemExit, match="4 patients, too few for 5 folds"):
        patients_of(store, 5, 1)


def test_the_tables_by_hand():
    def case(dice, far):
        return {"classes": {"eye": {"axial": {"dice": 0.5, "hausdorff_mm": far}, "vote": {"dice": 0.6}, "final": {"dice": dice}}}}

    text = tables([case(0.8, 3.0), case(0.9, None)])
    eyes = [line for line in text.splitlines() if line.startswith("eye ")]
    # Mean 85, deviation 7.07, 1.96 x 7.07 / sqrt 2 = 9.80.
    assert eyes[0].split() == ["eye", *"50.00 +- 0.00 (n 2) 88.3 60.00 +- 0.00 (n 2) - 85.00 +- 9.80 (n 2) 89.6".split()]
    assert eyes[2].split() == ["eye", *"3.00 (n 1) 75.9 - 3.0".split()]
    assert "optic_nerves_and_chiasm" in text and "Table 4.5" in text


def test_folds_are_trained_once_exported_and_handed_to_contourd(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(Path(cross_validate.__file__).parents[1]))
    store = store_of(tmp_path, ["p", "q"])
    recipe, out = tmp_path / "r.toml", tmp_path / "cv"
    recipe.write_text(RECIPE.replace("accumulate = 2", "accumulate = 1"))
    words = ["--config", str(recipe), "--store", str(store.folder), "--iterations", "2", "--out", str(out), "--folds", "2",
             "--devices", "cpu", "cpu", "--threads", "1"]
    with pytest.raises(SystemExit, match="nowhere: cannot be run"):
        cross_validate.main([*words, "--contourd", str(tmp_path / "nowhere")])
    assert (out / "fold0" / "model" / "toy" / "card.toml").exists() and (out / "fold1" / "run" / "sagittal" / "checkpoint.pt").exists()
    before = (out / "fold0" / "run" / "axial" / "run.json").read_text()
    # A program that refuses: its status is said, and no figure is made up.
    with pytest.raises(SystemExit, match="fold0: contourd validate ended with status 1"):
        cross_validate.main([*words, "--contourd", "/bin/false"])
    assert (out / "fold0" / "run" / "axial" / "run.json").read_text() == before
    # The daemon's own pipeline on the cases that a fold was not trained on; nothing is trained again.
    monkeypatch.chdir(ROOT)
    cross_validate.main([*words, "--contourd", str(CONTOURD)])
    printed = capfd.readouterr().out
    assert (out / "tables.txt").read_text() in printed and "fold 1: measured" in printed
    eye = next(line for line in printed.splitlines() if line.startswith("eye "))
    assert "(n 2)" in eye and eye.rstrip().endswith("89.6"), eye
    assert (out / "fold0" / "run" / "axial" / "run.json").read_text() == before
    kept = sorted((out / "fold1" / "measures" / "cases").glob("*.json"))
    case = cross_validate.figures(kept[0])
    assert len(kept) == 1 and "optic_nerves_and_chiasm" in case["classes"], case
    assert all(0 <= case["classes"]["brain"][stage]["dice"] <= 1 for stage in ("axial", "vote", "final"))
    with pytest.raises(SystemExit, match="another iterations"):
        cross_validate.main([*words, "--iterations", "3"])
