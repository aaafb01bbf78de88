"""What every benchmark gives: rows of measured times, ours and a peer's, and the ratios that are the claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vpr_ros.evaluation.environment import machine


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One thing that was measured.

    Attributes:
        what: The thing, with the size that matters ("search, 100000 places").
        peer: Whether it is somebody else's way, for comparison.
        p50_ms: Median in ms.
        p95_ms: 95 % took at most this, in ms.
        more: Further figures by name, unit included.
    """

    what: str
    peer: bool
    p50_ms: float
    p95_ms: float
    more: Mapping[str, float | int | str] = field(default_factory=dict)

    @classmethod
    def of(cls, what: str, spent_ms: Sequence[float], *, peer: bool = False, **more: float | str) -> BenchRow:
        """Return the row of measured times.

        Args:
            what: The thing.
            spent_ms: One time a call, at least one, in ms.
            peer: Whether it is somebody else's way.
            more: Further figures by name.
        """
        p50_ms, p95_ms = np.percentile(spent_ms, [50, 95])
        return cls(what, peer, float(p50_ms), float(p95_ms), more)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The outcome of one benchmark.

    Attributes:
        bench: Its name.
        rows: What was measured.
        ratios: What is claimed: peer's time over ours, by name, so above 1 is faster than the peer.
        machine: Where it was measured.
    """

    bench: str
    rows: tuple[BenchRow, ...]
    ratios: Mapping[str, float]
    machine: Mapping[str, str | int] = field(default_factory=machine)
