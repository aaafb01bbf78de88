"""The face of the map: places that were seen, found again by what they look like."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Keyframe, Recipe
from vpr_ros.place_map.errors import MapError, RecipeMismatchError, differing_fields
from vpr_ros.place_map.index import DescriptorIndex, check_descriptor
from vpr_ros.place_map.places import PlaceColumns, PlaceTable
from vpr_ros.place_map.rows import Attachment
from vpr_ros.place_map.store import Session, Store

_NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Match:
    """A place that looks like a query.

    Attributes:
        id: The place.
        similarity: Cosine of the two descriptors, in [-1, 1].
    """

    id: int
    similarity: float


class PlaceMap:
    """A growing map of places.

    Descriptors, stamps, sessions and poses lie in memory; thumbnails, patches and features on disk. Every place is on
    disk before ``add`` returns. One process may write to a map while others read it; a reader sees the map as it was
    when it was opened. One thread at a time may use the object.

    Attributes:
        recipe: Of the encoder whose descriptors it holds.
        directory: Its folder, None in memory.
    """

    def __init__(self, store: Store, directory: Path | None = None, *, read_only: bool = False) -> None:
        """Read an open store into memory; ``in_memory``, ``open`` and ``open_or_create`` make one.

        Raises:
            MapError: The map is damaged.
        """
        self.recipe = store.recipe
        self.directory = directory
        self._store = store
        self._read_only = read_only
        self._index = DescriptorIndex(store.recipe.dim)
        self._table = PlaceTable()
        for columns in store.places():
            self._take(columns)
        # After the places: another process may begin a session meanwhile, but no place is without its session.
        self._sessions = store.sessions()

    @classmethod
    def in_memory(cls, recipe: Recipe) -> PlaceMap:
        """Return an empty map that is gone when it is closed."""
        return cls(Store.in_memory(recipe))

    @classmethod
    def open(
        cls, directory: Path, recipe: Recipe | None = None, *, read_only: bool = False, durable: bool = False
    ) -> PlaceMap:
        """Open a map that exists.

        Args:
            directory: Its folder, NAME.vprmap.
            recipe: Of the encoder that will ask; None to only look at what is there.
            read_only: Write nothing; works while another process writes, and on a read-only disk.
            durable: Wait for the disk at each place, which then survives a power cut too.

        Raises:
            MapError: There is none, it is damaged, newer, or open for writing in another process, which is named.
            RecipeMismatchError: Another encoder made it.
        """
        store = Store.open_read_only(directory) if read_only else Store.open(directory, durable=durable)
        return cls._from_store(store, directory, recipe, read_only=read_only)

    @classmethod
    def open_or_create(cls, directory: Path, recipe: Recipe, *, durable: bool = False) -> PlaceMap:
        """Open a map for reading and writing; make an empty one if its folder is empty or not there yet.

        Raises:
            MapError: As ``open``, or the folder holds other things, can't be made, or the disk is full.
            RecipeMismatchError: Another encoder made it.
        """
        store = Store.open_or_create(directory, recipe, durable=durable)
        return cls._from_store(store, directory, recipe)

    @classmethod
    def _from_store(cls, store: Store, directory: Path, recipe: Recipe | None, *, read_only: bool = False) -> PlaceMap:
        with ExitStack() as undo:
            undo.callback(store.close)
            if recipe is not None and differing_fields(store.recipe, recipe):
                raise RecipeMismatchError(directory.name, store.recipe, recipe)
            place_map = cls(store, directory, read_only=read_only)
            undo.pop_all()
            return place_map

    def __enter__(self) -> PlaceMap:
        """Return the map, closed when the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the map."""
        self.close()

    def close(self) -> None:
        """Close the files and let the next writer in."""
        self._store.close()

    def __len__(self) -> int:
        """Return the number of places."""
        return len(self._table)

    def __bool__(self) -> bool:
        """An empty map is not a missing one: ``place_map or another`` keeps it."""
        return True

    @property
    def next_id(self) -> int:
        """Id of the next place."""
        return len(self)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of all places, ascending."""
        return np.arange(len(self), dtype=np.int64)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions, in order."""
        return self._sessions

    @property
    def session(self) -> int:
        """Number of the running session, or of the last; -1 in a map that never saw one."""
        return len(self._sessions) - 1

    def start_session(self, map_frame: str = "map") -> int:
        """Begin an uninterrupted run and return its number.

        Args:
            map_frame: Frame of the map. It is the odometry frame of the first session; each later one gets its own.

        Raises:
            MapError: The map is read-only, or the disk is full; no session has begun then.
        """
        self._refuse_if_read_only()
        number = self.session + 1
        session = Session(number, time.time_ns(), f"{map_frame}/session_{number}" if number else map_frame)
        self._store.add_session(session)
        self._sessions += (session,)
        return number

    def add(self, keyframe: Keyframe) -> None:
        """Remember a keyframe; it is on disk when this returns.

        Args:
            keyframe: Its id must be ``next_id``, its session the running one.

        Raises:
            MapError: It does not fit the map, the map is read-only, or the disk is full. The map is as it was then.
        """
        self._refuse_if_read_only()
        if keyframe.id != self.next_id:
            raise MapError(f"keyframe has id {keyframe.id}, expected {self.next_id}; ids are counted up, never reused")
        if keyframe.session != self.session or self.session < 0:
            raise MapError(
                f"keyframe belongs to session {keyframe.session}, but the running one is {self.session}; "
                "begin one with start_session"
            )
        check_descriptor(keyframe.descriptor, self.recipe.dim)
        self._store.add_place(keyframe)  # first the disk: memory never holds what could be lost
        self._take(PlaceColumns.of(keyframe))

    def place(self, place_id: int) -> Keyframe:
        """Return a place, without its thumbnail, patches and features.

        Raises:
            MapError: There is no such place.
        """
        descriptor = self.descriptors(np.array([place_id]))[0]
        return self._table.keyframe(place_id, descriptor)

    def thumbnail(self, place_id: int) -> bytes | None:
        """Return the JPEG of a place from the disk, None if it was stored without.

        Raises:
            MapError: There is no such place, or the disk is broken.
        """
        return self._attachment(place_id, "thumbnail")

    def patches(self, place_id: int) -> bytes | None:
        """Return the patch descriptors of a place from the disk, None if it was stored without.

        Raises:
            MapError: There is no such place, or the disk is broken.
        """
        return self._attachment(place_id, "patches")

    def features(self, place_id: int) -> bytes | None:
        """Return the local features of a place from the disk, None if it was stored without.

        Raises:
            MapError: There is no such place, or the disk is broken.
        """
        return self._attachment(place_id, "features")

    def descriptors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the descriptors of some places, shape (n, dim), float32.

        Raises:
            MapError: There is no such place.
        """
        self._refuse_unknown(ids)
        return self._index.descriptors(ids)

    def sessions_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the session of each of some places, int64.

        Raises:
            MapError: There is no such place.
        """
        self._refuse_unknown(ids)
        return self._table.sessions(ids)

    def positions(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return where odometry of their sessions saw some places, in metres, shape (n, 3); NaN rows without odometry.

        Raises:
            MapError: There is no such place.
        """
        self._refuse_unknown(ids)
        return self._table.positions(ids)

    def search(
        self, descriptor: NDArray[np.float32], k: int, *, exclude: NDArray[np.int64] | None = None
    ) -> list[Match]:
        """Return the ``k`` most similar places, best first; fewer where there are fewer.

        Args:
            descriptor: Unit length, shape (dim,), float32.
            k: At least 1.
            exclude: Ids to leave out; those of no place are ignored.

        Raises:
            MapError: The descriptor has another length or type, or is not of unit length, or ``k`` is not positive.
        """
        if k < 1:
            raise MapError(f"{k} places were asked for, expected at least 1")
        query = check_descriptor(descriptor, self.recipe.dim)
        ids, similarities = self._index.search(query, k, _NOTHING if exclude is None else exclude)
        return [Match(*pair) for pair in zip(ids.tolist(), similarities.tolist(), strict=True)]

    def checkpoint(self) -> None:
        """Put everything into the database file itself and wait for the disk, such as before the file is copied.

        Raises:
            MapError: The disk is full or broken; nothing is lost.
        """
        if not self._read_only:
            self._store.checkpoint()

    def _attachment(self, place_id: int, kind: Attachment) -> bytes | None:
        self._refuse_unknown(np.array([place_id]))
        return self._store.attachment(place_id, kind)

    def _take(self, columns: PlaceColumns) -> None:
        self._index.add(columns.descriptors)
        self._table.extend(columns)

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise MapError("the map is open for reading only, nothing can be added; open it with mode mapping")

    def _refuse_unknown(self, ids: NDArray[np.int64]) -> None:
        if len(ids) and not (ids.min() >= 0 and ids.max() < len(self)):
            raise MapError(f"places {ids.min()} to {ids.max()} were asked for, the map holds 0 to {len(self) - 1}")
