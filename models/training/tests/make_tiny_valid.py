"""Makes fixtures/tiny-valid: a network without padding for the tests of serving. From the repository's root:

PYTHONPATH=models/training:target/onnxruntime/python /usr/bin/python3 models/training/tests/make_tiny_valid.py
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch

from contourd_training.card import to_toml
from contourd_training.config import NetworkConfig
from contourd_training.export import export
from contourd_training.store import PLANES
from contourd_training.unet import UNet

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "tiny-valid"
CLASSES = ["eye", "brain"]
SHAPE = (22, 18, 17)  # x, y, z: unequal, so that no two axes can be confused
CONFIG = NetworkConfig(base_width=2, poolings=3, padding="valid", input_factor=0.001)


def network(plane: str) -> UNet:
    """Weights from a formula, other ones for each plane: the same with every release of PyTorch."""
    net = UNet(CONFIG, len(CLASSES)).eval()
    start = 1.0 + list(PLANES).index(plane)
    with torch.no_grad():
        for number, weight in enumerate(net.parameters()):
            fan_in = math.prod(weight.shape[1:]) if weight.dim() > 1 else None
            wave = torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 2.399 + start * (number + 1))
            if fan_in:  # a convolution
                value = wave * math.sqrt(4.0 / fan_in) + 0.3 / fan_in
            else:  # batch normalisation, or the bias of the heads
                value = 1.0 + 0.1 * wave if number % 3 == 1 else 0.1 * wave
            weight.copy_(value.reshape(weight.shape).float())
        # Many voxels belong to each class, and many do not.
        middle = log_odds(net, plane).reshape(len(CLASSES), -1).mean(axis=1)
        net.heads.bias[1::2] -= torch.from_numpy(np.round(middle, 2)).float()
    return net


def image() -> np.ndarray:
    """float32 (z, y, x); bright up to the border."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in SHAPE[::-1]), indexing="ij")
    return ((7 * i + 13 * j + 29 * k + i * j) % 101 * 10).astype(np.float32)


def log_odds(net: UNet, plane: str) -> np.ndarray:
    """float32 (class, z, y, x): the class's output less the background's for every pixel of every slice."""
    normal = PLANES[plane].normal
    slices = np.moveaxis(image(), normal, 0)
    pad = [(0, 0), net.surround(slices.shape[1]), net.surround(slices.shape[2])]
    given = np.pad(slices * np.float32(CONFIG.input_factor), pad)[:, None]
    with torch.no_grad():
        logits = net(torch.from_numpy(given)).numpy()[:, :, :slices.shape[1], :slices.shape[2]]
    return np.moveaxis(np.moveaxis(logits[:, 1::2] - logits[:, ::2], 1, 0), 1, 1 + normal)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    entries, odds = [], []
    for plane in PLANES:
        net = network(plane)
        path = FOLDER / f"{plane}.onnx"
        export(net, path)
        entries.append({"plane": plane, "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        odds.append(log_odds(net, plane))
    (FOLDER / "log-odds.f32").write_bytes(np.stack(odds).astype("<f4").tobytes())
    card = {
        "format": 1, "name": "tiny-valid", "version": "1", "created": "2026-01-01", "purpose": "research",
        "statement": "Research use only: a fixture of the tests, with weights from a formula.", "licence": "Apache-2.0",
        "classes": CLASSES, "input_factor": CONFIG.input_factor, "padding": "valid", "multiple": 2**CONFIG.poolings,
        "border": net.border,
        "working": {"spacing": [0.7, 0.7, 0.9], "shape": list(SHAPE), "intensity_rule": "maximum",
                    "intensity_scale": 1000.0, "margin_top": 4.5},
        "network": entries,
        "training": {"data": "none", "commands": ["python3 models/training/tests/make_tiny_valid.py"]},
    }
    (FOLDER / "card.toml").write_text(to_toml(card), encoding="utf-8")


if __name__ == "__main__":
    main()
