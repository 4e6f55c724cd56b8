"""Classes come from store and recipe; a nine-class model goes the whole way."""

import dataclasses
import json
import tomllib

import numpy as np
import pytest
from conftest import CLASSES, COCHLEA, IMPLIED, RECIPE, write_store

from contourd_training import card, evaluate, export, train
from contourd_training.classes import ClassConfig, resolve, verhoeff
from contourd_training.config import Recipe
from contourd_training.store import PLANES
from contourd_training.strict import RecipeError, build

NINE = [*CLASSES, "cochlea"]
TABLE = """
[[class]]
name = "cochlea"
sided = true
structures = ["Cochlea_L", "Cochlea_R"]
colours = [[170, 110, 255], [104, 60, 184]]
rules = "largest_component"
[class.code]
value = "80169004"
scheme = "SCT"
meaning = "Cochlea"
"""


def test_the_check_digit_of_snomed_codes():
    # The codes of Left, Right and Cochlea, and the example of the SNOMED CT release file specification.
    assert all(verhoeff(code) for code in ("7771000", "24028007", "80169004", "900000000000207008"))
    assert not any(verhoeff(code) for code in ("7771001", "24028070", "80196004", "", "8016900x"))


def test_descriptions_come_from_the_recipe_or_the_store_and_must_agree(tmp_path):
    path = tmp_path / "nine.toml"
    path.write_text(RECIPE + TABLE)
    recipe = Recipe.read(path)
    for in_store, in_recipe in ([COCHLEA], []), ([], recipe.described), ([COCHLEA], recipe.described):
        found = resolve(NINE, in_store, in_recipe, IMPLIED, {})
        assert [entry.card() for entry in found.described] == [COCHLEA]
        assert found.colour(8) == (170, 110, 255) and found.colour(0) == (255, 205, 60)
    other = {**COCHLEA, "rules": "none"}
    with pytest.raises(RecipeError, match="cochlea is described otherwise"):
        resolve(NINE, [other], recipe.described, {}, {})
    with pytest.raises(RecipeError, match=r"cochlea .* neither known.*\[\[class\]\]"):
        resolve(NINE, [], [], {}, {})
    with pytest.raises(RecipeError, match="cochlea is no class of the store"):
        resolve(CLASSES, [], recipe.described, {}, {})
    with pytest.raises(RecipeError, match="implied.lens: eye is no class"):
        resolve(["lens", "brain"], [], [], {"lens": "eye"}, {})


@pytest.mark.parametrize("change, named", [
    ({"name": "eye"}, "contourd describes eye itself"), ({"name": "Cochlea"}, "class.name"),
    ({"structures": ["Cochlea"]}, "structures: needs 2"), ({"structures": ["Cochlea_R", "Cochlea_L"]}, "_L and _R"),
    ({"colours": [[1, 2, 3], [1, 2, 256]]}, "colours"), ({"rules": "some"}, "rules: must be one of"),
    ({"code": {**COCHLEA["code"], "value": "80169005"}}, "check digit"),
    ({"code": {**COCHLEA["code"], "scheme": "ICD"}}, "code.scheme"), ({"volume_cc": [0.1, 0.3]}, "volume_source"),
    ({"volume_cc": [0.3, 0.1], "volume_source": "x"}, "least"), ({"sided": "yes"}, "class.sided: must be bool")])
def test_a_description_that_contourd_would_refuse_is_refused_here(change, named):
    with pytest.raises(RecipeError, match=named):
        build(ClassConfig, {**COCHLEA, **change}, "class").check("class")


def test_what_encloses_comes_before_what_is_enclosed():
    names = ["a", "b", "c"]
    described = [dataclasses.replace(build(ClassConfig, COCHLEA, ""), name=n, enclosed_by=o)
                 for n, o in (("a", "b"), ("b", "c"), ("c", ""))]
    assert resolve(names, [], described, {}, {}).implied == [(1, 2), (0, 1)]
    with pytest.raises(RecipeError, match="encloses itself"):
        resolve(names, [], described, {"c": "a"}, {})
    with pytest.raises(RecipeError, match="two classes"):
        resolve(names, [], described, {"a": "c"}, {})
    assert resolve(names, [], described, {}, {"a": "c"}).mirror == [2, 1, 0]
    with pytest.raises(RecipeError, match="one opposite"):
        resolve(names, [], described, {}, {"a": "c", "b": "c"})


