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

_DRAWS = 10  # of a batch, until enough of it can be read


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
        """Yield the batches of steps ``first`` to ``end`` - 1.

        Raises:
            TrainingError: There are too few places that are surely different, or that can be read.
        """
        loader: DataLoader[Any] = DataLoader(
            self._steps,
            batch_size=None,
            sampler=range(first, end),
            num_workers=self._workers,
            prefetch_factor=2 if self._workers else None,
        )
        for made in loader:
            if isinstance(made, TrainingError):
                raise made
            maps, labels, classes, corrupt = made
            self._pool.corrupt.update(corrupt)
            yield Batch(maps, labels, classes)


class _Steps(Dataset[Any]):
    """Steps as a map-style data set, so that torch's workers can make them; each needs its number alone."""

    def __init__(self, pool: ViewPool, sampler: PlaceSampler, cache: MapCache | None) -> None:
        self._pool = pool
        self._sampler = sampler
        self._cache = cache
        self._classes = pool.places

    def __getitem__(self, step: int) -> tuple[list[Tensor], Tensor, Tensor, dict[int, str]] | TrainingError:
        try:
            return self._made(step)
        except TrainingError as error:
            # Not raised: torch would put a worker's traceback into its words.
            return error

    def _made(self, step: int) -> tuple[list[Tensor], Tensor, Tensor, dict[int, str]]:
        """Return a batch of which two places at least could be read."""
        for attempt in range(_DRAWS):
            drawn = self._sampler.batch(step, attempt)
            maps, read = maps_of(self._pool, self._cache, drawn.views, drawn.renderings)
            labels = drawn.labels[read]
            if len(np.unique(labels)) > 1:
                classes = torch.from_numpy(self._classes[drawn.views[read]])
                return maps, torch.from_numpy(labels), classes, dict(self._pool.corrupt)
        reason = next(iter(self._pool.corrupt.values()), "")
        raise TrainingError(
            f"of {len(drawn.views)} views of step {step}, {len(read)} could be read, expected at least two places of "
            f"them, and so {_DRAWS} times: {reason}; check the images"
        )


def maps_of(
    pool: ViewPool, cache: MapCache | None, views: NDArray[np.int64], renderings: NDArray[np.int64]
) -> tuple[list[Tensor], NDArray[np.int64]]:
    """Return what the network takes for renderings of views, kept or made now, and which of them there are."""
    if cache is not None:
        return cache.maps(views, renderings)
    inputs, read = pool.inputs(views, renderings)
    return [torch.from_numpy(inputs)], read
