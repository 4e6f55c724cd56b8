"""Static int8: the rounding by hand, small trained networks that keep their Dice, and some that do not."""

import json
import tomllib

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from conftest import CLASSES, RECIPE, write_store
from test_pipeline import run_train

from contourd_training import card, evaluate, export, int8, quantise
from contourd_training.config import NetworkConfig
from contourd_training.int8 import Int8UNet, Layer, rounded
from contourd_training.onnx_weights import convolutions
from contourd_training.store import PLANES, Store
from contourd_training.unet import UNet


def float_file(path, config: NetworkConfig, seed: int = 3):
    """A random network, its normalisations included, as the export writes it."""
    torch.manual_seed(seed)
    network = UNet(config, 2)
    network.train()(torch.rand(4, 1, 60, 60))  # statistics of its own
    export.export(network.eval(), path)
    return path


def test_rounding_by_hand():
    maps = torch.tensor([0.0, 0.1, 0.2, 0.4, 63.6, 64.0])  # steps of 0.25, 255 of them at most
    assert rounded(maps, 0.25).tolist() == [0, 0, 0.25, 0.5, 63.5, 63.75]
    assert rounded(maps, 0.0) is maps
    weight = torch.tensor([[[[0.64, -0.014]]], [[[0.51, -1.28]]], [[[0.0, 0.0]]]])
    layer = Layer(weight, torch.tensor([0.0, 0.0, 0.5]), 0)
    layer.round_weight()
    # Steps of 0.01 and 0.02: each channel's largest is the 64th.
    assert layer.stored.flatten(1).tolist() == [[64, -1], [26, -64], [0, 0]]
    assert torch.allclose(layer.scale[:2], torch.tensor([0.01, 0.02]))
    # 0.64 * 2 - 0.01 * 3 = 1.25; 0.52 * 2 - 1.28 * 3 < 0; the bias alone.
    assert torch.allclose(layer(torch.tensor([[[[2.0, 3.0]]]])).flatten(), torch.tensor([1.25, 0.0, 0.5]))


def test_weights_of_a_file_in_8_bits_are_read_as_what_they_stand_for(tmp_path):
    config = NetworkConfig(base_width=2, poolings=2, padding="same")
    source = float_file(tmp_path / "float.onnx", config)
    network = Int8UNet(config, 2, source)
    network.calibrate([np.random.default_rng(1).random((1, 1, 16, 16), np.float32)])
    export.export(network, tmp_path / "int8.onnx")
    before, after = (convolutions(path.read_bytes(), "") for path in (source, tmp_path / "int8.onnx"))
    assert len(before) == len(after)
    for number, ((old, _), (new, bias)) in enumerate(zip(before, after)):
        assert old.shape == new.shape and new.dtype == torch.float32 and len(bias) == len(new)
        steps = (new - old).abs().amax((1, 2, 3)) / (old.abs().amax((1, 2, 3)) / int8.WEIGHT_STEPS)
        # Half a step at most, and nothing at all of the two layers that stay float32.
        assert steps.max() <= (0.51 if 0 < number < len(before) - 1 else 0)


def test_pooling_needs_no_rounding_and_joining_clips_nothing(tmp_path):
    config = NetworkConfig(base_width=2, poolings=2, padding="same")
    network = Int8UNet(config, 2, float_file(tmp_path / "float.onnx", config))
    for number, layer in enumerate(network.layers):  # down 0, 1, 2, then up 1, 0: two of each
        layer.step = 0.1 * (number + 1)
    generator = torch.Generator().manual_seed(1)
    maps = lambda step, side: torch.randint(0, 256, (1, 2, side, side), generator=generator) * step
    for level, step in ((1, 0.2), (2, 0.4)):
        x = maps(step, 8)
        assert torch.allclose(network.shrink(level, x), network.pool(x))
    for level, own, lower in ((1, 0.4, 0.6), (0, 0.2, 0.8)):
        skip, below = maps(own, 8), maps(lower, 4)
        skip[0, 0, 0, 0], below[0, 0, 0, 0] = 255 * own, 255 * lower
        off = (network.join(level, skip, below) - torch.cat([skip, network.grow(below)], 1)).abs()
        # Both come out in steps of the larger, which is that of the lower one.
        assert off.max() <= lower / 2 + 1e-3 and off[:, 2:].max() > lower / 4


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_an_int8_file_computes_what_pytorch_rounds_at_any_size(tmp_path, padding):
    config = NetworkConfig(base_width=4, poolings=2, padding=padding)
    source, path = float_file(tmp_path / "float.onnx", config), tmp_path / "int8.onnx"
    network = Int8UNet(config, 2, source)
    images = [np.random.default_rng(n).random((2, 1, *size), np.float32) for n, size in enumerate([(76, 76), (68, 92)])]
    assert export.parity(network, source, images) < 1e-4  # until it is calibrated it is the float network
    network.calibrate(images)
    export.export(network, path)
    before, after = evaluate.onnx_network(source, 1), evaluate.onnx_network(path, 1)
    for image in images:
        expected, found = before(image), after(image)
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert np.abs(found - expected).mean() < 0.05 * expected.std()
        # Integer kernels round the sums of a resize or of a bias in another way: a step here and there.
        with torch.no_grad():
            assert np.abs(found - network(torch.from_numpy(image)).numpy()).mean() < 0.02 * expected.std()