def test_a_nine_class_store_becomes_a_model_with_its_card(tmp_path):
    stores = [write_store(tmp_path / name, 2, seed, NINE, described) for name, seed, described in
              (("train", 3, [COCHLEA]), ("heldout", 4, []))]
    assert np.load(stores[0] / "case0.labels.npy").dtype == np.dtype("<u2")
    recipe, run, model = tmp_path / "nine.toml", tmp_path / "run", tmp_path / "model"
    recipe.write_text(RECIPE.replace("accumulate = 2", "accumulate = 1") + TABLE)
    for plane in PLANES:
        train.main(["--config", str(recipe), "--store", str(stores[0]), "--plane", plane, "--out", str(run / plane),
                    "--iterations", "60", "--threads", "1", "--progress", "none"])
    given = ["--config", str(recipe), "--store", str(stores[0]), "--run", str(run)]
    export.main([*given, "--out", str(model), "--cases", "2"])
    measured = tmp_path / "evaluation.json"
    evaluate.main(["--config", str(recipe), "--store", str(stores[1]), "--model", str(model), "--out", str(measured)])
    rows = {row["class"]: row for row in json.loads(measured.read_text())["cases"] if row["case"] == "case0"}
    # Its bit is in the second byte of the labels. A minute of training is enough to begin to see it.
    assert set(rows) == set(NINE) and max(rows["cochlea"][plane] for plane in PLANES) > 0.1, rows["cochlea"]
    (tmp_path / "commands").write_text("one\n")
    card.main([*given, "--heldout", str(stores[1]), "--evaluation", str(measured), "--commands",
               str(tmp_path / "commands"), "--out", str(model)])
    tree = tomllib.loads((model / "card.toml").read_text())
    assert tree["classes"] == NINE and tree["class"] == [COCHLEA]
    assert tree["training"]["recipe"]["implied"] == IMPLIED
    assert {row["class"] for row in tree["validation"]} >= {"cochlea", "brain"}


def test_measuring_by_hand_in_the_second_byte():
    marked = np.zeros((1, 9, 2, 2), bool)
    marked[0, 8, 0], marked[0, 1, 1, 1] = True, True
    words = evaluate.pack(marked, np.dtype("<u2"))
    assert words.tolist() == [[[256, 256], [0, 2]]]
    truth = np.array([[[256, 0], [2, 2]]], "<u2")
    low, high = [evaluate.joint_counts(*pair) for pair in zip(*map(evaluate.label_bytes, (words, truth)))]
    assert evaluate.dice(high, 0) == pytest.approx(2 / 3) and evaluate.dice(low, 1) == pytest.approx(2 / 3)
    assert evaluate.dice(low, 0) is None


def test_a_flipped_slice_is_turned_back_and_sides_swapped_back():
    # Class 0 is the left one of a pair, class 1 the right one, class 2 on the midline. The network tells left from
    # right by the column: what is bright in the right half of the array is class 0.
    def network(image):
        columns = np.arange(image.shape[-1]) >= image.shape[-1] / 2
        maps = [image * columns, image * ~columns, image + 0.01 * np.arange(image.shape[-1])]
        return np.concatenate([part for m in maps for part in (np.zeros_like(m), m)], axis=1)

    image = np.random.default_rng(0).random((2, 1, 3, 6)).astype(np.float32)
    found = evaluate.flipped_too(network, [1, 0, 2])(image)
    plain = network(image)
    assert np.allclose(found[:, :4], plain[:, :4])  # the sides agree with themselves
    assert np.allclose(found[:, 5:6], image + 0.025)  # the ramp and its mirror image average out
