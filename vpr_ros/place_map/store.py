"""A map on disk: one SQLite file, every place in a transaction of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dacite
import numpy as np

from vpr_ros.core import Camera, Keyframe, Recipe, VprError
from vpr_ros.place_map.errors import MapError
from vpr_ros.place_map.lock import LOCK_FILE, WriterLock
from vpr_ros.place_map.places import NO_POSE, POSE_SIZE, PlaceColumns

DATABASE_FILE = "map.sqlite3"
_UNFINISHED_FILE = "map.sqlite3.new"
SCHEMA_VERSION = 1
# "VPRM" in ASCII: tells a map from any other SQLite file (https://sqlite.org/fileformat.html, offset 68).
APPLICATION_ID = 0x5650524D

_SCHEMA = f"""
BEGIN;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE recipe (json TEXT NOT NULL) STRICT;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL, map_frame TEXT NOT NULL) STRICT;
CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id),
    stamp_ns INTEGER NOT NULL,
    timed INTEGER NOT NULL,        -- 0: the stamp only numbers the frames
    frame_id TEXT NOT NULL,
    camera TEXT,                   -- JSON, NULL if uncalibrated
    t_odom_camera BLOB,            -- x y z qx qy qz qw, little-endian float64, NULL without odometry
    descriptor BLOB NOT NULL,      -- little-endian float32
    thumbnail BLOB                 -- JPEG
) STRICT;
"""
_READ_CHUNK = 4096  # places; bounds the memory that opening a large map takes beside the map itself
_LITTLE_FLOAT32 = np.dtype("<f4")
_LITTLE_FLOAT64 = np.dtype("<f8")


@dataclass(frozen=True, slots=True)
class Session:
    """One uninterrupted run of the robot.

    Attributes:
        id: Counts up from 0.
        started_ns: When it began by the system's clock, in ns since 1970.
        map_frame: Frame of its odometry poses: ``map`` for the first session, a frame of its own for each later one.
    """

    id: int
    started_ns: int
    map_frame: str


class Store:
    """A map's database, opened. One thread at a time may use it.

    Attributes:
        recipe: Whose descriptors it holds.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, lock: WriterLock | None = None) -> None:
        """Take a connection to a database that should be a map; schema version and recipe are read first.

        Args:
            connection: Closed with the store, or where this fails.
            name: Name of the map, for errors.
            lock: Given up when the store is closed.

        Raises:
            MapError: It is no map, a newer one, or damaged.
        """
        self._name = name
        with ExitStack() as closing:
            if lock is not None:
                closing.callback(lock.close)
            closing.callback(connection.close)
            with telling(name, "opened"):
                _check_is_map(connection, name)
                self.recipe = _recipe_from_json(connection.execute("SELECT json FROM recipe").fetchone()[0])
            self._connection = connection
            self._closing = closing.pop_all()

    @classmethod
    def in_memory(cls, recipe: Recipe) -> Store:
        """Return an empty map that is gone when it is closed."""
        connection = _connect(":memory:")
        _create_tables(connection, recipe)
        return cls(connection, "in memory")

    @classmethod
    def open(cls, directory: Path, *, durable: bool = False) -> Store:
        """Open a map for reading and writing.

        Args:
            directory: The map's folder.
            durable: Wait for the disk at each place, which then survives a power cut too. Without it a place survives
                the death of the process, however violent.

        Raises:
            MapError: There is none, it is no map, a newer one, damaged, or open for writing in another process.
        """
        _database_uri(directory)
        return cls._open_locked(directory, WriterLock(directory), durable=durable)

    @classmethod
    def open_or_create(cls, directory: Path, recipe: Recipe, *, durable: bool = False) -> Store:
        """Open a map for reading and writing; make an empty one if the folder is empty or not there yet.

        Raises:
            MapError: As ``open``, or the folder holds other things, can't be made, or the disk is full.
        """
        with telling(directory.name, "made"):
            directory.mkdir(parents=True, exist_ok=True)
            _refuse_foreign_folder(directory)
        lock = WriterLock(directory)
        if not (directory / DATABASE_FILE).exists():
            try:
                _create_file(directory, recipe)
            except MapError:
                lock.close()
                raise
        return cls._open_locked(directory, lock, durable=durable)

    @classmethod
    def _open_locked(cls, directory: Path, lock: WriterLock, *, durable: bool) -> Store:
        with telling(directory.name, "opened"):
            connection = _connect(f"{_database_uri(directory)}?mode=rw")
        store = cls(connection, directory.name, lock)
        with telling(directory.name, "opened"):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        return store

    @classmethod
    def open_read_only(cls, directory: Path) -> Store:
        """Open a map for reading, also while another process writes to it, also on a read-only disk.

        Raises:
            MapError: There is none, it is no map, a newer one, or damaged.
        """
        uri = _database_uri(directory)
        with telling(directory.name, "opened"):
            connection = _connect(f"{uri}?mode=ro")
            try:
                connection.execute("SELECT count(*) FROM sqlite_master")
            except sqlite3.OperationalError:
                # A WAL database wants to make its -shm file. Where that is impossible nobody else can write either, and
                # without a log left behind by a killed writer the file alone is the whole truth.
                log = directory / f"{DATABASE_FILE}-wal"
                if log.exists() and log.stat().st_size:
                    raise
                connection = _connect(f"{uri}?mode=ro&immutable=1")
        return cls(connection, directory.name)

    def sessions(self) -> tuple[Session, ...]:
        """Return all sessions, in order."""
        with telling(self._name, "read"):
            rows = self._connection.execute("SELECT id, started_ns, map_frame FROM sessions ORDER BY id")
            return tuple(Session(*row) for row in rows)

    def add_session(self, session: Session) -> None:
        """Store a session.

        Raises:
            MapError: The disk is full or broken; the map is as it was before.
        """
        with telling(self._name, "written"):
            self._connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?)", (session.id, session.started_ns, session.map_frame)
            )

    def add_place(self, keyframe: Keyframe) -> None:
        """Store a keyframe, already checked. The statement is its own transaction: all of it or nothing.

        Raises:
            MapError: The disk is full or broken; the map is as it was before.
        """
        pose, camera = keyframe.t_odom_camera, keyframe.camera
        row = (
            keyframe.id,
            keyframe.session,
            keyframe.stamp_ns,
            int(keyframe.timed),
            keyframe.frame_id,
            None if camera is None else _camera_to_json(camera),
            None if pose is None else pose.xyz_quaternion.astype(_LITTLE_FLOAT64).tobytes(),
            keyframe.descriptor.astype(_LITTLE_FLOAT32, copy=False).tobytes(),
            keyframe.thumbnail,
        )
        with telling(self._name, "written"):
            self._connection.execute("INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def places(self) -> Iterator[PlaceColumns]:
        """Yield all places in order of id, some thousand at a time, as they were when the first was read.

        Raises:
            MapError: The map is damaged; names what does not fit.
        """
        with telling(self._name, "read"):
            cursor = self._connection.execute(
                "SELECT id, session, stamp_ns, timed, frame_id, camera, ifnull(t_odom_camera, ?), descriptor "
                "FROM places ORDER BY id",
                (NO_POSE.astype(_LITTLE_FLOAT64).tobytes(),),
            )
            first_id = 0
            while rows := cursor.fetchmany(_READ_CHUNK):
                yield _columns(rows, first_id, self.recipe.dim)
                first_id += len(rows)

    def thumbnail(self, place_id: int) -> bytes | None:
        """Return the JPEG of a place, None if it has none or there is no such place."""
        with telling(self._name, "read"):
            row = self._connection.execute("SELECT thumbnail FROM places WHERE id = ?", (place_id,)).fetchone()
            return None if row is None else row[0]

    def checkpoint(self) -> None:
        """Move everything from the write-ahead log into the database file and empty the log, as far as readers let."""
        with telling(self._name, "written"):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the database, which empties the write-ahead log, and let the next writer in."""
        self._closing.close()


@contextmanager
def telling(name: str, done: str) -> Iterator[None]:
    """Turn what SQLite, the file system and the readers of untrusted values raise into one sentence.

    Args:
        name: Name of the map.
        done: What was to be done with it, such as ``opened``.
    """
    try:
        yield
    except MapError:
        raise
    except sqlite3.OperationalError as error:
        raise MapError(f"map '{name}' can't be {done}: {error}; {_advice(str(error))}") from error
    except OSError as error:
        raise MapError(f"map '{name}' can't be {done}: {error.strerror}; mend the disk or its permissions") from error
    except (sqlite3.Error, dacite.DaciteError, VprError, ValueError, TypeError) as error:
        raise MapError(
            f"map '{name}' can't be {done}: it is damaged or no map at all ({' '.join(str(error).split())}); "
            "take a copy from before, or make a new map"
        ) from error


def _advice(error: str) -> str:
    if "full" in error:
        return "free some space; the map is whole and holds everything that was acknowledged"
    if "readonly" in error or "unable to open" in error:
        return "check that it is there and may be read and written"
    return "'vpr_ros map check' tells more"


def _connect(uri: str) -> sqlite3.Connection:
    # The node opens a map in one thread and works on it in another, never in both at once.
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")  # a map may come from anywhere: its schema runs nothing
    return connection


def _database_uri(directory: Path) -> str:
    path = directory / DATABASE_FILE
    if not path.is_file():
        raise MapError(
            f"there is no map at '{directory}', expected a folder with {DATABASE_FILE}; "
            "check the name, or make one with 'vpr_ros loops SOURCE --map NAME.vprmap'"
        )
    return path.resolve().as_uri()


def _refuse_foreign_folder(directory: Path) -> None:
    """A map in a folder of images, or in the home folder, is a slip of the finger."""
    names = {path.name for path in directory.iterdir()}
    if DATABASE_FILE not in names and (others := names - {LOCK_FILE, _UNFINISHED_FILE}):
        raise MapError(
            f"'{directory}' is no map and holds other things, such as '{min(others)}'; "
            "give an empty folder or a new name"
        )


def _create_file(directory: Path, recipe: Recipe) -> None:
    """Make an empty map beside its final name and rename it: it appears whole or not at all."""
    unfinished = directory / _UNFINISHED_FILE
    with telling(directory.name, "made"):
        unfinished.unlink(missing_ok=True)
        connection = _connect(f"{unfinished.resolve().as_uri()}?mode=rwc")
        try:
            _create_tables(connection, recipe)
        finally:
            connection.close()
        unfinished.replace(directory / DATABASE_FILE)


def _create_tables(connection: sqlite3.Connection, recipe: Recipe) -> None:
    connection.executescript(_SCHEMA)
    connection.execute("INSERT INTO recipe VALUES (?)", (json.dumps(asdict(recipe)),))
    connection.execute("COMMIT")


def _check_is_map(connection: sqlite3.Connection, name: str) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise MapError(f"'{name}' holds an SQLite database that is no map; give the folder of a map or a new name")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise MapError(
            f"map '{name}' has schema {version}, this vpr_ros reads {SCHEMA_VERSION}; "
            "use the version of vpr_ros that made it, or a newer one"
        )


def _columns(rows: Sequence[tuple[Any, ...]], first_id: int, dim: int) -> PlaceColumns:
    """Turn rows into columns without a loop over places."""
    ids, sessions, stamps_ns, timed, frame_ids, cameras, poses, descriptors = zip(*rows, strict=True)
    if not np.array_equal(ids, np.arange(first_id, first_id + len(rows))):
        raise ValueError(f"ids of places after {first_id - 1} are not counted up without gaps")
    return PlaceColumns(
        first_id=first_id,
        sessions=np.array(sessions, np.int64),
        stamps_ns=np.array(stamps_ns, np.int64),
        timed=np.array(timed, np.bool_),
        t_odom_camera=np.frombuffer(_joined(poses, POSE_SIZE * 8), _LITTLE_FLOAT64).reshape(-1, POSE_SIZE),
        frame_ids=frame_ids,
        cameras=tuple(map(_camera_from_json, cameras)),
        descriptors=np.frombuffer(_joined(descriptors, dim * 4), _LITTLE_FLOAT32).reshape(-1, dim),
    )


def _joined(blobs: Sequence[bytes], size: int) -> bytes:
    if (sizes := set(map(len, blobs))) != {size}:
        raise ValueError(f"descriptors or poses of {sorted(sizes)} bytes, expected {size}")
    return b"".join(blobs)


def _recipe_from_json(text: str) -> Recipe:
    return dacite.from_dict(Recipe, json.loads(text), dacite.Config(strict=True, cast=[tuple]))


def _camera_to_json(camera: Camera) -> str:
    return json.dumps(asdict(camera))


@lru_cache(maxsize=64)  # a map has a handful of cameras and thousands of places
def _camera_from_json(text: str | None) -> Camera | None:
    if text is None:
        return None
    return dacite.from_dict(Camera, json.loads(text), dacite.Config(strict=True, cast=[tuple]))
