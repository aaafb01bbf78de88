"""Bags as streams of records: rosbag2 (MCAP, sqlite3) and rosbag1, whole or cut off, all given as ROS 2's CDR.

rosbags' AnyReader is not used: it compiles the type definitions that a bag carries, and those are a stranger's. The few
types that are read here have been the same in all ROS 2 distributions, so rosbags' own definitions of them serve.
"""

from __future__ import annotations

import logging
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import cast

import yaml
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Rosbag1Reader
from rosbags.rosbag2 import Reader as Rosbag2Reader
from rosbags.typesys import Stores, get_typestore

from vpr_ros.core import NS_PER_S
from vpr_ros.sources.bag_cut_off import CutOffMcap
from vpr_ros.sources.source import SourceError

STORE = get_typestore(Stores.ROS2_HUMBLE)

_LOG = logging.getLogger(__name__)
_FACTS, _FACTS_KEY = "metadata.yaml", "rosbag2_bagfile_information"
_ROSBAG1, _MCAP, _SQLITE = ".bag", ".mcap", ".db3"
# A message whose first field is a std_msgs/Header begins so: CDR's four bytes, then the stamp; in ROS 1 a sequence
# number, then the stamp.
_CDR_BYTES = 4
_CDR_LITTLE_ENDIAN = 1
_ROS1_STAMP = struct.Struct("<III")

_Reader = Rosbag1Reader | Rosbag2Reader


class BagError(SourceError):
    """A bag that can't be opened."""


class BagDamagedError(BagError):
    """The rest of a bag can't be read; what came before it is good."""


