"""Maps of the frozen layers, computed once for each rendering of each view and kept on disk in half precision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.freezing import frozen_stages
from vpr_ros.training.pool import ViewPool

_AT_ONCE = 16
_UNREADABLE, _MISSING, _DONE = -1, 0, 1


class MapCache:
    """Kept maps of a pool; row ``view * renderings + rendering``.

    A cache that was cut off is gone on with. It is told from others by a digest of views, settings and frozen weights.
    """

    def __init__(self, folder: Path, pool: ViewPool, network: PlaceNetwork, last: str, renderings: int) -> None:
        """Open or make the files.

        Args:
            folder: Where; is made.
            pool: Views.
            network: Frozen up to ``last``.
            last: Name of the last frozen stage.
            renderings: Of each view.

        Raises:
            TrainingError: The folder can't be written, or the disk is too small.
        """
        self._pool = pool
        self._network = network
        self._last = last
        self._renderings = renderings
        rows = len(pool) * renderings
        stem = folder / _digest(pool, network, last, renderings)
        with torch.inference_mode():
            size, device = network.spec.input_size, next(network.parameters()).device
            parts = network.eval().run_through(torch.zeros(1, 3, size, size, device=device), last)
            shapes = [tuple(part.shape[1:]) for part in parts]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._maps = [
                _open(stem.with_suffix(f".map{number}.npy"), (rows, *shape), np.float16)
                for number, shape in enumerate(shapes)
            ]
            self._state = _open(stem.with_suffix(".state.npy"), (rows,), np.int8)
        except (OSError, ValueError) as error:
            gigabytes = sum(2 * rows * int(np.prod(shape)) for shape in shapes) / 1e9
            raise TrainingError(
                f"can't keep {rows} maps ({gigabytes:.1f} GB) in '{folder}': {error}; expected a writable folder with "
                "that much space: set cache.folder, or fewer cache.renderings"
            ) from error

    @property
    def missing(self) -> int:
        """How many rows are still to be computed."""
        return int((self._state == _MISSING).sum())

    def fill(self, on_row: Callable[[int], None], device: torch.device) -> None:
        """Compute what is missing.

        Args:
            on_row: Called with the number of rows that were done since the last call.
            device: What the network runs on.
        """
        self._network.eval().to(device)
        rows = np.flatnonzero(self._state == _MISSING)
        batches = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
        # The next views are drawn while the network is busy with these.
        with ThreadPoolExecutor(1) as artist:
            drawn = (
                artist.submit(self._pool.inputs, some // self._renderings, some % self._renderings) for some in batches
            )
            coming = next(drawn, None)
            for some in batches:
                assert coming is not None
                (inputs, read), coming = coming.result(), next(drawn, None)
                if len(read):
                    with torch.inference_mode():
                        parts = self._network.run_through(torch.from_numpy(inputs).to(device), self._last)
                    for kept, part in zip(self._maps, parts, strict=True):
                        kept[some[read]] = part.float().cpu().numpy()
                self._state[some] = _UNREADABLE
                self._state[some[read]] = _DONE
                on_row(len(some))
        for array in (*self._maps, self._state):
            array.flush()
        self._note_unreadable()

    def maps(self, views: NDArray[np.int64], renderings: NDArray[np.int64]) -> tuple[list[Tensor], NDArray[np.int64]]:
        """Return the kept maps of renderings, float32, and which of them there are.

        Args:
            views: Numbers in the pool, shape (n,).
            renderings: Numbers, shape (n,).

        Returns:
            What ``PlaceNetwork.finish`` takes, each of m rows, and positions among ``views``, shape (m,).
        """
        rows = views * self._renderings + renderings
        there = np.flatnonzero(self._state[rows] == _DONE)
        return [torch.from_numpy(kept[rows[there]].astype(np.float32)) for kept in self._maps], there

    def _note_unreadable(self) -> None:
        """Tell the pool of views that an earlier run could not read."""
        for view in np.unique(np.flatnonzero(self._state == _UNREADABLE) // self._renderings).tolist():
            self._pool.corrupt.setdefault(view, "could not be read when its maps were computed")


def _open(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> np.memmap:
    """Return a memory-mapped array that is there and fits, else a new one of zeros."""
    if path.is_file():
        kept = np.lib.format.open_memmap(path, mode="r+")
        if kept.shape == shape and kept.dtype == kind:
            return kept
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def _digest(pool: ViewPool, network: PlaceNetwork, last: str, renderings: int) -> str:
    digest = hashlib.sha256(f"{pool.fingerprint()} {network.spec.backbone} {last} {renderings}".encode())
    for stage in frozen_stages(network, last):
        for module in stage:
            for value in module.state_dict().values():
                digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
