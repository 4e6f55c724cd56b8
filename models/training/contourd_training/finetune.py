"""Starts a training from a network that exists: a run's checkpoint, or the ONNX file of a model.

An ONNX file holds no batch normalisation any more: it is folded into the convolutions. It is unfolded again here so
that the network computes the same and can be trained: each normalisation is given the mean and deviation that its
convolution has on real patches, and the scale and shift that undo them.

A network may be wider than the one it starts from, by a whole factor. Each map is then there several times, and what a
convolution took from one map it takes from the copies, in shares that are drawn at random: the wider network computes the same, and
its copies can go different ways (Chen, Goodfellow and Shlens, Net2Net, 2016, where the shares are equal and noise is added).
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from .onnx_weights import convolutions
from .trainer import Trainer, earlier, read_checkpoint

# Patches on which the statistics of an unfolded normalisation are measured.
BATCHES = 8


@dataclass
class Base:
    """A network to start from: its parameters by the names of `UNet`, its classes, and what it had seen."""

    source: str
    weights: dict[str, torch.Tensor]
    classes: list[str]
    before: dict
    folded: bool


def read_base(folder: Path, trainer: Trainer) -> Base:
    """Reads the network of the trainer's plane from the folder of a run (of this plane or of all three) or model."""
    plane = trainer.plane.name
    for path in (folder / "checkpoint.pt", folder / plane / "checkpoint.pt"):
        if path.is_file():
            state = read_checkpoint(path)
            if state["plane"] != plane:
                raise SystemExit(f"{path} is of another plane ({state['plane']}, not {plane}); it cannot be started from")
            seen = earlier(state)
            before = {"iterations": seen["iterations"] + state["iteration"],
                      "seconds": seen["seconds"] + state["seconds"]}
            return Base(str(path), state["network"], state["classes"], before, False)
    path = folder / f"{plane}.onnx"
    if not path.is_file() or not (folder / "card.toml").is_file():
        raise SystemExit(f"{folder}: holds neither checkpoint.pt, {plane}/checkpoint.pt nor {plane}.onnx with card.toml; "
                         "name the folder of a run or of a model")
    card = tomllib.loads((folder / "card.toml").read_text(encoding="utf-8"))
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() not in [entry["sha256"] for entry in card["network"]]:
        raise SystemExit(f"{path}: is not the file that card.toml names; fetch the model again")
    trained = {t["plane"]: t for t in card["training"].get("trained", [])}.get(plane, {})
    before = {"iterations": trained.get("iterations", 0), "seconds": 60 * trained.get("minutes", 0.0)}
    return Base(str(path), _named(trainer, convolutions(data, str(path)), str(path)), card["classes"], before, True)


def _named(trainer: Trainer, found: list[tuple[torch.Tensor, torch.Tensor]], source: str) -> dict[str, torch.Tensor]:
    """The folded convolutions of a file, which stand in the order of computing, by the names of `UNet`. A folded one's
    bias is the shift of its normalisation."""
    network = trainer.network
    blocks = [f"down.{n}" for n in range(len(network.down))] + [f"up.{n}" for n in reversed(range(len(network.up)))]
    names = [(f"{block}.layers.{n}", f"{block}.layers.{n + 1}") for block in blocks for n in (0, 3)]
    if len(found) != len(names) + 1:
        raise SystemExit(f"{source}: has {len(found)} convolutions, the recipe's network {len(names) + 1}; "
                         "network.poolings must be that of the model")
    weights = {}
    for (conv, norm), (weight, bias) in zip(names, found):
        weights.update({f"{conv}.weight": weight, f"{norm}.bias": bias})
    weights["heads.weight"], weights["heads.bias"] = found[-1]
    return weights