class BagMessageError(BagError):
    """One message that can't be read."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: With its leading slash.
        msgtype: As ROS 2 writes it, such as "sensor_msgs/msg/Image".
        count: Number of messages, as the bag's index says.
    """

    name: str
    msgtype: str
    count: int

    def __str__(self) -> str:
        """Return name, type and count for people."""
        return f"{self.name} ({self.msgtype}, {self.count})"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One message as it lies in the bag.

    Attributes:
        topic: Name of its topic.
        msgtype: As ROS 2 writes it.
        recorded_ns: When it was recorded, in ns; never decreases within one file.
        content: CDR, or ROS 1's own form.
        is_ros1: Whether it is ROS 1's.
    """

    topic: str
    msgtype: str
    recorded_ns: int
    content: bytes
    is_ros1: bool

    @property
    def stamp_ns(self) -> int:
        """Stamp of the message's header, in ns, without reading the rest.

        Raises:
            BagMessageError: The message is too short for it.
        """
        try:
            if self.is_ros1:
                _, sec, nanosec = _ROS1_STAMP.unpack_from(self.content)
            else:
                order = "<" if self.content[1] == _CDR_LITTLE_ENDIAN else ">"
                sec, nanosec = struct.unpack_from(f"{order}iI", self.content, _CDR_BYTES)
        except (struct.error, IndexError) as error:
            raise BagMessageError(
                f"a message of {self.topic} has {len(self.content)} bytes, expected a {self.msgtype} with a header"
            ) from error
        return int(sec) * NS_PER_S + int(nanosec)

    def cdr(self) -> bytes:
        """Return the message in ROS 2's form.

        Raises:
            BagMessageError: It is empty, or not of its type.
        """
        if not self.is_ros1:
            if len(self.content) < _CDR_BYTES:
                raise BagMessageError(f"a message of {self.topic} is empty, expected a {self.msgtype}")
            return self.content
        try:
            return bytes(STORE.ros1_to_cdr(self.content, self.msgtype))
        except Exception as error:  # generated code meets a stranger's bytes
            raise self._not_of_its_type(error) from error

    def message(self) -> object:
        """Return the message; its fields have ROS's names.

        Raises:
            BagMessageError: It is not of its type.
        """
        cdr = self.cdr()
        try:
            message: object = STORE.deserialize_cdr(cdr, self.msgtype)
        except Exception as error:  # generated code meets a stranger's bytes
            raise self._not_of_its_type(error) from error
        return message

    def _not_of_its_type(self, error: Exception) -> BagMessageError:
        return BagMessageError(
            f"a message of {self.topic} ({len(self.content)} bytes) can't be read: {_reason(error)}; "
            f"expected a {self.msgtype}"
        )


class BagReader:
    """An open bag.

    Attributes:
        topics: All topics, by name.
        damage: What is missing, one sentence; empty if the bag is whole.
    """

    def __init__(self, readers: Sequence[_Reader], at_end: ExitStack, damage: str) -> None:
        """Take open readers, in order of time; see :meth:`open`."""
        self._readers = readers
        self._at_end = at_end
        self.damage = damage
        counts: dict[tuple[str, str], int] = defaultdict(int)
        for connection in (c for reader in readers for c in reader.connections):
            counts[connection.topic, connection.msgtype] += connection.msgcount
        self.topics = tuple(Topic(name, msgtype, count) for (name, msgtype), count in sorted(counts.items()))

    @classmethod
    def open(cls, path: Path) -> BagReader:
        """Open a bag: its folder, or one .mcap, .db3 or .bag file. Of a cut-off MCAP file the readable part is opened.

        Raises:
            BagError: There is nothing to read; says why and what to do.
        """
        _check_there(path)
        at_end = ExitStack()
        try:
            return cls([_opened(path, at_end)], at_end, "")
        except Exception as error:  # noqa: BLE001 - whatever rosbags meets in a stranger's file
            at_end.close()
            return cls._open_what_is_left(path, _reason(error))

    @classmethod
    def _open_what_is_left(cls, path: Path, reason: str) -> BagReader:
        at_end = ExitStack()
        readers, damages = [], []
        for file in _files_of(path):
            try:
                reader, damage = _opened_part(file, at_end)
            except Exception as error:  # noqa: BLE001 - as above
                damages.append(f"{file.name}: {_reason(error)}")
                continue
            readers.append(reader)
            damages.extend([damage] if damage else [])
        if not any(reader.message_count for reader in readers):
            at_end.close()
            raise BagError(f"can't read bag {path}: {reason}; {_advice(path)}")
        return cls(readers, at_end, "; ".join(damages) or reason)

    def records(self, topics: Iterable[str]) -> Iterator[Record]:
        """Yield the messages of some topics in the order they were recorded.

        Raises:
            BagDamagedError: The rest can't be read.
        """
        wanted = set(topics)
        try:
            for reader in self._readers:
                connections = [c for c in reader.connections if c.topic in wanted]
                if connections:
                    yield from _records(reader, connections)
        except BagError:
            raise
        except Exception as error:
            raise BagDamagedError(f"the rest of the bag can't be read: {_reason(error)}; copy it again") from error

    def close(self) -> None:
        """Close the files."""
        self._at_end.close()


def _records(reader: _Reader, connections: list[Connection]) -> Iterator[Record]:
    is_ros1 = isinstance(reader, Rosbag1Reader)
    for connection, recorded_ns, content in reader.messages(connections):
        yield Record(connection.topic, connection.msgtype, recorded_ns, bytes(content), is_ros1)


def _check_there(path: Path) -> None:
    try:
        if not path.exists():
            raise BagError(f"there is no bag {path}; expected a bag's folder, or a .mcap, .db3 or .bag file")
        if path.is_dir() and not (path / _FACTS).is_file():
            inside = sorted(p.name for p in path.iterdir() if p.suffix in (_MCAP, _SQLITE))
            hint = f"give the file itself: {', '.join(inside)}" if inside else "it holds no .mcap or .db3 file either"
            raise BagError(f"folder {path} has no {_FACTS}, expected one beside the files of a rosbag2; {hint}")
    except OSError as error:
        raise BagError(f"can't read bag {path}: {_reason(error)}; check its permissions") from error


def _opened(path: Path | CutOffMcap, at_end: ExitStack) -> _Reader:
    kind = Rosbag1Reader if path.suffix == _ROSBAG1 and not path.is_dir() else Rosbag2Reader
    reader = kind(cast("Path", path))
    reader.open()
    at_end.callback(_close, reader)
    return reader


def _close(reader: _Reader) -> None:
    with suppress(Exception):  # of what was only read nothing can be lost
        reader.close()


def _opened_part(file: Path, at_end: ExitStack) -> tuple[_Reader, str]:
    """Return the reader of a file, whole or cut off, and what is missing in words."""
    try:
        return _opened(file, at_end), ""
    except Exception:
        if file.suffix != _MCAP:
            raise
    cut = CutOffMcap(file)
    reader = _opened(cut, at_end)
    return reader, f"{file.name} was not finished: {cut.kept_bytes} of its {cut.size_bytes} bytes hold whole records"


def _files_of(path: Path) -> list[Path]:
    """Return a bag's storage files in order; none where they are compressed as a whole or message by message."""
    if not path.is_dir():
        return [path]
    try:
        facts = yaml.safe_load((path / _FACTS).read_text(encoding="utf-8"))[_FACTS_KEY]
        if (facts.get("compression_mode") or "none").lower() != "none":
            return []
        files = [path / PurePath(str(name)).name for name in facts["relative_file_paths"]]
        return [file for file in files if file.is_file()]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError):
        return []


def _advice(path: Path) -> str:
    if path.suffix == _ROSBAG1:
        return "expected a finished ROS 1 bag; if it was cut off, 'rosbag reindex' mends it, else copy it again"
    if path.suffix == _MCAP:
        return "expected a ROS 2 recording; if it was cut off, 'mcap recover' may find more, else copy it again"
    if path.suffix == _SQLITE:
        return "expected a ROS 2 recording; if it was cut off, 'sqlite3 FILE .recover' may mend it, else copy it again"
    return f"expected a rosbag2 folder with {_FACTS} and its files; 'ros2 bag reindex' mends it, or give a file itself"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
