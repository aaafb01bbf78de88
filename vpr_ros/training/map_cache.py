"""Maps of the frozen layers, computed once for each rendering of each view and kept on disk in half precision."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # by file systems that can't reserve space
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
        digest = _digest(pool, network, last, renderings)
        state = folder / f"{digest}.state.npy"
        with torch.inference_mode():
            size, device = network.spec.input_size, next(network.parameters()).device
            parts = network.eval().run_through(torch.zeros(1, 3, size, size, device=device), last)
            shapes = [tuple(part.shape[1:]) for part in parts]
        files = [folder / f"{digest}.map{number}.npy" for number in range(len(shapes))]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not all(_is_whole(path, (rows, *shape), np.float16) for path, shape in zip(files, shapes, strict=True)):
                state.unlink(missing_ok=True)  # it would call done what a new file does not hold
            self._maps = [_open(path, (rows, *shape), np.float16) for path, shape in zip(files, shapes, strict=True)]
            self._state = _open(state, (rows,), np.int8)
        except (OSError, ValueError) as error:
            _remove_unused(files, state)
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
            self._pool.corrupt.setdefault(
                view, f"{self._pool.name_of(view)} could not be read when its maps were computed"
            )


def _open(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> np.memmap:
    """Return a memory-mapped array that is there and fits, else a new one of zeros.

    Raises:
        OSError: It can't be made, or the disk is too small for it.
    """
    if _is_whole(path, shape, kind):
        return np.lib.format.open_memmap(path, mode="r+")
    try:
        made = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
        _reserve(path)
    except OSError:
        with suppress(OSError):  # the folder may be what is wrong
            path.unlink()
        raise
    return made


def _is_whole(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> bool:
    """Say whether a file holds an array that fits, to its end."""
    if not path.is_file():
        return False
    try:
        kept = np.lib.format.open_memmap(path, mode="r")  # "r+" would fill what was cut off with zeros
    except ValueError:
        return False
    return kept.shape == shape and kept.dtype == kind


def _remove_unused(files: list[Path], state: Path) -> None:
    """Give back the space of maps that no state belongs to: it is made last, and they hold nothing yet."""
    with suppress(OSError):  # the folder may be what is wrong
        if not state.is_file():
            for path in files:
                path.unlink(missing_ok=True)


def _reserve(path: Path) -> None:
    """Take the disk's space for a whole file: a map that finds the disk full later kills the process.

    Raises:
        OSError: There is not that much.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise


def _digest(pool: ViewPool, network: PlaceNetwork, last: str, renderings: int) -> str:
    digest = hashlib.sha256(f"{pool.fingerprint()} {network.spec.backbone} {last} {renderings}".encode())
    for stage in frozen_stages(network, last):
        for module in stage:
            for value in module.state_dict().values():
                digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
