"""Starting from a network that exists: a run, a shipped model, one with other classes."""

import hashlib

import pytest
import torch
from conftest import CLASSES, COCHLEA, RECIPE, write_store

from contourd_training.card import to_toml
from contourd_training.config import Recipe
from contourd_training.export import export
from contourd_training.finetune import start_from
from contourd_training.store import Store
from contourd_training.trainer import Trainer


@pytest.fixture
def trainer(recipe_file, store, tmp_path):
    return Trainer(Recipe.read(recipe_file), store, "coronal", tmp_path)


def model_of(trainer, folder):
    """A model folder with the ONNX file of this trainer's network."""
    folder.mkdir()
    export(trainer.network, folder / "coronal.onnx")
    digest = hashlib.sha256((folder / "coronal.onnx").read_bytes()).hexdigest()
    tree = {"classes": trainer.classes.names,
            "network": [{"plane": "coronal", "file": "coronal.onnx", "sha256": digest}],
            "training": {"trained": [{"plane": "coronal", "iterations": 7, "minutes": 2.0}]}}
    (folder / "card.toml").write_text(to_toml(tree))
    return folder


def logits(network, image, train=False):
    network.train(train)
    with torch.no_grad():
        return network(image)


def test_an_onnx_model_starts_as_the_network_it_was_and_can_be_trained(trainer, recipe_file, store, tmp_path):
    for _ in range(12):
        trainer.step(0.0)
    folder = model_of(trainer, tmp_path / "model")
    fresh = Trainer(Recipe.read(recipe_file), store, "coronal", tmp_path)
    said = start_from(fresh, folder)
    assert "coronal.onnx" in said and "classes taken: eye, lens" in said and "new" not in said
    assert fresh.before == {"iterations": 7, "seconds": 120.0}
    image, truth = trainer.batches.make(99, 0)
    there, here = logits(trainer.network, image), logits(fresh.network, image)
    assert (there - here).abs().max() < 1e-3 * there.abs().max()
    # With the statistics of the batch itself, as in training, it is still nearly that network: what unfolding is for.
    here = logits(fresh.network, image, True)
    assert (there - here).abs().mean() < 0.35 * there.abs().mean()


@pytest.mark.parametrize("kind", ["run", "model"])
def test_a_wider_network_starts_as_the_narrow_one_and_its_copies_part(kind, trainer, recipe_file, store, tmp_path):
    for _ in range(12):
        trainer.step(0.0)
    trainer.save()
    folder = tmp_path if kind == "run" else model_of(trainer, tmp_path / "model")
    recipe_file.write_text(RECIPE.replace("base_width = 4", "base_width = 12"))
    wide = Trainer(Recipe.read(recipe_file), store, "coronal", tmp_path / "wide")
    assert "made 3 times as wide" in start_from(wide, folder)
    image, _ = trainer.batches.make(99, 0)
    there, here = logits(trainer.network, image), logits(wide.network, image)
    assert (there - here).abs().max() < 1e-3 * there.abs().max()
    # Three copies of one map compute the same, from shares that differ; a step of training makes them different maps.
    weight = wide.network.up[1].layers[3].weight
    assert weight.shape[:2] == (24, 24) and not torch.allclose(weight[0], weight[1])
    maps = lambda: wide.network.features(image)[:, :3]
    wide.network.eval()
    with torch.no_grad():
        before = maps()
        assert torch.allclose(before[:, 0], before[:, 1], rtol=1e-3, atol=1e-3 * float(before.abs().max()))
    for _ in range(3):
        wide.step(0.0)
    wide.network.eval()
    with torch.no_grad():
        after = maps()
    assert (after[:, 0] - after[:, 1]).abs().max() > 1e-2 * after.abs().max()


def test_classes_that_both_have_are_taken_and_others_start_anew(trainer, tmp_path):
    trainer.step(0.0)
    trainer.save()
    names = ["cochlea", "brain", "eye"]
    other = write_store(tmp_path / "other", 2, 8, names, [COCHLEA])
    recipe = tmp_path / "other.toml"
    recipe.write_text(RECIPE[:RECIPE.index("[implied]")] + RECIPE[RECIPE.index("[network]"):])
    fresh = Trainer(Recipe.read(recipe), Store(other), "coronal", tmp_path / "x")
    random = fresh.network.heads.weight[:2].clone()
    said = start_from(fresh, tmp_path)
    assert "classes taken: brain, eye; new: cochlea; left behind: lens," in said
    here, there = fresh.network.heads.weight, trainer.network.heads.weight
    for mine, theirs in ((1, CLASSES.index("brain")), (2, CLASSES.index("eye"))):
        assert torch.equal(here[2 * mine:2 * mine + 2], there[2 * theirs:2 * theirs + 2])
    assert torch.equal(here[:2], random)
    assert torch.equal(fresh.network.down[0].layers[0].weight, trainer.network.down[0].layers[0].weight)


def test_what_cannot_be_started_from_is_said(trainer, recipe_file, store, tmp_path):
    with pytest.raises(SystemExit, match="holds neither"):
        start_from(trainer, tmp_path)
    folder = model_of(trainer, tmp_path / "model")
    for old, new in (("base_width = 4", "base_width = 6"), ("poolings = 2", "poolings = 1")):
        recipe_file.write_text(RECIPE.replace(old, new))
        with pytest.raises(SystemExit, match=new.split()[0]):
            start_from(Trainer(Recipe.read(recipe_file), store, "coronal", tmp_path), folder)
    with open(folder / "coronal.onnx", "ab") as file:
        file.write(b"x")
    with pytest.raises(SystemExit, match="is not the file that card.toml names"):
        start_from(trainer, folder)
