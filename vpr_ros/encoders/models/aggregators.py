"""Aggregators: from a feature map to one vector of unit length. MixVPR, NetVLAD and GeM have files of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.gem import Gem, LearnedGem, unit_length
from vpr_ros.encoders.models.mixvpr import FeatureMixer, MixVprShape
from vpr_ros.encoders.models.network_spec import HeadSpec
from vpr_ros.encoders.models.vgg16_netvlad import NetVlad


class Average(nn.Module):
    """Plain mean over the positions of each channel: (batch, channels, rows, columns) to (batch, channels)."""

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the pooled channels."""
        return feature_map.mean(dim=(2, 3))


class Grid(nn.Module):
    """Means over the cells of a grid, of a map whose positions have unit length; keeps where things are.

    ``forward`` takes (batch, channels, height, width) and returns (batch, channels * rows * columns), channel-major.
    """

    def __init__(self, rows: int, columns: int, height: int, width: int) -> None:
        """Cut a map of (height, width) into cells.

        Raises:
            EncoderError: The grid does not divide the map.
        """
        super().__init__()
        if height % rows or width % columns:
            raise EncoderError(
                f"a grid of {rows} x {columns} does not divide a map of {height} x {width}; expected divisors of both"
            )
        self._cell = (height // rows, width // columns)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return the cells' means."""
        return functional.avg_pool2d(unit_length(feature_map), self._cell).flatten(1)


def build_head(spec: HeadSpec, channels: int, size: int) -> nn.Module:
    """Return an aggregator with random weights; :func:`aggregate` runs it, for ``moved_columns`` are not its own.

    Args:
        spec: Which one.
        channels: Of its map.
        size: Rows and columns of its map.

    Raises:
        EncoderError: It does not fit the map.
    """
    farthest = max(spec.moved_columns, key=abs, default=0)
    if abs(farthest) >= size:
        raise EncoderError(
            f"head '{spec.kind}' has moved_columns {farthest}, which moves all out of a map of {size} columns; "
            f"expected less than {size} to either side"
        )
    if spec.kind == "mixvpr":
        shape = MixVprShape(
            spec.dim // spec.out_rows,
            spec.out_rows,
            spec.depth,
            mixer_width=size * size,
            in_channels=channels,
            positions=size * size,
        )
        return FeatureMixer(shape)
    if spec.kind == "netvlad":
        return NetVlad(spec.clusters, channels)
    if spec.kind == "grid":
        return Grid(spec.rows, spec.columns, size, size)
    if spec.kind == "gem":
        return LearnedGem() if spec.learn_p else Gem()
    return Average()


def aggregate(head: nn.Module, feature_map: Tensor, moved_columns: Sequence[int]) -> Tensor:
    """Return what an aggregator gives of a map: the mean, not of unit length, over the map as it is and moved sideways.

    Args:
        head: The aggregator.
        feature_map: Shape (batch, channels, rows, columns).
        moved_columns: By how many columns to the right it is moved besides; negative ones to the left.
    """
    if not moved_columns:
        given: Tensor = head(feature_map)
        return given
    maps = (feature_map, *(_moved(feature_map, columns) for columns in moved_columns))
    return torch.stack([head(each) for each in maps]).mean(dim=0)


def _moved(feature_map: Tensor, columns: int) -> Tensor:
    """Return a map moved to the right, what comes in from outside being its edge repeated."""
    width = feature_map.shape[3]
    taken = torch.arange(width, device=feature_map.device) - columns
    return feature_map.index_select(3, taken.clamp(0, width - 1))


def dim_of(spec: HeadSpec, channels: int) -> int:
    """Return how many values an aggregator gives."""
    return {
        "mixvpr": spec.dim,
        "netvlad": spec.clusters * channels,
        "grid": spec.rows * spec.columns * channels,
    }.get(spec.kind, channels)
