"""One writer a map: a lock that the kernel releases when its process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from vpr_ros.place_map.errors import MapError

LOCK_FILE = "map.lock"


class WriterLock:
    """Holds a map's folder for writing until it is closed or the process ends, however it ends.

    The file stays; a lock left by a dead process is none.
    """

    def __init__(self, directory: Path) -> None:
        """Take the lock of a folder.

        Raises:
            MapError: Another process holds it, which is named; or the folder can't be written.
        """
        try:
            self._file = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MapError(
                f"map '{directory.name}' can't be opened for writing: {error.strerror}; "
                "mend its permissions, or open it for reading only with mode localization"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise MapError(
                f"map '{directory.name}' is open for writing in process {holder}; "
                "stop that one, or open the map for reading only with mode localization"
            ) from error
        self._sign()

    def _sign(self) -> None:
        """Leave the process number for the one who is refused; on a full disk the lock holds without it."""
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError:
            return

    def close(self) -> None:
        """Let the next writer in."""
        os.close(self._file)
