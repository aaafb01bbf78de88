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
_MIXER_SPREAD = 0.02  # Standard deviation of the authors' initialisation.


@dataclass(frozen=True, slots=True)
class MixVprShape:
    """What tells one MixVPR from another.

    Attributes:
        out_channels: Channels after ``channel_proj``.
        out_rows: Rows after ``row_proj``.
        depth: Mixer blocks.
        mixer_width: Inner width of a mixer block's two layers.
        in_channels: Channels of the map.
        positions: Positions of the map, rows times columns.
    """

    out_channels: int
    out_rows: int
    depth: int = 4
    mixer_width: int = POSITIONS
    in_channels: int = IN_CHANNELS
    positions: int = POSITIONS

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

    ``forward`` takes (batch, in_channels, rows, columns) and returns (batch, out_channels * out_rows), channel-major:
    the value of channel c and row r stands at c * out_rows + r.
    """

    def __init__(self, shape: MixVprShape) -> None:
        """Build with random weights."""
        super().__init__()
        self.mix = nn.Sequential(*(MixerBlock(shape.mixer_width, shape.positions) for _ in range(shape.depth)))
        self.channel_proj = nn.Linear(shape.in_channels, shape.out_channels)
        self.row_proj = nn.Linear(shape.positions, shape.out_rows)

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

    def __init__(self, width: int, positions: int) -> None:
        """Build with the authors' random weights, which leave the block close to doing nothing."""
        super().__init__()
        self.mix = nn.Sequential(
            nn.LayerNorm(positions), nn.Linear(positions, width), nn.ReLU(), nn.Linear(width, positions)
        )
        for layer in self.mix:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=_MIXER_SPREAD)
                nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Return (batch, channels, positions) mixed."""
        mixed: Tensor = z + self.mix(z)
        return mixed
