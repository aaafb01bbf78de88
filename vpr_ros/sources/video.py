"""Video files as a source."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from vpr_ros.core import NS_PER_S, Frame, Trajectory
from vpr_ros.sources.source import SourceError, SourceOptions
from vpr_ros.sources.window import empty_window, window_ns

_NS_PER_MS = 1_000_000
_ADVICE = "expected a whole video in a codec that FFmpeg knows; try 'ffmpeg -i FILE -c:v mjpeg -q:v 2 new.avi'"
# FFmpeg gives other values for files that do not say: 0, NaN, or a time base such as 90000.
_HIGHEST_RATE_HZ = 1000.0
# A container without an index tells a count worked out from its duration, off by one.
_COUNT_TOLERANCE = 1
_MOST_FRAMES = 10**9  # more is no count but an overflow: a year at 30 Hz


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a video says of itself.

    Attributes:
        frames: How many there should be, 0 if it does not say.
        rate_hz: Frames a second, None if it does not say.
    """

    frames: int
    rate_hz: float | None


class VideoSource:
    """Frames of a video file, in order, without calibration.

    Stamps begin at 0: a video says how much time passed, not what time it was.

    Attributes:
        uri: As the user gave it.
        truth: None.
        drops: Causes and counts of the latest pass over the frames.
        names: Empty, as frames of a video have no names.
    """

    truth: Trajectory | None = None
    names: tuple[str, ...] = ()

    def __init__(self, path: Path, uri: str, facts: _Facts, options: SourceOptions) -> None:
        """Take a video that can be opened; ``open_video`` makes sure."""
        self.uri = uri
        self.drops: Counter[str] = Counter()
        self._path = path
        self._facts = facts
        self._options = options

    def __len__(self) -> int:
        """Return the number of frames in the window as the file tells it; 0 if it does not."""
        rate_hz = self._options.rate_hz or self._facts.rate_hz
        if rate_hz is None:
            return self._facts.frames
        begin = round(self._options.from_s * rate_hz)
        end = self._facts.frames if self._options.to_s is None else round(self._options.to_s * rate_hz) + 1
        return max(0, min(end, self._facts.frames) - begin)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order. What a cut file lacks at its end is counted in ``drops``.

        Raises:
            SourceError: It can't be opened any more, no frame lies in the window, or frames have no times.
        """
        self.drops.clear()
        first_ns, last_ns = window_ns(self._options)
        clock = _Clock(self.uri, self._options.rate_hz, self._facts.rate_hz)
        index = given = stamp_ns = 0
        with _capture(self._path) as capture:
            while capture.grab():
                stamp_ns = clock.stamp_ns(index, capture.get(cv2.CAP_PROP_POS_MSEC))
                if last_ns is not None and stamp_ns > last_ns:
                    break
                if stamp_ns >= first_ns and (frame := self._frame(capture, index, stamp_ns)) is not None:
                    given += 1
                    yield frame
                index += 1
            else:
                self._count_missing(index)
        if not given:
            raise SourceError(f"{self.uri}: {empty_window(self._options, stamp_ns)}")

    def close(self) -> None:
        """Do nothing: the file is open only while frames are read."""

    def __enter__(self) -> VideoSource:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _frame(self, capture: cv2.VideoCapture, index: int, stamp_ns: int) -> Frame | None:
        is_whole, image = capture.retrieve()
        if not is_whole or image is None or image.ndim != 3:
            self.drops["corrupt image"] += 1
            return None
        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return Frame(index=index, stamp_ns=stamp_ns, image=rgb)

    def _count_missing(self, read: int) -> None:
        missing = self._facts.frames - read
        if missing > _COUNT_TOLERANCE:
            self.drops["missing at the end of the video"] = missing


def open_video(path: Path, uri: str, options: SourceOptions) -> VideoSource:
    """Return the source of a video, after its first frame could be decoded.

    Args:
        path: The file.
        uri: As the user gave it.
        options: Rate and window.

    Raises:
        SourceError: It can't be read, is no video, or is in a codec that this OpenCV does not have.
    """
    _check_readable(path)
    with _capture(path) as capture:
        if not capture.read()[0]:
            raise SourceError(f"{path} has no frame that can be decoded, {_ADVICE}")
        count, rate_hz = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    facts = _Facts(
        frames=int(count) if 0 < count < _MOST_FRAMES else 0,
        rate_hz=rate_hz if 0 < rate_hz < _HIGHEST_RATE_HZ else None,
    )
    return VideoSource(path, uri, facts, options)


class _Clock:
    """Stamps of the frames of one pass: by the given rate, else by their own times, else by the file's rate."""

    def __init__(self, uri: str, given_hz: float | None, file_hz: float | None) -> None:
        self._uri = uri
        self._given_hz = given_hz
        self._file_hz = file_hz
        self._first_ms = 0.0
        self._last_ns = 0

    def stamp_ns(self, index: int, position_ms: float) -> int:
        """Return the stamp of a frame whose time in the file is ``position_ms``; later than the one before it."""
        if self._given_hz is not None:
            return round(index * NS_PER_S / self._given_hz)
        if index == 0:
            self._first_ms = position_ms if math.isfinite(position_ms) else 0.0
            return 0
        since_ms = position_ms - self._first_ms
        own_ns = round(since_ms * _NS_PER_MS) if math.isfinite(since_ms) else 0
        self._last_ns = own_ns if own_ns > self._last_ns else self._by_rate(index)
        return self._last_ns

    def _by_rate(self, index: int) -> int:
        # Streams without a container, such as .h264, and some broken ones have times that stand still.
        if self._file_hz is None:
            raise SourceError(f"frame {index} of {self._uri} has no time and the file no rate; give --rate-hz")
        return self._last_ns + round(NS_PER_S / self._file_hz)


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"can't read video {path}: {error}; check its permissions") from error
    if is_empty:
        raise SourceError(f"{path} is empty, expected a video; copy it again")


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = _open_quietly(path)
    try:
        if not capture.isOpened():
            raise SourceError(f"{path} can't be opened as a video, {_ADVICE}")
        yield capture
    finally:
        capture.release()


def _open_quietly(path: Path) -> cv2.VideoCapture:
    """Open a file without the words that FFmpeg and OpenCV have for broken ones: we say it ourselves."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's AV_LOG_QUIET
    log = getattr(cv2.utils, "logging", None)  # OpenCV 4.6 has none, and nothing to say here
    level = log.setLogLevel(log.LOG_LEVEL_SILENT) if log else None
    try:
        # No other backend: for 'x_001.avi' one of them would look for a series of files with such names.
        return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        if log:
            log.setLogLevel(level)
