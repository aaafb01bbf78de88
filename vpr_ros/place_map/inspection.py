"""Looking at a map without using it: what it holds, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vpr_ros.core import Recipe
from vpr_ros.place_map.errors import MapError
from vpr_ros.place_map.index import UNIT_TOLERANCE
from vpr_ros.place_map.rows import SCHEMA_VERSION
from vpr_ros.place_map.store import Session, Store

_NAMED_IDS = 5  # ids spelt out in a problem; more would bury it


@dataclass(frozen=True, slots=True)
class MapFacts:
    """What a map holds.

    Attributes:
        recipe: Of the encoder that made it.
        schema: Version of its tables.
        sessions: All sessions, in order.
        places: Number of places.
        size_bytes: Of all its files on disk.
        first_stamp_ns: Earliest stamp of a place in ns; None without timed places.
        last_stamp_ns: Latest stamp of a place in ns; None without timed places.
    """

    recipe: Recipe
    schema: int
    sessions: tuple[Session, ...]
    places: int
    size_bytes: int
    first_stamp_ns: int | None
    last_stamp_ns: int | None


def map_facts(directory: Path) -> MapFacts:
    """Return what a map holds, without loading it.

    Raises:
        MapError: There is no map, or it can't be opened.
    """
    with closing(Store.open_read_only(directory)) as store:
        first_ns, last_ns = store.read("SELECT min(stamp_ns), max(stamp_ns) FROM places WHERE timed")[0]
        return MapFacts(
            recipe=store.recipe,
            schema=SCHEMA_VERSION,
            sessions=store.sessions(),
            places=store.read("SELECT count(*) FROM places")[0][0],
            size_bytes=sum(path.stat().st_size for path in directory.iterdir() if path.is_file()),
            first_stamp_ns=first_ns,
            last_stamp_ns=last_ns,
        )


def check_map(directory: Path) -> list[str]:
    """Return everything that is wrong with a map, a sentence each; empty if it is sound.

    Reads every byte of it, and changes none.
    """
    try:
        with closing(Store.open_read_only(directory)) as store:
            if damage := [text for (text,) in store.read("PRAGMA integrity_check") if text != "ok"]:
                return damage
            return [*_session_problems(store), *_place_problems(store), *_thumbnail_problems(store)]
    except MapError as error:
        return [str(error)]


def _session_problems(store: Store) -> Iterator[str]:
    orphans = store.read("SELECT id FROM places WHERE session NOT IN (SELECT id FROM sessions)")
    if orphans:
        yield f"{_named(orphans)} belong to a session that is not there"
    numbers = [number for (number,) in store.read("SELECT id FROM sessions ORDER BY id")]
    if numbers != list(range(len(numbers))):
        yield f"sessions are numbered {numbers}, expected 0 to {len(numbers) - 1}"
    backwards = store.read(
        "SELECT id FROM (SELECT id, session, lag(session) OVER (ORDER BY id) AS before FROM places) "
        "WHERE session < before"
    )
    if backwards:
        yield f"{_named(backwards)} go back to an earlier session"


def _place_problems(store: Store) -> Iterator[str]:
    for columns in store.places():
        lengths = np.linalg.norm(columns.descriptors, axis=1)
        wrong = columns.first_id + np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE))
        if len(wrong):
            yield f"descriptors of {_named(wrong[:, None].tolist())} are not of unit length"


def _thumbnail_problems(store: Store) -> Iterator[str]:
    import cv2

    for (place_id,) in store.read("SELECT id FROM places WHERE thumbnail IS NOT NULL"):
        jpeg = np.frombuffer(store.attachment(place_id, "thumbnail") or b"", np.uint8)
        if not jpeg.size or cv2.imdecode(jpeg, cv2.IMREAD_REDUCED_COLOR_8) is None:
            yield f"the thumbnail of place {place_id} is no image"


def _named(rows: list[tuple[int]]) -> str:
    shown = ", ".join(str(place_id) for (place_id,) in rows[:_NAMED_IDS])
    return f"places {shown}" + (f" and {len(rows) - _NAMED_IDS} more" if len(rows) > _NAMED_IDS else "")
