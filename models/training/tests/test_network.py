"""The U-Net's shapes, its receptive border and its export."""

import numpy as np
import pytest
import torch

from contourd_training import export as export_module
from contourd_training.config import NetworkConfig
from contourd_training.export import SLICES, export_checked, real_slices
from contourd_training.store import PLANES
from contourd_training.unet import Block, UNet


def network(**change):
    torch.manual_seed(0)
    net = UNet(NetworkConfig(**{"base_width": 2, "poolings": 4, "padding": "same", **change}), 8)
    for layer in net.modules():  # statistics and shifts as after training, so that folding them can go wrong
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    return net.eval()


def test_same_padding_keeps_the_size():
    with torch.no_grad():
        assert network()(torch.zeros(2, 1, 48, 80)).shape == (2, 16, 48, 80)
    assert network().border == 0


@pytest.mark.parametrize("poolings, given, expected", [(4, 236, 52), (4, 252, 68), (2, 60, 20), (1, 20, 4)])
def test_valid_padding_loses_its_border(poolings, given, expected):
    net = network(padding="valid", poolings=poolings)
    with torch.no_grad():
        assert net(torch.zeros(1, 1, given, given + 2**poolings)).shape == (1, 16, expected, expected + 2**poolings)
    assert 2 * net.border == given - expected


@pytest.mark.parametrize("padding, poolings", [("same", 3), ("valid", 3), ("valid", 1)])
@pytest.mark.parametrize("pixels", range(17, 34, 3))
def test_what_surrounds_an_axis_makes_it_fit(padding, poolings, pixels):
    net = network(padding=padding, poolings=poolings)
    before, after = net.surround(pixels)
    with torch.no_grad():
        found = net(torch.zeros(1, 1, before + pixels + after, 40 + sum(net.surround(40))))
    assert before == net.border and pixels <= found.shape[2] < pixels + 2**poolings


def test_valid_output_lies_where_the_border_says():
    # Only zeros around a bright pixel, convolutions that add up: the output's largest value is above that pixel.
    net = network(padding="valid", poolings=2, base_width=1)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.fill_(0.1)
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.zero_(), layer.running_var.fill_(1), layer.bias.zero_()
        image = torch.zeros(1, 1, 76, 84)
        image[0, 0, 30:34, 44:48] = 1  # one cell of the coarsest level: every level agrees on its middle
        found = net(image)[0, 0]
    rows, cols = np.indices(found.shape)
    weight = (found - found.min()).numpy()
    centre = ((rows * weight).sum() / weight.sum() + net.border, (cols * weight).sum() / weight.sum() + net.border)
    assert centre == pytest.approx((31.5, 45.5), abs=1.0)


def test_every_convolution_but_the_segmentation_layers_is_normalised():
    net = network()
    blocks = [b for b in net.modules() if isinstance(b, Block)]
    assert len(blocks) == 9
    kinds = [type(layer).__name__ for block in blocks for layer in block.layers]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 18
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == 19
    assert [b.layers[0].out_channels for b in net.down] == [2, 4, 8, 16, 32]


def test_margins_are_the_differences_of_the_maps():
    net, image = network(), torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        maps = net(image)
        assert torch.allclose(net.margins(image), maps[:, 1::2] - maps[:, ::2], atol=1e-5)
        # Eight binary softmaxes: the class's probability is the sigmoid of its margin.
        softmax = torch.softmax(maps.view(2, 8, 2, 32, 48), dim=2)[:, :, 1]
        assert torch.allclose(torch.sigmoid(net.margins(image)), softmax, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_export_folds_the_normalisation_and_agrees_with_pytorch(tmp_path, store, padding):
    net = network(padding=padding)
    path = tmp_path / "axial.onnx"
    images = real_slices(store, PLANES["axial"], net)
    assert len(images) == SLICES and all(image.max() > 0.1 for image in images)
    # Other shapes than the exported one, and several slices at once.
    rng = np.random.default_rng(1)
    size = [extent + sum(net.surround(extent)) for extent in (40, 57)]
    images.append(rng.random((2, 1, *size), dtype=np.float32))
    assert export_checked(net, path, images) < 1e-4
    data = path.read_bytes()
    assert b"BatchNormalization" not in data and b"Conv" in data
    assert b"image" in data and b"logits" in data


def test_a_file_that_computes_something_else_is_refused_and_not_kept(tmp_path, store, monkeypatch):
    net = network()
    path = tmp_path / "axial.onnx"
    images = real_slices(store, PLANES["axial"], net)
    export_checked(net, path, images)
    before = path.read_bytes()
    # What is written has other weights than what is compared with it: as an exporter with a fault would do.
    whole = export_module.export

    def faulty(given, to):
        with torch.no_grad():
            given.heads.bias += 3e-4
            whole(given, to)
            given.heads.bias -= 3e-4

    monkeypatch.setattr(export_module, "export", faulty)
    with pytest.raises(SystemExit, match="differs from PyTorch by 3.*allowed: 1e-04"):
        export_checked(net, path, images)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
