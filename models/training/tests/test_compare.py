"""Comparing trainings at equal budget."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_store

from contourd_training.calibrate import BINS, REACH
from contourd_training.store import Store

spec = importlib.util.spec_from_file_location("compare", Path(__file__).parents[1] / "bench" / "compare.py")
compare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compare)


def test_changes_are_laid_over_a_recipe_and_leave_the_rest():
    base = {"seed": 1, "optimiser": {"kind": "sgd", "window": 6}}
    assert compare.changed(base, {"optimiser": {"kind": "adam"}, "loss": {"dice_weight": 0.3}}) == {
        "seed": 1, "optimiser": {"kind": "adam", "window": 6}, "loss": {"dice_weight": 0.3}}
    assert base["optimiser"]["kind"] == "sgd"


def test_dice_at_a_threshold():
    positive, negative = np.zeros(BINS, int), np.zeros(BINS, int)
    bin_of = lambda margin: int((margin + REACH) * BINS / (2 * REACH))
    positive[bin_of(1.02)], positive[bin_of(-1.02)], negative[bin_of(2.02)] = 6, 2, 3
    # Above 0: 6 of 8 found, 3 wrong.
    assert compare.dice_of(positive, negative, 0.0) == pytest.approx(2 * 6 / (6 + 3 + 8))
    assert compare.dice_of(positive, negative, -2.0) == pytest.approx(2 * 8 / (8 + 3 + 8))
    assert compare.dice_of(np.zeros(BINS, int), negative, 0.0) is None


def test_hidden_labels_are_unknown_and_dropped_images_are_gone(store, tmp_path):
    def made(name, labels, part):
        compare.make_store(store, tmp_path / name, labels, part, 3)
        return Store(tmp_path / name)

    whole, hidden, dropped = made("all", "all", 0.3), made("hidden", "hidden", 0.3), made("dropped", "dropped", 0.05)
    known = lambda s: sum(int(case.known.sum()) for case in s.cases)
    assert len(whole.cases) == len(hidden.cases) == len(store.cases)
    assert 0.4 * known(whole) < known(hidden) < 0.95 * known(whole)
    for case in hidden.cases:
        assert all(not boxes for boxes, has in zip(case.boxes, case.known) if not has)
    assert 0 < len(dropped.cases) < len(store.cases)
    with pytest.raises(SystemExit, match="no image has all of its labels"):
        made("nothing", "dropped", 1.0)


def test_a_plan_is_trained_measured_and_gone_on_with(store_folder, recipe_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    heldout = write_store(tmp_path / "heldout", 2, 99)
    plan = tmp_path / "plan.toml"
    plan.write_text('minutes = 0.03\nplane = "coronal"\nseeds = [1]\nhidden = 0.3\n[[variant]]\nname = "thesis"\n'
                    '[[variant]]\nname = "hidden, Adam"\nlabels = "hidden"\n'
                    'recipe = { optimiser = { kind = "adam", schedule = "poly", alpha_init = 0.002 } }\n')
    words = ["--plan", str(plan), "--config", str(recipe_file), "--store", str(store_folder), "--heldout", str(heldout),
             "--out", str(tmp_path / "out")]
    compare.main(words)
    said = capsys.readouterr().out
    assert "thesis" in said and "hidden, Adam" in said and "brainstem" in said
    kept = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert set(kept) == {"thesis 1", "hidden, Adam 1"}
    dice = [run["dice"] for run in kept.values()]
    assert all(0 <= v <= 1 for run in dice for values in run.values() for v in values)
    assert all(len(run["brain"]) == 2 for run in dice)
    # Nothing is measured again.
    monkeypatch.setattr(compare, "measure", None)
    compare.main(words)
    plan.write_text(plan.read_text().replace('labels = "hidden"', 'labels = "some"'))
    with pytest.raises(SystemExit, match="labels must be one of all, hidden, dropped"):
        compare.main(words)
