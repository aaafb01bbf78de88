"""A map on disk: one SQLite file, every place in a transaction of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dacite

from vpr_ros.core import Keyframe, Recipe, VprError
from vpr_ros.place_map.errors import MapError
from vpr_ros.place_map.lock import LOCK_FILE, WriterLock
from vpr_ros.place_map.places import PlaceColumns
from vpr_ros.place_map.rows import (
    APPLICATION_ID,
    CREATE_TABLES,
    INSERT_PLACE,
    INSERT_SESSION,
    SCHEMA_VERSION,
    SELECT_ATTACHMENT,
    SELECT_PLACES,
    Attachment,
    columns_of,
    row_of,
)

DATABASE_FILE = "map.sqlite3"
_UNFINISHED_FILE = "map.sqlite3.new"
_READ_CHUNK = 4096  # places; bounds the memory that opening a large map takes beside the map itself


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

    def __init__(self, connection: sqlite3.Connection, name: str, closing: ExitStack) -> None:
        """Read the recipe from a database that is a map; ``open`` and its like make the connection.

        Args:
            connection: To a map.
            name: Name of the map, for errors.
            closing: What to close with the store; taken over once nothing can fail any more.

        Raises:
            MapError: The recipe is damaged.
        """
        self._connection = connection
        self._name = name
        with telling(name, "opened"), _reading_values(name):
            self.recipe = Recipe.from_json(connection.execute("SELECT json FROM recipe").fetchone()[0])
        self._closing = closing.pop_all()

    @classmethod
    def in_memory(cls, recipe: Recipe) -> Store:
        """Return an empty map that is gone when it is closed."""
        with ExitStack() as closing:
            connection = _connect(":memory:", closing)
            _create_tables(connection, recipe)
            return cls(connection, "in memory", closing)

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
        _database_uri(directory)  # before the lock, which would leave a file where there is no map
        with ExitStack() as closing:
            closing.callback(WriterLock(directory).close)
            return cls._open_locked(directory, closing, durable=durable)

    @classmethod
    def open_or_create(cls, directory: Path, recipe: Recipe, *, durable: bool = False) -> Store:
        """Open a map for reading and writing; make an empty one if the folder is empty or not there yet.

        Raises:
            MapError: As ``open``, or the folder holds other things, can't be made, or the disk is full.
        """
        with telling(directory.name, "made"):
            directory.mkdir(parents=True, exist_ok=True)
            _refuse_foreign_folder(directory)
        with ExitStack() as closing:
            closing.callback(WriterLock(directory).close)
            if not (directory / DATABASE_FILE).exists():
                _create_file(directory, recipe)
            return cls._open_locked(directory, closing, durable=durable)

    @classmethod
    def _open_locked(cls, directory: Path, closing: ExitStack, *, durable: bool) -> Store:
        with telling(directory.name, "opened"):
            connection = _connect(f"{_database_uri(directory)}?mode=rw", closing)
            _check_is_map(connection, directory.name)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        return cls(connection, directory.name, closing)

    @classmethod
    def open_read_only(cls, directory: Path) -> Store:
        """Open a map for reading, also while another process writes to it, also on a read-only disk.

        Raises:
            MapError: There is none, it is no map, a newer one, or damaged.
        """
        with ExitStack() as closing, telling(directory.name, "opened"):
            connection = _connect_for_reading(directory, closing)
            _check_is_map(connection, directory.name)
            return cls(connection, directory.name, closing)

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
            self._connection.execute(INSERT_SESSION, (session.id, session.started_ns, session.map_frame))

    def add_place(self, keyframe: Keyframe) -> None:
        """Store a keyframe, already checked. The statement is its own transaction: all of it or nothing.

        Raises:
            MapError: The disk is full or broken; the map is as it was before.
        """
        with telling(self._name, "written"):
            self._connection.execute(INSERT_PLACE, row_of(keyframe))

    def places(self) -> Iterator[PlaceColumns]:
        """Yield all places in order of id, some thousand at a time, as they were when the first was read.

        Raises:
            MapError: The map is damaged; names what does not fit.
        """
        with telling(self._name, "read"), _reading_values(self._name):
            cursor = self._connection.execute(SELECT_PLACES)
            first_id = 0
            while rows := cursor.fetchmany(_READ_CHUNK):
                yield columns_of(rows, first_id=first_id, dim=self.recipe.dim)
                first_id += len(rows)

    def attachment(self, place_id: int, kind: Attachment) -> bytes | None:
        """Return what is kept of a place on disk alone, None if it has none or there is no such place."""
        with telling(self._name, "read"):
            row = self._connection.execute(SELECT_ATTACHMENT[kind], (place_id,)).fetchone()
            return None if row is None else row[0]

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query that changes nothing.

        Raises:
            MapError: The map is damaged.
        """
        with telling(self._name, "read"):
            return self._connection.execute(query).fetchall()

    def checkpoint(self) -> None:
        """Move everything from the write-ahead log into the database file and empty the log, as far as readers let."""
        with telling(self._name, "written"):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the database, which empties the write-ahead log, and let the next writer in."""
        self._closing.close()


@contextmanager
def telling(name: str, done: str) -> Iterator[None]:
    """Turn what SQLite and the file system raise into one sentence.

    Args:
        name: Name of the map.
        done: What was to be done with it, such as ``opened``.
    """
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.IntegrityError) as error:
        raise MapError(f"map '{name}' can't be {done}: {error}; {_advice(str(error))}") from error
    except OSError as error:
        raise MapError(f"map '{name}' can't be {done}: {error.strerror}; mend the disk or its permissions") from error
    except sqlite3.ProgrammingError:  # a map used after it was closed: our own mistake, not the user's
        raise
    except sqlite3.DatabaseError as error:
        raise _damage(name, error) from error


@contextmanager
def _reading_values(name: str) -> Iterator[None]:
    """Turn what the readers of untrusted values raise into one sentence."""
    try:
        yield
    except MapError:
        raise
    except (dacite.DaciteError, VprError, ValueError, TypeError) as error:
        raise _damage(name, error) from error


def _damage(name: str, error: Exception) -> MapError:
    seen = " ".join(str(error).split())
    return MapError(
        f"map '{name}' is damaged or no map at all: {seen}; put back a copy from before, or give a new name"
    )


def _advice(error: str) -> str:
    if "full" in error:
        return "free some space; the map is whole and holds everything that was acknowledged"
    if "locked" in error:
        return "another program is writing to it; close that one"
    if "readonly" in error or "unable to open" in error:
        return "check that it may be read and written here"
    return "'vpr_ros map check' tells more"


def _connect(uri: str, closing: ExitStack) -> sqlite3.Connection:
    # The node opens a map in one thread and works on it in another, never in both at once.
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    closing.callback(connection.close)
    connection.execute("PRAGMA trusted_schema = OFF")  # a map may come from anywhere: its schema runs nothing
    return connection


def _connect_for_reading(directory: Path, closing: ExitStack) -> sqlite3.Connection:
    uri = f"{_database_uri(directory)}?mode=ro"
    connection = _connect(uri, closing)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        # SQLite wants to make the -shm file of a database with a write-ahead log. Where it can't, on a read-only disk,
        # nobody else writes either; and if no killed writer left a log behind, the file alone is the whole truth.
        log = directory / f"{DATABASE_FILE}-wal"
        if log.exists() and log.stat().st_size:
            raise
        return _connect(f"{uri}&immutable=1", closing)
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
        with ExitStack() as closing:
            connection = _connect(f"{unfinished.resolve().as_uri()}?mode=rwc", closing)
            connection.execute("PRAGMA journal_mode = MEMORY")  # a process killed here leaves this one file
            _create_tables(connection, recipe)
        unfinished.replace(directory / DATABASE_FILE)
        _sync_names(directory)
        _sync_names(directory.resolve().parent)


def _sync_names(directory: Path) -> None:
    """Wait until the disk knows the names in a folder: a place can't survive a power cut that its map does not."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_tables(connection: sqlite3.Connection, recipe: Recipe) -> None:
    connection.executescript(CREATE_TABLES)
    connection.execute("INSERT INTO recipe VALUES (?)", (recipe.to_json(),))
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
