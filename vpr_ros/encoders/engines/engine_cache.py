"""What took long to find out or to build for this machine, kept on disk under everything it depends on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from vpr_ros.encoders.weights import expanded

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Everything that a built engine depends on; another value of any makes it another engine.

    Attributes:
        runtime: Such as ``tensorrt 10.13.2``.
        device: The processor it was built on.
        model_sha256: Of the ONNX file.
        precision: Such as ``fp16``.
        shape: Of the input, such as (1, 3, 320, 320).
    """

    runtime: str
    device: str
    model_sha256: str
    precision: str
    shape: tuple[int, ...]

    @property
    def file_name(self) -> str:
        """Return the name of its file."""
        return f"{self.model_sha256[:12]}-{self.precision}-{hashlib.sha256(self.as_line()).hexdigest()[:16]}.engine"

    def as_line(self) -> bytes:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode()


class EngineCache:
    """A folder of built engines. A file is a line with the key, a line with the payload's sha256, and the payload."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take a folder, which need not be there; None for ``$VPR_ROS_CACHE``, else ``~/.cache/vpr_ros``."""
        self.folder = folder or _user_cache()

    def get(self, key: EngineKey) -> bytes | None:
        """Return what was kept under a key; None where there is nothing, after a warning if the file is broken."""
        path = self.folder / key.file_name
        try:
            stated, digest, payload = path.read_bytes().split(b"\n", 2)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            _LOG.warning("engine file '%s' can't be read (%s); it is made anew", path, error.strerror or error)
            return None
        except ValueError:  # fewer lines than three
            _LOG.warning("engine file '%s' is cut off, or no engine file; it is made anew", path)
            return None
        if stated != key.as_line():
            _LOG.warning("engine file '%s' was built for another machine, version or network; it is made anew", path)
            return None
        if digest.decode(errors="replace") != hashlib.sha256(payload).hexdigest():
            _LOG.warning("engine file '%s' is corrupt (its sha256 is another than it states); it is made anew", path)
            return None
        return payload

    def put(self, key: EngineKey, payload: bytes) -> bool:
        """Keep something under a key, whole or not at all; False, with a warning, where the folder can't be written."""
        digest = hashlib.sha256(payload).hexdigest().encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # A name of its own: two processes that build the same do not write into one file.
            with tempfile.TemporaryDirectory(dir=self.folder, suffix=".part") as unfinished:
                whole = Path(unfinished) / key.file_name
                whole.write_bytes(b"\n".join((key.as_line(), digest, payload)))
                whole.replace(self.folder / key.file_name)
        except OSError as error:
            _LOG.warning(
                "engine cache '%s' can't be written (%s), so the next start does the same work again; "
                "set VPR_ROS_CACHE to a folder that can",
                self.folder,
                error.strerror or error,
            )
            return False
        return True


def _user_cache() -> Path:
    if chosen := os.environ.get("VPR_ROS_CACHE"):
        return expanded(chosen)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vpr_ros" / "engines"
