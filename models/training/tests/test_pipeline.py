"""The whole way on a small store: train, stop, go on, export, measure, card."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CLASSES, RECIPE, WORKING, write_store

from contourd_training import card, evaluate, export, train
from contourd_training.config import Recipe, RecipeError
from contourd_training.store import PLANES, Store

SHIPPED = Path(__file__).parent.parent / "recipes" / "oar-head-v3.toml"

def run_train(recipe_file, store_folder, out, plane, iterations, *more):
    train.main(["--config", str(recipe_file), "--store", str(store_folder), "--plane", plane, "--out", str(out),
                "--iterations", str(iterations), "--threads", "1", "--progress", "none", *more])
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(recipe_file, store_folder, tmp_path):
    recipe_file.write_text(RECIPE.replace("anneal = true", "anneal = false"))
    whole = run_train(recipe_file, store_folder, tmp_path / "whole", "coronal", 8)
    run_train(recipe_file, store_folder, tmp_path / "parts", "coronal", 3)
    parts = run_train(recipe_file, store_folder, tmp_path / "parts", "coronal", 8)
    for a, b in zip(whole, parts, strict=True):
        assert (a["iteration"], a["alpha"]) == (b["iteration"], b["alpha"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    states = [torch.load(tmp_path / n / "checkpoint.pt") for n in ("whole", "parts")]
    for key, value in states[0]["network"].items():
        assert torch.allclose(value, states[1]["network"][key], atol=1e-4), key


def test_a_run_can_start_with_the_network_of_another(recipe_file, store_folder, tmp_path):
    run_train(recipe_file, store_folder, tmp_path / "first", "axial", 4)
    more = ["--from", str(tmp_path / "first"), "--alpha", "0.01"]
    log = run_train(recipe_file, store_folder, tmp_path / "second", "axial", 3, *more)
    assert [line["iteration"] for line in log] == [1, 2, 3] and log[0]["alpha"] == 0.01
    states = [torch.load(tmp_path / n / "checkpoint.pt") for n in ("first", "second")]
    assert states[1]["before"]["iterations"] == 4 and states[1]["iteration"] == 3
    # Three small steps away from where the first ended, not from a random network.
    moved = max(float((v - states[0]["network"][k]).norm()) for k, v in states[1]["network"].items() if "weight" in k)
    assert 0 < moved < 0.1
    with pytest.raises(SystemExit, match="another plane"):
        run_train(recipe_file, store_folder, tmp_path / "third", "coronal", 1, "--from", str(tmp_path / "first"))


def test_a_checkpoint_of_another_plane_or_store_is_not_taken(recipe_file, store_folder, tmp_path):
    run_train(recipe_file, store_folder, tmp_path / "run", "axial", 1)
    with pytest.raises(SystemExit, match="another plane"):
        run_train(recipe_file, store_folder, tmp_path / "run", "sagittal", 2)
    tree = json.loads((store_folder / "store.json").read_text())
    other = write_store(tmp_path / "other", 2, 99)
    with pytest.raises(SystemExit, match="another store"):
        run_train(recipe_file, other, tmp_path / "run", "axial", 2)
    # A store that holds the old heads and a new one is taken.
    new = json.loads((other / "store.json").read_text())["cases"][0]
    for kind in ("image", "labels"):
        (other / f"case0.{kind}.npy").rename(other / f"new.{kind}.npy")
        for case in tree["cases"]:
            shutil.copy(store_folder / f"{case['id']}.{kind}.npy", other)
    tree["cases"].append({**new, "id": "new"})
    (other / "store.json").write_text(json.dumps(tree))
    assert len(run_train(recipe_file, other, tmp_path / "run", "axial", 2)) == 2


def test_from_store_to_card(recipe_file, store_folder, tmp_path, capsys):
    heldout = write_store(tmp_path / "heldout", 3, 99)
    run, model = tmp_path / "run", tmp_path / "toy"
    for plane in PLANES:
        log = run_train(recipe_file, store_folder, run / plane, plane, 30)
        assert log[-1]["loss"] < 0.75 * log[0]["loss"], plane
        assert log[-1]["alpha"] < log[0]["alpha"]
    given = ["--config", str(recipe_file), "--run", str(run)]
    export.main([*given, "--store", str(store_folder), "--out", str(model)])
    measuring = ["--config", str(recipe_file), "--store", str(heldout), "--model", str(model),
                 "--out", str(tmp_path / "evaluation.json")]
    # One case first, then the others: nothing is measured twice.
    for words, measured in ([*measuring, "--limit", "1"], 1), (measuring, 2), (measuring, 0):
        evaluate.main(words)
        assert capsys.readouterr().out.count(" s\n") == measured
    result = json.loads((tmp_path / "evaluation.json").read_text())
    vote = {row["class"]: row["vote"] for row in result["summary"] if "vote" in row}
    assert set(vote) == set(CLASSES) and vote["brain"]["mean"] > 0.7 and vote["brain"]["n"] == 3
    assert vote["lens"]["n"] == 2  # not segmented in one case

    commands = tmp_path / "commands"
    commands.write_text("first --with \"quotes\"\nsecond\n")
    words = [*given, "--store", str(store_folder), "--heldout", str(heldout), "--commands", str(commands),
             "--evaluation", str(tmp_path / "evaluation.json"), "--note", "a note", "--out", str(model)]
    card.main(words)
    tree = tomllib.loads((model / "card.toml").read_text())
    assert tree["classes"] == CLASSES and tree["working"] == WORKING and tree["multiple"] == 4
    assert [n["plane"] for n in tree["network"]] == ["axial", "coronal", "sagittal"]
    assert tree["training"]["notes"] == ["a note"] and tree["training"]["commands"] == ["first --with \"quotes\"", "second"]
    assert tree["training"]["recipe"]["optimiser"]["window"] == 6 and tree["training"]["trained"][1]["iterations"] == 30
    assert {row["class"]: row["n"] for row in tree["validation"]} == {c: v["n"] for c, v in vote.items()}
    # What was usual for earlier networks goes with them.
    with (model / "card.toml").open("a") as text:
        text.write('\n[quality]\ncommand = "of earlier networks"\n')
    card.main(words)
    assert tomllib.loads((model / "card.toml").read_text()) == tree and "quality" not in tree
    # Figures of other networks, or on heads that were trained on, do not get into a card.
    stale = {**result, "networks": {**result["networks"], "axial": "0" * 64}}
    (tmp_path / "stale.json").write_text(json.dumps(stale))
    with pytest.raises(SystemExit, match="other networks"):
        card.main([w if w != str(tmp_path / "evaluation.json") else str(tmp_path / "stale.json") for w in words])
    with pytest.raises(SystemExit, match="shares heads|not made with"):
        card.main([w if w != str(heldout) else str(store_folder) for w in words])


def test_evaluation_by_hand():
    a = np.array([[[1, 3, 0, 2]]], np.uint8)
    joint = evaluate.joint_counts(a, np.array([[[1, 1, 130, 0]]], np.uint8))
    assert joint.sum() == 4 and joint[3, 1] == 1 and joint[0, 130] == 1
    assert [evaluate.dice(joint, bit) for bit in (0, 1, 2, 7)] == [1.0, 0.0, None, 0.0]
    assert evaluate.dice(evaluate.joint_counts(a, np.array([[[1, 0, 0, 2]]], np.uint8)), 1) == pytest.approx(2 / 3)
    votes = [np.array([v], np.uint8) for v in (0b0111, 0b0101, 0b1100)]
    assert evaluate.majority(votes).tolist() == [0b0101]


@pytest.mark.parametrize("border", [0, 3])
@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_gets_the_label_of_its_own_pixel(plane, border):
    rng = np.random.default_rng(2)
    image = rng.random((7, 10, 13)).astype(np.float32) * 1000
    image[3] = image[:, 4] = image[:, :, 5] = 0
    seen = []

    def threshold(stack):  # one class, brighter than half; loses the border as a "valid" network does
        seen.append(stack.shape)
        inner = stack[:, :, border:stack.shape[2] - border, border:stack.shape[3] - border]
        return np.concatenate([np.full_like(inner, 0.5), inner], axis=1)

    surround = lambda n: (border, border + -n % 4)
    out = evaluate.predict_plane(threshold, image, PLANES[plane], 0.001, surround, np.dtype("u1"))
    assert (out == (image > 500)).all()
    assert all((rows - 2 * border) % 4 == 0 and (cols - 2 * border) % 4 == 0 for _, _, rows, cols in seen)


def test_the_shipped_recipe_reads_and_faults_are_named(tmp_path):
    recipe = Recipe.read(SHIPPED)
    assert recipe.model.name == "oar-head-v3" and recipe.model.purpose == "research"
    text = SHIPPED.read_text()
    faults = [("padding = \"same\"", "padding = \"some\"", "network.padding"), ("seed = 20263", "", "seed"),
              ("batch = 10", "batch = 10\nsurprise = 1", "surprise"), ("momentum = 0.9", "momentum = 1.0", "momentum"),
              ("poolings = 4", "poolings = \"4\"", "network.poolings"),
              ("positive_weight = 0.3", "positive_weight = 1.0", "loss"),
              ("axial = [192, 192]", "", "sampling.patch"),
              ("gain = [0.4, 1.3]", "gain = [1.3, 0.4]", "augmentation.gain")]
    for old, new, named in faults:
        assert old in text
        path = tmp_path / "bad.toml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(RecipeError, match=named):
            Recipe.read(path)
