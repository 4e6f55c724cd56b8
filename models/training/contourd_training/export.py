"""Checkpoint to calibrated ONNX, and the proof that both compute the same.

python3 -m contourd_training.export --config RECIPE --run FOLDER --store FOLDER --out MODEL_FOLDER

Reads RUN/<plane>/checkpoint.pt, sets the operating points on the training store, writes MODEL_FOLDER/<plane>.onnx: input "image" float32 (N, 1, H, W), output "logits" float32 (N, 2C, H', W'), N, H and W
free. Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .calibrate import calibrate
from .config import Recipe
from .store import PLANES, Store
from .unet import UNet

OPSET = 16
# Rounding differs between the two runtimes; a wrong graph differs by whole logits.
TOLERANCE = 1e-3


def load_network(recipe: Recipe, checkpoint: Path) -> UNet:
    """The trained network of a checkpoint, ready to predict."""
    state = torch.load(checkpoint, map_location="cpu")
    network = UNet(recipe.network, len(state["classes"]))
    network.load_state_dict(state["network"])
    return network.eval()


def export(network: UNet, path: Path) -> None:
    """Writes the network as ONNX."""
    side = 64 + sum(network.surround(64))
    free = {0: "N", 2: "H", 3: "W"}
    options = dict(opset_version=OPSET, input_names=["image"], output_names=["logits"], do_constant_folding=True,
                   dynamic_axes={"image": free, "logits": {0: "N", 2: "Ho", 3: "Wo"} if network.valid else free})
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # current releases: the exporter that 1.13 has too
    torch.onnx.export(network.eval(), torch.zeros(1, 1, side, side), str(path), **options)


def parity(network: UNet, path: Path) -> float:
    """Largest difference of the logits between PyTorch and ONNX Runtime on noise of two shapes, neither of them the
    exported one."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    worst = 0.0
    for n, rows, cols in ((2, 80, 112), (1, 144, 96)):
        size = [extent + sum(network.surround(extent)) for extent in (rows, cols)]
        image = rng.random((n, 1, *size), dtype=np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(image)).numpy()
        found = session.run(["logits"], {"image": image})[0]
        if found.shape != expected.shape:
            raise SystemExit(f"{path}: ONNX Runtime gives {found.shape}, PyTorch {expected.shape}")
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="contourd_training.export", description=__doc__.split("\n")[0])
    parser.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    parser.add_argument("--run", required=True, type=Path, help="folder that holds axial, coronal and sagittal")
    parser.add_argument("--store", required=True, type=Path, help="training store, to calibrate on")
    parser.add_argument("--cases", type=int, default=6, help="heads to calibrate on")
    parser.add_argument("--stride", type=int, default=4, help="of their slices, every n-th is used")
    parser.add_argument("--out", required=True, type=Path, help="model folder")
    parser.add_argument("--planes", nargs="+", choices=sorted(PLANES), default=list(PLANES))
    given = parser.parse_args(arguments)
    recipe, store = Recipe.read(given.config), Store(given.store)
    given.out.mkdir(parents=True, exist_ok=True)
    for plane in given.planes:
        network = load_network(recipe, given.run / plane / "checkpoint.pt")
        calibrate(network, store, PLANES[plane], given.cases, given.stride)
        path = given.out / f"{plane}.onnx"
        export(network, path)
        worst = parity(network, path)
        if worst > TOLERANCE:
            raise SystemExit(f"{path}: differs from PyTorch by {worst:.1e}; do not use it")
        print(f"{path}: written, within {worst:.1e} of PyTorch")


if __name__ == "__main__":
    main()
