"""What a step learns from, ready for the network: images made on the spot, or kept maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vpr_ros.training.errors import TrainingError
from vpr_ros.training.map_cache import MapCache
from vpr_ros.training.pool import ViewPool
from vpr_ros.training.sampling import PlaceSampler


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's material.

    Attributes:
        maps: What ``PlaceNetwork.finish`` takes: images, or maps of the frozen layers; n rows each.
        labels: Place within the batch, shape (n,), int64.
        classes: Class in the training set, shape (n,), int64.
    """

    maps: list[Tensor]
    labels: Tensor
    classes: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch([part.to(device) for part in self.maps], self.labels.to(device), self.classes.to(device))


class Batches:
    """Batches of a training, by step."""

    def __init__(self, pool: ViewPool, sampler: PlaceSampler, cache: MapCache | None, workers: int) -> None:
        """Take where they come from.

        Args:
            pool: The views.
            sampler: Draws them.
            cache: Kept maps; None makes images.
            workers: Processes that make images; 0 makes them in this one.
        """
        self._steps = _Steps(pool, sampler, cache)
        self._pool = pool
        self._workers = 0 if cache is not None else workers

    def between(self, first: int, end: int) -> Iterator[Batch]:
        """Yield the batches of steps ``first`` to ``end`` - 1."""
        loader: DataLoader[Any] = DataLoader(
            self._steps,
            batch_size=None,
            sampler=range(first, end),
            num_workers=self._workers,
            prefetch_factor=2 if self._workers else None,
        )
        for maps, labels, classes, corrupt in loader:
            self._pool.corrupt.update(corrupt)
            yield Batch(maps, labels, classes)


class _Steps(Dataset[Any]):
    """Steps as a map-style data set, so that torch's workers can make them; each needs its number alone."""

    def __init__(self, pool: ViewPool, sampler: PlaceSampler, cache: MapCache | None) -> None:
        self._pool = pool
        self._sampler = sampler
        self._cache = cache
        self._classes = pool.places

    def __getitem__(self, step: int) -> tuple[list[Tensor], Tensor, Tensor, dict[int, str]]:
        drawn = self._sampler.batch(step)
        maps, read = maps_of(self._pool, self._cache, drawn.views, drawn.renderings)
        labels = torch.from_numpy(drawn.labels[read])
        if len(np.unique(drawn.labels[read])) < 2:
            reason = next(iter(self._pool.corrupt.values()), "")
            raise TrainingError(
                f"of {len(drawn.views)} views of step {step}, {len(read)} could be read, expected at least two places "
                f"of them: {reason}; check the images"
            )
        return maps, labels, torch.from_numpy(self._classes[drawn.views[read]]), dict(self._pool.corrupt)


def maps_of(
    pool: ViewPool, cache: MapCache | None, views: NDArray[np.int64], renderings: NDArray[np.int64]
) -> tuple[list[Tensor], NDArray[np.int64]]:
    """Return what the network takes for renderings of views, kept or made now, and which of them there are."""
    if cache is not None:
        return cache.maps(views, renderings)
    inputs, read = pool.inputs(views, renderings)
    return [torch.from_numpy(inputs)], read
