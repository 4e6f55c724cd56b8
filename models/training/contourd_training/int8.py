"""A U-Net that computes in 8 bits.

Weights become int8 with a scale for each output channel, maps uint8 with one scale for each tensor: none is below 0,
since every one comes from a ReLU. The first convolution and the segmentation layers stay float32; they see the image and give
the logits, where rounding would cost most and saves least. PyTorch computes with the rounded values; its ONNX export has
QuantizeLinear and DequantizeLinear around them, from which ONNX Runtime makes integer kernels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .config import NetworkConfig
from .onnx_weights import convolutions
from .unet import UNet

# Values of a map are 0, 1, ..., 255 steps.
STEPS = 255
# Values of a weight are -64 to 64 steps, not 127: without VNNI ONNX Runtime adds two products in 16 bits, into which
# 2 * 255 * 127 does not fit.
WEIGHT_STEPS = 64


class Dequantise(torch.autograd.Function):
    """Weights float32 (O, I, h, w) from int8 of the same shape and the scale of each output channel (O,)."""

    @staticmethod
    def forward(ctx, stored: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return stored * scale.view(-1, 1, 1, 1)

    @staticmethod
    def symbolic(g, stored, scale):
        return g.op("DequantizeLinear", stored, scale, axis_i=0)


def rounded(x: torch.Tensor, step: float) -> torch.Tensor:
    """Maps as uint8 can hold them: whole steps, 0 to 255 of them. As they are where `step` is 0."""
    return torch.fake_quantize_per_tensor_affine(x, step, 0, 0, STEPS) if step else x


class Layer(nn.Module):
    """A convolution with ReLU: float32 (N, I, H, W) to (N, O, H', W'). `step` is that of its maps, 0 in float32."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, padding: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.padding, self.step = padding, 0.0
        self.whole = False

    def round_weight(self) -> None:
        """From now on the weight is int8."""
        weight = self.weight.detach()
        scale = weight.abs().amax((1, 2, 3)) / WEIGHT_STEPS
        # ONNX Runtime holds the bias in products of two steps: of no channel may they be so small that 32 bits overflow.
        self.register_buffer("scale", scale.clamp(min=max(1e-4 * float(scale.max()), 1e-6)))
        self.register_buffer("stored", (weight / self.scale.view(-1, 1, 1, 1)).round().to(torch.int8))
        self.whole = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = Dequantise.apply(self.stored, self.scale) if self.whole else self.weight
        return rounded(F.relu(F.conv2d(x, weight, self.bias, padding=self.padding)), self.step)


class Int8UNet(UNet):
    """The network of a float ONNX file; in 8 bits once `calibrate` has seen images.

    Raises SystemExit when the file's convolutions are not those of the recipe's network.
    """

    def __init__(self, config: NetworkConfig, classes: int, path: Path):
        super().__init__(config, classes)
        blocks = [*self.down, *reversed(self.up)]
        own = [layer.weight.shape for block in blocks for layer in block.layers if isinstance(layer, nn.Conv2d)]
        found = convolutions(path.read_bytes(), str(path))
        if [weight.shape for weight, _ in found] != [*own, self.heads.weight.shape]:
            raise SystemExit(f"{path}: its convolutions are not those of the recipe's network; base_width, poolings and "
                             "the classes must be those of the model")
        padding = 0 if self.valid else 1
        self.layers = [Layer(*pair, padding) for pair in found[:-1]]
        for block, first, second in zip(blocks, self.layers[::2], self.layers[1::2]):
            block.layers = nn.Sequential(first, second)
        self.heads.weight, self.heads.bias = (nn.Parameter(values) for values in found[-1])
        self.eval()

    @torch.no_grad()
    def calibrate(self, images: Iterable[np.ndarray]) -> None:
        """Sets the step of every map so that its largest value on these inputs, float32 (N, 1, H, W), is the 255th, and
        rounds. Nothing is clipped: the rare large values are those of the small structures."""
        largest = dict.fromkeys(self.layers, 0.0)

        def look(layer: Layer, _: tuple[torch.Tensor], maps: torch.Tensor) -> None:
            largest[layer] = max(largest[layer], float(maps.max()))

        hooks = [layer.register_forward_hook(look) for layer in self.layers]
        for image in images:
            self.features(torch.from_numpy(image))
        for hook in hooks:
            hook.remove()
        for layer, value in largest.items():
            # A map that is always 0 needs a step as well.
            layer.step = (value or 1.0) / STEPS
        for layer in self.layers[1:]:
            layer.round_weight()

    def shrink(self, level: int, x: torch.Tensor) -> torch.Tensor:
        return rounded(super().shrink(level, x), self.down[level - 1].layers[-1].step)

    def join(self, level: int, skip: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        lower = self.down[-1] if level == self.poolings - 1 else self.up[level + 1]
        steps = self.down[level].layers[-1].step, lower.layers[-1].step
        return rounded(torch.cat([skip, rounded(self.grow(below), steps[1])], dim=1), max(steps))
