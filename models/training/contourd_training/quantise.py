"""Networks of 8-bit integers: a quarter of the size, kept only where they are nearly as good.

ONNX Runtime's static quantisation (QDQ, a scale for each channel of the weights), calibrated on slices of the training
store. It needs the optional package `onnx` beside onnxruntime; nothing else of the trainer does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from .classes import Classes
from .config import Recipe
from .evaluate import measure, onnx_network, summarise
from .store import PLANES, Store

# Dice that a class may lose, on held-out heads after the vote.
ALLOWED_LOSS = 0.005


class Slices:
    """Calibration inputs in the shape that ONNX Runtime asks for: one dictionary after the other, then None."""

    def __init__(self, images: list[np.ndarray]):
        self.left = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input."""
        image = next(self.left, None)
        return None if image is None else {"image": image}


def quantise(path: Path, out: Path, images: list[np.ndarray]) -> None:
    """Writes the 8-bit network of a float32 file, calibrated on network inputs (N, 1, H, W)."""
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    except ImportError as fault:
        raise SystemExit(f"--int8 needs the package onnx beside onnxruntime ({fault}); pip install onnx, or leave --int8 "
                         "out") from fault
    quantize_static(str(path), str(out), Slices(images), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


def losses(before: list[dict], after: list[dict]) -> dict[str, float]:
    """Mean Dice after the vote that each class loses; a class that no case has loses nothing."""
    pairs = {row["class"]: (row, later) for row, later in zip(before, after, strict=True)}
    return {name: row["vote"]["mean"] - later.get("vote", {"mean": 0.0})["mean"]
            for name, (row, later) in pairs.items() if "vote" in row}


def ship_if_as_good(recipe: Recipe, heldout: Store, classes: Classes, model: Path, candidates: Path, threads: int) -> bool:
    """Measures the float32 networks of a model folder and the 8-bit ones on every held-out head; puts the latter in
    their place when no class loses too much. Says each class's loss."""
    found = []
    for folder in (model, candidates):
        networks = {plane: onnx_network(folder / f"{plane}.onnx", threads) for plane in PLANES}
        rows = [row for case in heldout.cases for row in measure(recipe, classes, case, networks)]
        found.append(summarise(classes.names, rows))
    lost = losses(*found)
    for name, loss in lost.items():
        print(f"int8 {name}: Dice {-loss:+.4f}", flush=True)
    if not lost or max(lost.values()) >= ALLOWED_LOSS:
        print(f"int8: a class loses {ALLOWED_LOSS} or more, or none was measured; float32 stays", flush=True)
        return False
    for plane in PLANES:
        shutil.move(candidates / f"{plane}.onnx", model / f"{plane}.onnx")
    print(f"int8: no class loses {ALLOWED_LOSS}; the 8-bit networks are in {model}", flush=True)
    return True
