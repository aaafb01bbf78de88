"""Descriptors of many views with a network as it is, from images or from kept maps."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.batches import maps_of
from vpr_ros.training.map_cache import MapCache
from vpr_ros.training.pool import ViewPool

_AT_ONCE = 32  # images a pass


def describe(
    network: PlaceNetwork,
    pool: ViewPool,
    cache: MapCache | None,
    frozen_through: str,
    views: NDArray[np.int64],
    renderings: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return descriptors of renderings, and which of them there are; joined heads where nothing projects yet.

    Args:
        network: Is put into eval mode.
        pool: The views.
        cache: Kept maps; None makes images.
        frozen_through: Name of the stage whose maps are kept.
        views: Numbers in the pool, shape (n,).
        renderings: Numbers, shape (n,).

    Returns:
        Descriptors (m, length), and positions among ``views``, shape (m,).
    """
    after = frozen_through if cache is not None else None
    device = next(network.parameters()).device
    network.eval()
    length = network.dim if network.projection is None or network.is_projecting else network.joined_dim
    parts, there = [np.zeros((0, length), np.float32)], [np.zeros(0, np.int64)]
    for start in range(0, len(views), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        maps, read = maps_of(pool, cache, views[some], renderings[some])
        if len(read):
            with torch.inference_mode():
                found, _ = network.finish([part.to(device) for part in maps], after)
            parts.append(found.float().cpu().numpy())
            there.append(read + start)
    return np.concatenate(parts), np.concatenate(there)