def test_onnx_runtime_makes_integer_kernels_of_every_layer_but_the_first_and_the_last(tmp_path):
    config = NetworkConfig(base_width=4, poolings=2, padding="same")
    source, path = float_file(tmp_path / "float.onnx", config), tmp_path / "int8.onnx"
    network = Int8UNet(config, 2, source)
    network.calibrate([np.random.default_rng(1).random((1, 1, 64, 64), np.float32)])
    export.export(network, path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "kernels.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kernels = (tmp_path / "kernels.onnx").read_bytes()
    assert kernels.count(b"QLinearConv") == len(network.layers) - 1 == 9 and kernels.count(b"QLinearConcat") == 2
    assert [layer.whole for layer in network.layers] == [False] + [True] * 9


def test_a_file_of_another_network_is_refused(tmp_path):
    source = float_file(tmp_path / "float.onnx", NetworkConfig(base_width=4, poolings=2, padding="same"))
    for other in (NetworkConfig(base_width=4, poolings=1, padding="same"), NetworkConfig(base_width=2, poolings=2)):
        with pytest.raises(SystemExit, match="base_width, poolings"):
            Int8UNet(other, 2, source)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Recipe, training store, held-out store, run and float model."""
    folder = tmp_path_factory.mktemp("quantise")
    recipe = folder / "toy.toml"
    recipe.write_text(RECIPE)
    store, heldout = write_store(folder / "train", 4, 7), write_store(folder / "heldout", 3, 99)
    for plane in PLANES:
        run_train(recipe, store, folder / "run" / plane, plane, 20)
    export.main(["--config", str(recipe), "--run", str(folder / "run"), "--store", str(store),
                 "--out", str(folder / "model")])
    evaluate.main(["--config", str(recipe), "--store", str(heldout), "--model", str(folder / "model"),
                   "--out", str(folder / "evaluation.json")])
    return folder


def words(made, out):
    return ["--config", str(made / "toy.toml"), "--model", str(made / "model"), "--store", str(made / "train"),
            "--heldout", str(made / "heldout"), "--evaluation", str(made / "evaluation.json"), "--out", str(out / "int8"),
            "--record", str(out / "record.json")]


def test_networks_that_keep_their_dice_are_written_with_the_proof(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quantise, "ALLOWED", 0.03)  # networks that have hardly learnt stand on a knife's edge
    quantise.main([*words(made, tmp_path), "--planes", "axial", "coronal"])
    model, record = tmp_path / "int8", json.loads((tmp_path / "record.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8", "record.json"]
    assert (model / "sagittal.onnx").read_bytes() == (made / "model" / "sagittal.onnx").read_bytes()
    assert (model / "axial.onnx").read_bytes() != (made / "model" / "axial.onnx").read_bytes()
    assert record["networks"] == evaluate.digests(model)
    assert record["quantised"]["networks"] == evaluate.digests(made / "model")
    # The figures are those that the evaluation gives: nothing is left to measure, and measured anew they are the same.
    given = ["--config", str(made / "toy.toml"), "--store", str(made / "heldout")]
    for file, left in (("record.json", 0), ("again.json", 3)):
        capsys.readouterr()
        evaluate.main([*given, "--model", str(model), "--out", str(tmp_path / file)])
        assert capsys.readouterr().out.count(" s\n") == left
        assert json.loads((tmp_path / file).read_text())["summary"] == record["summary"]
    assert record["quantised"]["summary"] == json.loads((made / "evaluation.json").read_text())["summary"]
    for before, after in zip(record["quantised"]["summary"], record["summary"]):
        loss = record["quantised"]["lost"][before["class"]]
        assert loss == pytest.approx(before["vote"]["mean"] - after["vote"]["mean"]) and loss < 0.03
    # The card takes it as the evaluation of these networks and says what they are.
    (tmp_path / "commands").write_text("one\n")
    card.main([*given[:2], "--store", str(made / "train"), "--heldout", str(made / "heldout"), "--run", str(made / "run"),
               "--evaluation", str(tmp_path / "record.json"), "--commands", str(tmp_path / "commands"), "--out", str(model)])
    tree = tomllib.loads((model / "card.toml").read_text())
    assert tree["training"]["notes"][0].startswith("axial, coronal: networks in 8 bits")
    assert {n["plane"]: n["sha256"] for n in tree["network"]} == record["networks"]


def test_networks_that_lose_dice_leave_nothing_behind(made, tmp_path, monkeypatch):
    monkeypatch.setattr(int8, "WEIGHT_STEPS", 1)  # weights of -1, 0 and 1
    with pytest.raises(SystemExit, match=r"(?s)brain: loses 0\.\d+ of its Dice .*axial .*not written") as refused:
        quantise.main(words(made, tmp_path))
    assert isinstance(refused.value.code, str) and isinstance(refused.value, quantise.TooCostly)  # the exit status is 3
    assert list(tmp_path.iterdir()) == []


def test_a_class_may_lose_less_than_five_thousandths_and_must_be_measured():
    def summary(vote):
        return [{"class": name, **{stage: {"mean": value, "min": value, "n": 1} for stage in evaluate.STAGES}}
                if value is not None else {"class": name} for name, value in zip(CLASSES, vote)]

    before = summary([0.9, 0.6, 0.5])
    assert quantise.refusal(before, summary([0.8951, 0.7, 0.5])) == ""
    fault = quantise.refusal(before, summary([0.9, 0.59, 0.495 - 1e-9]))
    assert "eye" not in fault and "lens: loses 0.0100" in fault and "optic_nerve: loses 0.0050" in fault
    assert "coronal +0.0100" in fault
    assert quantise.refusal(summary([0.9, None]), summary([0.9, None])).startswith("lens: no held-out head has it")


def test_held_out_heads_must_be_others_with_figures_and_the_float_model_stays(made, tmp_path):
    given = words(made, tmp_path)
    with pytest.raises(SystemExit, match="shares heads"):
        quantise.main([w if w != str(made / "heldout") else str(made / "train") for w in given])
    with pytest.raises(SystemExit, match="not the evaluation of"):
        quantise.main([w if w != str(made / "evaluation.json") else str(tmp_path / "none.json") for w in given])
    with pytest.raises(SystemExit, match="float32 model itself"):
        quantise.main([w if w != str(tmp_path / "int8") else str(made / "model") for w in given])


def test_ranges_are_found_where_the_organs_are(store, tmp_path):
    config = NetworkConfig(base_width=2, poolings=1, padding="same")
    network = Int8UNet(config, 2, float_file(tmp_path / "float.onnx", config))
    plane = PLANES["axial"]
    images = list(quantise.calibration_slices(store, plane, network, 1))
    case = store.cases[0]
    middles = sorted({int(lo[0] + hi[0]) // 2 for boxes in case.boxes for lo, hi in boxes})
    assert len(images) == len(middles) > 3
    for index, image in zip(middles, images):
        assert image.shape == (1, 1, 60, 52)
        assert np.array_equal(image[0, 0], plane.cut(case.image, index) * np.float32(0.001))
    network.calibrate(images)
    first = network.layers[0]
    maps = [F.conv2d(torch.from_numpy(image), first.weight, first.bias, padding=1) for image in images]
    assert 255 * first.step == pytest.approx(max(float(m.max()) for m in maps))
