"""What must not happen by mistake: going on with another recipe or other labels, two trainings in one folder, figures on
patients that were trained on."""

import json
import shutil

import pytest

from contourd_training import train
from contourd_training.store import Store
from contourd_training.train import alone, held_out


def changed(folder, to, change):
    """A copy of a store whose cases were changed in its list."""
    shutil.copytree(folder, to)
    tree = json.loads((to / "store.json").read_text())
    for number, case in enumerate(tree["cases"]):
        change(number, case)
    (to / "store.json").write_text(json.dumps(tree))
    return to


def words(recipe, store, out, iterations):
    return ["--config", str(recipe), "--store", str(store), "--plane", "axial", "--out", str(out), "--iterations",
            str(iterations), "--threads", "1", "--progress", "none", "--workers", "0"]


def test_a_training_goes_on_with_the_recipe_and_the_labels_that_it_began_with(recipe_file, store_folder, tmp_path, capsys):
    out = tmp_path / "run"
    train.main(words(recipe_file, store_folder, out, 1))
    other = tmp_path / "other.toml"
    text = recipe_file.read_text()
    assert "noise = 0.02" in text
    other.write_text(text.replace("noise = 0.02", "noise = 0.03"))
    with pytest.raises(SystemExit, match=r"another recipe \(augmentation\)"):
        train.main(words(other, store_folder, out, 2))

    def relabel(number, case):
        if number == 2:
            case["labels_sha256"] = "0" * 64
    relabelled = changed(store_folder, tmp_path / "relabelled", relabel)
    with pytest.raises(SystemExit, match="1 of the heads that it was trained on have other labels"):
        train.main(words(recipe_file, relabelled, out, 2))
    # A name and how it is computed are no part of what was trained.
    other.write_text(text.replace('version = "', 'version = "9.', 1))
    train.main(words(other, store_folder, out, 2))
    assert "goes on after iteration 1" in capsys.readouterr().out


def test_one_training_at_a_time_works_in_a_folder(tmp_path):
    with alone(tmp_path):
        with pytest.raises(SystemExit, match="another training is at work"):
            with alone(tmp_path):
                pass
    with alone(tmp_path):
        pass


def test_a_patient_is_not_trained_on_and_measured(store_folder, tmp_path):
    def of_patients(first):
        def change(number, case):
            case["patient"] = f"p{first + number}"
            case["image_sha256"] = f"{first + number:064}"
        return change
    training = Store(changed(store_folder, tmp_path / "a", of_patients(0)))
    # Another image of the same patient.
    def another(number, case):
        of_patients(10)(number, case)
        if number == 1:
            case["patient"] = "p3"
    folder = changed(store_folder, tmp_path / "b", another)
    with pytest.raises(SystemExit, match="shares patients with the training store"):
        held_out(folder, training)
    assert held_out(changed(store_folder, tmp_path / "c", of_patients(20)), training).shares_with(training) == ""
    assert training.shares_with(training) == "heads"


def test_what_a_store_says_of_enclosing_counts_where_the_recipe_is_silent(store_folder, tmp_path):
    def implied(number, case):
        if number == 1:
            case["implied"] = {"lens": "eye"}
    assert Store(changed(store_folder, tmp_path / "a", implied)).implied == {"lens": "eye"}
    assert Store(store_folder).implied == {}
