"""8-bit networks: made by ONNX Runtime where the package onnx is there, kept only when nearly as good."""

import importlib.util
import os

import numpy as np
import pytest
import torch
from conftest import write_store

from contourd_training import export
from contourd_training.config import Recipe
from contourd_training.evaluate import onnx_network
from contourd_training.quantise import ALLOWED_LOSS, losses, quantise, ship_if_as_good
from contourd_training.store import PLANES, Store
from contourd_training.unet import UNet

HAS_ONNX = importlib.util.find_spec("onnx") is not None


@pytest.fixture
def models(recipe_file, store, tmp_path):
    """A model folder with three networks, and their inputs."""
    torch.manual_seed(0)
    recipe, folder, images = Recipe.read(recipe_file), tmp_path / "model", {}
    folder.mkdir()
    for plane in PLANES:
        network = UNet(recipe.network, 8).eval()
        images[plane] = export.real_slices(store, PLANES[plane], network, 4)
        export.export(network, folder / f"{plane}.onnx")
    return recipe, folder, images


def test_losses_by_hand():
    before = [{"class": "eye", "vote": {"mean": 0.9}}, {"class": "lens", "vote": {"mean": 0.7}}, {"class": "brain"}]
    after = [{"class": "eye", "vote": {"mean": 0.896}}, {"class": "lens", "vote": {"mean": 0.71}}, {"class": "brain"}]
    assert losses(before, after) == pytest.approx({"eye": 0.004, "lens": -0.01})
    assert losses(before, [{"class": "eye"}, after[1], after[2]])["eye"] == 0.9


def test_only_networks_that_are_as_good_take_the_place(models, classes, tmp_path):
    recipe, folder, _ = models
    heldout = Store(write_store(tmp_path / "heldout", 1, 9))
    before = {plane: (folder / f"{plane}.onnx").read_bytes() for plane in PLANES}
    for change, kept in ((0.0, True), (3.0, False)):
        candidates = tmp_path / f"c{kept}"
        candidates.mkdir()
        torch.manual_seed(0)
        for plane in PLANES:
            network = UNet(recipe.network, 8).eval()
            with torch.no_grad():  # the second candidates mark other pixels
                network.heads.bias[1::2] += change
                network.heads.weight[1::2] -= change
            export.export(network, candidates / f"{plane}.onnx")
        result = ship_if_as_good(recipe, heldout, classes, folder, candidates, 1)
        assert result is kept and {p: (folder / f"{p}.onnx").read_bytes() for p in PLANES} == before
        assert (candidates / "axial.onnx").exists() is not kept
    assert ALLOWED_LOSS == 0.005


@pytest.mark.skipif(HAS_ONNX, reason="onnx is installed")
def test_without_onnx_the_reason_is_said(models, tmp_path):
    _, folder, images = models
    with pytest.raises(SystemExit, match="--int8 needs the package onnx"):
        quantise(folder / "axial.onnx", tmp_path / "q.onnx", images["axial"])


@pytest.mark.skipif(not HAS_ONNX, reason="onnx is not installed")
def test_a_quantised_network_is_smaller_and_close(models, tmp_path):
    _, folder, images = models
    quantise(folder / "axial.onnx", tmp_path / "q.onnx", images["axial"])
    assert os.path.getsize(tmp_path / "q.onnx") < os.path.getsize(folder / "axial.onnx")
    plain, small = (onnx_network(path, 1)(images["axial"][0]) for path in (folder / "axial.onnx", tmp_path / "q.onnx"))
    assert 0 < np.abs(plain - small).mean() < 0.1 * np.abs(plain).mean()