def start_from(trainer: Trainer, folder: Path) -> str:
    """Takes the network of a run or a model; optimiser and budget start anew. Returns what was done, in words.

    The segmentation layer of a class that both have is taken; a class that only the trainer has starts at random.
    """
    base = read_base(folder, trainer)
    mine = trainer.network.state_dict()
    factor = widen(base, mine, trainer.recipe.seed)
    for name, value in base.weights.items():
        if name not in mine or (not name.startswith("heads.") and mine[name].shape != value.shape):
            size = tuple(mine[name].shape) if name in mine else "none"
            raise SystemExit(f"{base.source}: {name} is {tuple(value.shape)}, that of the recipe {size}; "
                             "network.poolings must be that of the model, network.base_width that or a multiple")
        if not name.startswith("heads."):
            mine[name].copy_(value)
    taken = [c for c in trainer.classes.names if c in base.classes]
    for kind in ("heads.weight", "heads.bias"):
        for name in taken:
            here, there = trainer.classes.names.index(name), base.classes.index(name)
            mine[kind][2 * here:2 * here + 2] = base.weights[kind][2 * there:2 * there + 2]
    trainer.network.load_state_dict(mine)
    if base.folded:
        unfold(trainer)
    trainer.before = base.before
    fresh = [c for c in trainer.classes.names if c not in taken]
    left = [c for c in base.classes if c not in taken]
    wider = f", made {factor} times as wide" if factor > 1 else ""
    said = [f"starts from {base.source}{wider}", f"classes taken: {', '.join(taken) or 'none'}"]
    said += [f"new: {', '.join(fresh)}"] * bool(fresh) + [f"left behind: {', '.join(left)}"] * bool(left)
    return "; ".join(said)


def widen(base: Base, mine: dict[str, torch.Tensor], seed: int) -> int:
    """Gives the weights of `base` the width of those of the trainer's network, when that is a whole multiple of theirs.
    Returns the factor; 1 when nothing was to be done, or nothing could be."""
    first = "down.0.layers.0.weight"
    factor, rest = divmod(len(mine[first]), len(base.weights[first]))
    if factor < 2 or rest:
        return 1
    draw = torch.Generator().manual_seed(seed)
    for name, value in base.weights.items():
        if value.ndim and not name.startswith("heads."):
            value = value.repeat_interleave(factor, 0)
        if value.ndim > 1 and name != first:
            shares = -torch.rand(len(value), value.shape[1], factor, generator=draw).clamp_(min=1e-6).log_()
            shares /= shares.sum(2, keepdim=True)
            value = value.repeat_interleave(factor, 1) * shares.flatten(1)[:, :, None, None]
        base.weights[name] = value
    return factor


@torch.no_grad()
def unfold(trainer: Trainer) -> None:
    """Gives every normalisation real statistics. Before, each normalisation only adds its shift; after, it normalises,
    scales and shifts to the very same result, so that the first batches of the training see the network that was
    read and not one whose every layer has another scale."""
    norms = [layer for layer in trainer.network.modules() if isinstance(layer, nn.BatchNorm2d)]
    sums = {layer: torch.zeros(3, layer.num_features, dtype=torch.float64) for layer in norms}

    def count(layer: nn.BatchNorm2d, given: tuple[torch.Tensor], _: torch.Tensor) -> None:
        values = given[0].double().cpu()
        sums[layer] += torch.stack([values.sum((0, 2, 3)), values.pow(2).sum((0, 2, 3)),
                                    torch.full((layer.num_features,), values.numel() / values.shape[1])])

    for layer in norms:
        layer.running_mean.zero_()
        layer.running_var.fill_(1 - layer.eps)
        layer.weight.fill_(1)
    hooks = [layer.register_forward_hook(count) for layer in norms]
    trainer.network.eval()
    for number in range(BATCHES):
        image, _ = trainer.batches.make(number, 0)
        trainer.network.margins(image.to(trainer.device))
    for hook in hooks:
        hook.remove()
    for layer, (total, squares, count_of) in sums.items():
        mean = total / count_of
        variance = (squares / count_of - mean**2).clamp_(min=1e-12)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        layer.weight.copy_((layer.running_var + layer.eps).sqrt())
        layer.bias.add_(layer.running_mean)
