"""MCAP files that were never finished, as a killed recorder or a full disk leaves them, readable without a copy."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, cast

# See https://mcap.dev/spec: magic, then records of a byte (kind), eight bytes (length) and the content.
_MAGIC = b"\x89MCAP0\r\n"
_RECORD_HEADER_BYTES = 9
_DATA_END, _FOOTER = 0x0F, 0x02
_LAST_KNOWN_KIND = 0x0F
# A footer that points to no index: readers then go through the data itself.
_END = bytes([_FOOTER]) + (20).to_bytes(8, "little") + bytes(20) + _MAGIC


class CutOffMcap:
    """The whole records of a cut-off MCAP file, followed by an end, as a path that rosbags can open.

    Attributes:
        kept_bytes: Length of the whole records.
        size_bytes: Length of the file.
    """

    suffix = ".mcap"

    def __init__(self, path: Path) -> None:
        """Look for the last whole record.

        Raises:
            OSError: The file can't be read.
        """
        self._path = path
        self.size_bytes = path.stat().st_size
        with path.open("rb") as file:
            self.kept_bytes = _end_of_whole_records(file, self.size_bytes)

    def __str__(self) -> str:
        """Return the path."""
        return str(self._path)

    def exists(self) -> bool:
        """Return True; ``__init__`` has read it."""
        return True

    def is_dir(self) -> bool:
        """Return False."""
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the records and the end as a file; ``mode`` is always "rb"."""
        assert mode == "rb", "a recording is only read"
        return cast("BinaryIO", io.BufferedReader(_Ended(self._path, self.kept_bytes)))


class _Ended(io.RawIOBase):
    """The first bytes of a file, and ``_END`` behind them."""

    def __init__(self, path: Path, kept_bytes: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._kept = kept_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._kept + len(_END)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._kept + len(_END) - self._at)
        size = left if size < 0 else min(size, left)
        if self._at < self._kept:
            self._file.seek(self._at)
            content = self._file.read(min(size, self._kept - self._at)) or b""
        else:
            content = _END[self._at - self._kept :][:size]
        self._at += len(content)
        return content

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def _end_of_whole_records(file: BinaryIO, size_bytes: int) -> int:
    at = len(_MAGIC)
    while True:
        file.seek(at)
        header = file.read(_RECORD_HEADER_BYTES)
        if len(header) < _RECORD_HEADER_BYTES or header[0] in (0, _FOOTER, _DATA_END) or header[0] > _LAST_KNOWN_KIND:
            return at
        end = at + _RECORD_HEADER_BYTES + int.from_bytes(header[1:], "little")
        if end > size_bytes:
            return at
        at = end
