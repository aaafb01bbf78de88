"""What the node knows of itself: counts, rates, latencies, the last error. Any thread may note and read."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vpr_ros.core import CameraError, FrameError, PoseError, VprError
from vpr_ros.encoders import EncoderError
from vpr_ros.place_map import MapError
from vpr_ros.sources import SourceError

# Latencies and arrivals looked back at: enough for a 95th percentile, at 30 Hz some seconds.
_WINDOW = 200
_RATE_WINDOW_S = 5.0

# How a drop is called in /diagnostics, by what was raised; the first that fits.
_CAUSES: tuple[tuple[type[VprError], str], ...] = (
    (SourceError, "corrupt image"),
    (FrameError, "bad frame"),
    (CameraError, "bad calibration"),
    (PoseError, "bad pose"),
    (EncoderError, "not encoded"),
    (MapError, "not stored"),
)


def cause_of(error: Exception) -> str:
    """Return what a drop is called that this error led to."""
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "internal error")


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took of late.

    Attributes:
        p50_ms: Median.
        p95_ms: 95th percentile.
    """

    p50_ms: float
    p95_ms: float


class Vitals:
    """Counts, rates and latencies since the node was configured.

    Attributes:
        counts: Images, frames, keyframes, closures.
        drops: What could not be used, by cause.
        oddities: What was used in spite of something, by cause.
        last_error: The newest error's sentence, empty if there was none.
    """

    def __init__(self, say: Callable[[str], None], steady_s: Callable[[], float] = time.monotonic) -> None:
        """Begin at zero.

        Args:
            say: Called with a warning at the first of each cause, then at each doubling of it.
            steady_s: The steady clock.
        """
        self._say = say
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._arrivals: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._spent_ms: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self.counts: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.oddities: Counter[str] = Counter()
        self.last_error = ""

    def note(self, what: str) -> None:
        """Count one of ``what``, which has just arrived or been made."""
        with self._lock:
            self.counts[what] += 1
            self._arrivals[what].append(self._steady_s())

    def note_time(self, stage: str, spent_ms: float) -> None:
        """Note how long a stage took."""
        with self._lock:
            self._spent_ms[stage].append(spent_ms)

    def drop(self, cause: str, sentence: str) -> None:
        """Count something that could not be used, and say why."""
        with self._lock:
            self.last_error = sentence
        self._count(self.drops, cause, sentence)

    def notice(self, cause: str, sentence: str) -> None:
        """Count something that was used in spite of what is wrong with it, and say what."""
        self._count(self.oddities, cause, sentence)

    def drop_for(self, error: Exception) -> None:
        """Count what an error made unusable."""
        self.drop(cause_of(error), f"{error}" if isinstance(error, VprError) else f"{type(error).__name__}: {error}")

    def _count(self, counter: Counter[str], cause: str, sentence: str) -> None:
        with self._lock:
            counter[cause] += 1
            count = counter[cause]
        if count & (count - 1) == 0:
            self._say(f"{cause} ({count} so far): {sentence}")

    def rate_hz(self, what: str) -> float:
        """Return how often ``what`` came in the last seconds."""
        with self._lock:
            now_s = self._steady_s()
            recent = sum(now_s - arrival_s < _RATE_WINDOW_S for arrival_s in self._arrivals[what])
        return recent / _RATE_WINDOW_S

    def latencies(self) -> dict[str, Latency]:
        """Return each stage's latency of late."""
        with self._lock:
            spent_ms = {stage: np.array(values) for stage, values in self._spent_ms.items()}
        return {
            stage: Latency(*(float(value) for value in np.percentile(values, [50, 95])))
            for stage, values in spent_ms.items()
        }
