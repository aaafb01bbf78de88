"""MixVPR (Ali-bey, Chaib-draa & Giguère, WACV 2023), written from its published formulas.

Attribute names are those of the authors' checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vpr_ros.encoders.models.gem import unit_length
from vpr_ros.encoders.models.resnet import ResNet50ToLayer3

INPUT_SIZE = 320  # Pixels; a LayerNorm over the flattened map freezes it.
IN_CHANNELS = 1024  # Of ResNet-50's layer3.
POSITIONS = (INPUT_SIZE // 16) ** 2


@dataclass(frozen=True, slots=True)
class MixVprShape:
    """What tells one MixVPR from another.

    Attributes:
        out_channels: Channels after ``channel_proj``.
        out_rows: Rows after ``row_proj``.
        depth: Mixer blocks.
        mixer_width: Inner width of a mixer block's two layers.
    """

    out_channels: int
    out_rows: int
    depth: int = 4
    mixer_width: int = POSITIONS

    @property
    def dim(self) -> int:
        """Length of the descriptor."""
        return self.out_channels * self.out_rows


class MixVpr(nn.Module):
    """ResNet-50 to layer3 and the feature mixer.

    ``forward`` takes (batch, 3, 320, 320) and returns the descriptor (batch, dim), unit length.
    """

    def __init__(self, shape: MixVprShape) -> None:
        """Build with random weights."""
        super().__init__()
        self.backbone = nn.ModuleDict({"model": ResNet50ToLayer3()})
        self.aggregator = FeatureMixer(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Return the descriptor."""
        descriptor: Tensor = self.aggregator(self.backbone["model"](images))
        return descriptor


class FeatureMixer(nn.Module):
    """Mixes the positions of each channel, then projects channels and positions down.

    ``forward`` takes (batch, 1024, 20, 20) and returns (batch, out_channels * out_rows), channel-major: the value of
    channel c and row r stands at c * out_rows + r.
    """

    def __init__(self, shape: MixVprShape) -> None:
        """Build with random weights."""
        super().__init__()
        self.mix = nn.Sequential(*(MixerBlock(shape.mixer_width) for _ in range(shape.depth)))
        self.channel_proj = nn.Linear(IN_CHANNELS, shape.out_channels)
        self.row_proj = nn.Linear(POSITIONS, shape.out_rows)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the descriptor."""
        z = self.mix(feature_map.flatten(2))
        # The authors project channels first. The two projections are linear and commute, up to where the biases
        # land; rows first spares 0.4 of the 8.4 GMAC at 4096-D.
        rows = functional.linear(z, self.row_proj.weight)
        projected = torch.matmul(self.channel_proj.weight, rows)
        bias = torch.outer(self.channel_proj.bias, self.row_proj.weight.sum(dim=1)) + self.row_proj.bias
        return unit_length((projected + bias).flatten(1))


class MixerBlock(nn.Module):
    """A residual two-layer perceptron over the positions of each channel; channels do not meet in it."""

    def __init__(self, width: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.mix = nn.Sequential(
            nn.LayerNorm(POSITIONS), nn.Linear(POSITIONS, width), nn.ReLU(), nn.Linear(width, POSITIONS)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return (batch, channels, positions) mixed."""
        mixed: Tensor = z + self.mix(z)
        return mixed
