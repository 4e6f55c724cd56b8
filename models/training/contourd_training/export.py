"""Checkpoint to calibrated ONNX, and the proof that both compute the same.

python3 -m contourd_training.export --config RECIPE --run FOLDER --store FOLDER --out MODEL_FOLDER

Reads RUN/<plane>/checkpoint.pt, sets the operating points on the training store, writes MODEL_FOLDER/<plane>.onnx: input
"image" float32 (N, 1, H, W), output "logits" float32 (N, 2C, H', W'), N, H and W free. Batch normalisation is folded into
the convolutions. A file whose logits on slices of the store differ from PyTorch's by more than 1e-4 is not kept.
"""

from __future__ import annotations

import argparse
import inspect
import os
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .calibrate import calibrate
from .classes import Classes
from .config import Recipe
from .store import PLANES, Plane, Store
from .trainer import classes_of, read_checkpoint
from .unet import UNet

OPSET = 16
# Largest difference of a logit that rounding in another order may make; a wrong graph differs by whole logits.
TOLERANCE = 1e-4
# Slices of the store on which the two are compared.
SLICES = 6


def load_network(recipe: Recipe, checkpoint: Path, classes: Classes) -> UNet:
    """The trained network of a checkpoint, ready to predict."""
    state = read_checkpoint(checkpoint)
    if state["classes"] != classes.names:
        raise SystemExit(f"{checkpoint}: was trained on the classes {', '.join(state['classes'])}, the store has others")
    network = UNet(recipe.network, len(classes))
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


def real_slices(store: Store, plane: Plane, network: UNet) -> list[np.ndarray]:
    """Network inputs float32 (1, 1, H, W): slices through the middle of boxes, of heads spread over the store."""
    found = []
    for n in np.linspace(0, len(store.cases) - 1, SLICES).round().astype(int):
        case = store.cases[n]
        boxes = [box for boxes in case.boxes for box in boxes]
        lo, hi = boxes[len(found) % len(boxes)] if boxes else (np.zeros(3, int), np.array(case.image.shape) - 1)
        middle = (lo[plane.normal] + hi[plane.normal]) // 2
        pad = [network.surround(extent) for extent in plane.size(case.image.shape)]
        found.append(np.pad(plane.cut(case.image, middle) * np.float32(network.input_factor), pad)[None, None])
    return found


def parity(network: UNet, path: Path, images: list[np.ndarray]) -> float:
    """Largest difference of the logits between PyTorch and ONNX Runtime on these inputs (N, 1, H, W)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for image in images:
        with torch.no_grad():
            expected = network(torch.from_numpy(image)).numpy()
        found = session.run(["logits"], {"image": image})[0]
        if found.shape != expected.shape:
            raise SystemExit(f"{path}: ONNX Runtime gives {found.shape}, PyTorch {expected.shape}")
        # A NaN is no small difference.
        worst = max(worst, float(np.nan_to_num(np.abs(found - expected), nan=np.inf).max()))
    return worst


def export_checked(network: UNet, path: Path, images: list[np.ndarray]) -> float:
    """Writes a network's file, or raises SystemExit and leaves none (nor touches an earlier one) when it differs."""
    part = path.with_name(path.name + ".part")
    export(network, part)
    worst = parity(network, part, images)
    if worst > TOLERANCE:
        part.unlink()
        raise SystemExit(f"{path}: ONNX Runtime differs from PyTorch by {worst:.1e} (allowed: {TOLERANCE:.0e}), so it is not "
                         "written; try another release of either")
    os.replace(part, path)
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
    classes = classes_of(recipe, store)
    for plane in given.planes:
        network = load_network(recipe, given.run / plane / "checkpoint.pt", classes)
        calibrate(network, store, classes, PLANES[plane], given.cases, given.stride)
        path = given.out / f"{plane}.onnx"
        worst = export_checked(network, path, real_slices(store, PLANES[plane], network))
        print(f"{path}: written, within {worst:.1e} of PyTorch on {SLICES} slices of {given.store}", flush=True)


if __name__ == "__main__":
    main()
