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


class MovedMaps(nn.Module):
    """A map as it is and moved sideways, what comes in from outside being its edge repeated.

    ``forward`` takes (batch, channels, rows, size) and returns a list of such maps.
    """

    def __init__(self, moved_columns: Sequence[int], size: int) -> None:
        """Take how far maps are moved.

        Args:
            moved_columns: Of each moved map, to the right, or to the left where negative.
            size: Columns of the map.

        Raises:
            EncoderError: Nothing of the map would be left.
        """
        super().__init__()
        farthest = max(moved_columns, key=abs, default=0)
        if abs(farthest) >= size:
            raise EncoderError(
                f"moved_columns has {farthest}, which moves all out of a map of {size} columns; expected less than "
                f"{size} to either side"
            )
        self._moved_columns = tuple(moved_columns)
        self._size = size

    def forward(self, feature_map: Tensor) -> list[Tensor]:
        """Return the maps."""
        if not self._moved_columns:
            return [feature_map]
        reach = max(map(abs, self._moved_columns))
        padded = functional.pad(feature_map, (reach, reach, 0, 0), mode="replicate")
        starts = (reach - columns for columns in self._moved_columns)
        return [feature_map, *(padded[..., start : start + self._size] for start in starts)]


def aggregate(head: nn.Module, maps: Sequence[Tensor]) -> Tensor:
    """Return the mean of what an aggregator gives of maps of the same images, not brought to unit length.

    Args:
        head: The aggregator.
        maps: What :class:`MovedMaps` gives.
    """
    # All at once: the weights are read once, and few small products become one.
    given: Tensor = head(torch.cat(tuple(maps)))
    return given.reshape(len(maps), len(maps[0]), -1).mean(dim=0)


def build_head(spec: HeadSpec, channels: int, size: int) -> nn.Module:
    """Return an aggregator with random weights; what it is given, moved or not, is :class:`MovedMaps`' part.

    Args:
        spec: Which one.
        channels: Of its map.
        size: Rows and columns of its map.

    Raises:
        EncoderError: It does not fit the map.
    """
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


def dim_of(spec: HeadSpec, channels: int) -> int:
    """Return how many values an aggregator gives."""
    return {
        "mixvpr": spec.dim,
        "netvlad": spec.clusters * channels,
        "grid": spec.rows * spec.columns * channels,
    }.get(spec.kind, channels)
