"""What a folder of images holds, worked out from its lists and names before any image is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera, Trajectory, seconds, stamp_ns_from_text
from vpr_ros.sources.camera_file import read_camera_file
from vpr_ros.sources.source import SourceError

CAMERA_FILE = "camera.yaml"
# Seconds as lists of stamps write them, also '1.305031229528748e+09'; short, so that no exponent makes a giant of it.
_SECONDS = re.compile(r"\d{1,20}(\.\d{0,30})?(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_NAMED_SECONDS = re.compile(r"\d{1,11}\.\d{1,30}", re.ASCII)
_NAMED_NANOSECONDS = re.compile(r"\d{16,19}", re.ASCII)
_LATEST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class ImageFolder:
    """Images in order, with what belongs to each.

    Attributes:
        images: Image files.
        stamps_ns: Stamp of each in ns, never decreasing; None where nothing says when they were taken.
        depths: Depth file of each image, None where it has none; empty where the folder has no depth.
        depth_scale: Units a metre of the depth files.
        camera: Calibration, None if uncalibrated.
        truth: Reference poses of the camera, None if there are none.

    Raises:
        SourceError: Stamps run backwards; names the image.
    """

    images: tuple[Path, ...]
    stamps_ns: tuple[int, ...] | None
    depths: tuple[Path | None, ...] = ()
    depth_scale: float = 1000.0
    camera: Camera | None = None
    truth: Trajectory | None = None

    def __post_init__(self) -> None:
        """Check the order once."""
        for position, (before_ns, stamp_ns) in enumerate(pairwise(self.stamps_ns or ()), 1):
            if stamp_ns < before_ns:
                raise SourceError(
                    f"image {self.images[position]} is stamped {seconds(stamp_ns):.9f} s, but the one before it "
                    f"{seconds(before_ns):.9f} s; expected images in the order of time: mend the list or the names "
                    "that say so, or where names give the order, give --rate-hz"
                )


def read_camera_beside(folder: Path) -> Camera | None:
    """Return what ``camera.yaml`` in a folder says, None without one."""
    path = folder / CAMERA_FILE
    return read_camera_file(path) if path.is_file() else None


def list_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place in words, text) of each line of a list, without empty lines and comments (``#`` at the start).

    Raises:
        SourceError: The list can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"can't read {path}: {error}; expected a text file with one image a line") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}, line {number}", line.strip()


def listed_stamp_ns(text: str, place: str) -> int:
    """Return the stamp in ns that a list gives in seconds.

    Raises:
        SourceError: It is no stamp; names the place.
    """
    refusal = f"{place}: '{text}' is no stamp, expected seconds such as 1305031229.528748"
    if not _SECONDS.fullmatch(text):
        raise SourceError(refusal)
    try:
        stamp_ns = stamp_ns_from_text(text)
    except ValueError as error:  # beyond 64 bits
        raise SourceError(refusal) from error
    if stamp_ns > _LATEST_NS:
        raise SourceError(refusal)
    return stamp_ns


def check_stays_inside(text: str, place: str) -> None:
    """Check that a listed name stays in its folder.

    Raises:
        SourceError: It leads out of it; names the place.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise SourceError(f"{place}: '{text}' leads out of the folder, expected a name inside it; mend the list")


def stamps_from_names(names: Sequence[str]) -> tuple[int, ...] | None:
    """Return the stamps in ns that file names are: all seconds with a decimal point, or all 16 to 19 digits (ns).

    None where they are neither, as a running number says nothing about time.
    """
    stems = [PurePosixPath(name).stem for name in names]
    if all(map(_NAMED_SECONDS.fullmatch, stems)):
        return tuple(map(stamp_ns_from_text, stems))
    if all(map(_NAMED_NANOSECONDS.fullmatch, stems)) and max(map(int, stems)) <= _LATEST_NS:
        return tuple(map(int, stems))
    return None


def nearest_stamps(stamps_ns: Sequence[int], others_ns: Sequence[int], tolerance_ns: int) -> NDArray[np.int64]:
    """Return the position of the other stamp nearest to each stamp, the earlier of two as near; -1 where none is close.

    Args:
        stamps_ns: Stamps in ns, n of them.
        others_ns: Stamps in ns, in any order, at least one.
        tolerance_ns: What is farther than this is not close.

    Returns:
        Shape (n,), int64.
    """
    stamps, others = np.asarray(stamps_ns, np.int64), np.asarray(others_ns, np.int64)
    in_order = np.argsort(others, kind="stable")
    others = others[in_order]
    after = np.searchsorted(others, stamps)
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(others) - 1)
    nearest = np.where(np.abs(stamps - others[left]) <= np.abs(others[right] - stamps), left, right)
    is_close = np.abs(others[nearest] - stamps) <= tolerance_ns
    positions: NDArray[np.int64] = np.where(is_close, in_order[nearest], -1)
    return positions
