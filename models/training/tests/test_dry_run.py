"""Wrong data is found before the night starts, all of it at once."""

import hashlib
import json

import numpy as np
import pytest
from conftest import RECIPE, write_store

from contourd_training import train
from contourd_training.dry_run import check_store, dry_run


def change(folder, name, kind, edit):
    """Edits an array of a case and its digest."""
    path = folder / f"{name}.{kind}.npy"
    array = np.load(path)
    edit(array)
    np.save(path, array)
    tree = json.loads((folder / "store.json").read_text())
    entry = next(e for e in tree["cases"] if e["id"] == name)
    entry[f"{kind}_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "store.json").write_text(json.dumps(tree))


def test_a_good_store_is_ready(recipe_file, store_folder, capsys):
    with pytest.raises(SystemExit) as ended:
        train.main(["--config", str(recipe_file), "--store", str(store_folder), "--plane", "axial", "--out", "/nowhere",
                    "--threads", "1", "--dry-run"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and "4 cases, eye in 4, lens in 3" in said and "ready to train" in said
    assert "axial: one update works" in said and "MiB for network and batch" in said


def test_everything_wrong_is_said_at_once(recipe_file, tmp_path, capsys):
    folder = write_store(tmp_path / "s", 6, 3)

    def nan(image):
        image[3, 4, 5:8] = np.nan

    def stray(labels):
        labels[0, 0, 0] |= 128  # a voxel of brain in a corner

    def no_pituitary(labels):
        labels &= 255 - 16

    change(folder, "case0", "image", nan)
    change(folder, "case1", "labels", stray)
    change(folder, "case2", "labels", no_pituitary)
    (folder / "case3.image.npy").write_bytes(b"no array")
    with open(folder / "case4.labels.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    tree = json.loads((folder / "store.json").read_text())
    for entry in tree["cases"]:
        entry["boxes"].pop("chiasm", None)
    tree["cases"][5]["boxes"]["eye"][0][5] += 3
    tree["cases"][5]["known"].remove("brainstem")
    (folder / "store.json").write_text(json.dumps(tree))
    recipe_file.write_text(RECIPE.replace("window = 6", "window = 1"))
    assert dry_run(recipe_file, folder, None, ["axial"], "cpu") == 1
    said = capsys.readouterr().err
    for words in ("optimiser.window", "case0: 3 voxels of the image are not finite", "case1: 1 voxels of brain lie outside",
                  "case2: pituitary is marked without a box, or has a box without a mark", "case3.image.npy: cannot be read",
                  "case4.labels.npy: its SHA-256", "no case has chiasm", "case5: a box of eye is larger",
                  "case5: brainstem is marked or has a box, but is not listed"):
        assert words in said, words


def test_bits_beyond_the_classes_and_shared_patients_are_found(recipe_file, store_folder, tmp_path, capsys):
    folder = write_store(tmp_path / "s", 2, 3, ["eye", "brain"])

    def beyond(labels):
        labels[0, 0, 0] |= 4

    change(folder, "case0", "labels", beyond)
    assert [f for f in check_store(folder).faults if "bits beyond the 2 classes" in f]
    heldout = write_store(tmp_path / "h", 2, 77)
    assert dry_run(recipe_file, store_folder, heldout, ["axial"], "cpu") == 1
    assert "shares patients with" in capsys.readouterr().err  # both have a case0


def test_a_patch_that_does_not_fit_is_found(recipe_file, store_folder, capsys):
    recipe_file.write_text(RECIPE.replace("axial = [32, 40]", "axial = [30, 41]"))
    assert dry_run(recipe_file, store_folder, None, ["axial"], "cpu") == 1
    assert "a patch must fit the network" in capsys.readouterr().err
