"""The modified 2D U-Net of thesis section 4.2.1.1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .config import NetworkConfig


class Block(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, padding: int):
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            # Batch normalisation has its own shift, so the convolution needs none.
            conv = nn.Conv2d(channels, outputs, 3, padding=padding, bias=False)
            layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class UNet(nn.Module):
    """Encoder with max-pooling, decoder with bilinear up-sampling, skip concatenations.

    Input (N, 1, H, W), output (N, 2C, H', W'): class c has the maps 2c (background) and 2c + 1 (class). The
    segmentation layers of the C classes are 1x1 convolutions on the same last maps, so they are computed as one.
    With "same" padding H' = H, a multiple of 2**poolings; with "valid" H' = H - 2 * border.
    """

    def __init__(self, config: NetworkConfig, classes: int):
        super().__init__()
        padding = 1 if config.padding == "same" else 0
        widths = [config.base_width * 2**level for level in range(config.poolings + 1)]
        self.poolings, self.valid, self.input_factor = config.poolings, not padding, config.input_factor
        self.down = nn.ModuleList(Block(i, o, padding) for i, o in zip([1, *widths], widths))
        self.up = nn.ModuleList(Block(i + o, o, padding) for o, i in zip(widths, widths[1:]))
        self.pool = nn.MaxPool2d(2)
        self.grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.heads = nn.Conv2d(widths[0], 2 * classes, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    @property
    def border(self) -> int:
        """Pixels lost on each side of the input."""
        return self.lost(0) // 2

    def surround(self, pixels: int) -> tuple[int, int]:
        """Zeros to add before and after an axis of this length so that the network predicts all of it: the border, and
        at the high end what makes every pooling exact (236 gives 52; outputs are 4 more than a multiple of 16)."""
        return self.border, self.border + ((4 if self.valid else 0) - pixels) % 2**self.poolings

    def lost(self, level: int) -> int:
        """Pixels by which the output of a level's part of the network is smaller than its input ("valid")."""
        if not self.valid:
            return 0
        # Two convolutions down, the levels below at half the resolution, two convolutions up.
        return 4 if level == self.poolings else 8 + 2 * self.lost(level + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.heads(self.features(x))

    def margins(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H', W'): logit of each class minus that of its background. Equal to the difference of the maps of
        `forward`, at half its cost; the loss needs no more."""
        weight, bias = self.heads.weight, self.heads.bias
        return F.conv2d(self.features(x), weight[1::2] - weight[::2], bias[1::2] - bias[::2])

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, base width, H', W'): the maps of the second to last convolutional layer."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.shrink(level, x) if level else x)
            skips.append(x)
        for level in reversed(range(self.poolings)):
            skip, crop = skips[level], self.lost(level + 1)
            if crop:
                skip = skip[:, :, crop:-crop, crop:-crop]
            x = self.up[level](self.join(level, skip, x))
        return x

    def shrink(self, level: int, x: torch.Tensor) -> torch.Tensor:
        """What a level of the encoder receives of the maps of the level above it: (N, C, H / 2, W / 2)."""
        return self.pool(x)

    def join(self, level: int, skip: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """What a level of the decoder receives: the encoder's maps (N, C, H, W) and those of the level below, grown to
        their size, as (N, C + C', H, W)."""
        return torch.cat([skip, self.grow(below)], dim=1)
