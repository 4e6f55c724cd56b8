"""The fixture of a network without padding is what the trainer's code makes, and says something."""

import numpy as np
import onnxruntime
import pytest
import torch

import make_tiny_valid as tiny
from contourd_training.store import PLANES


def stored() -> dict[str, np.ndarray]:
    values = np.fromfile(tiny.FOLDER / "log-odds.f32", "<f4").reshape(3, len(tiny.CLASSES), *tiny.SHAPE[::-1])
    return dict(zip(PLANES, values))


@pytest.mark.parametrize("plane", list(PLANES))
def test_the_stored_answers_are_the_network_s(plane):
    net = tiny.network(plane)
    found = tiny.log_odds(net, plane)
    assert np.abs(found - stored()[plane]).max() < 1e-4
    for odds in found:
        positive = (odds > 0).mean()
        assert odds.std() > 0.05 and 0.1 < positive < 0.9, (odds.std(), positive)


@pytest.mark.parametrize("plane", list(PLANES))
def test_the_stored_file_computes_the_same(plane):
    net = tiny.network(plane)
    session = onnxruntime.InferenceSession(str(tiny.FOLDER / f"{plane}.onnx"), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(2).random((1, 1, 22 + sum(net.surround(22)), 18 + sum(net.surround(18))), np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(image)).numpy()
    assert np.abs(session.run(["logits"], {"image": image})[0] - expected).max() < 1e-4
