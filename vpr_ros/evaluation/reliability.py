"""The policy's reliability diagram: how often pairs are right that it gives a probability. The template only paints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vpr_ros.evaluation.plots import PLOT_WIDTH

RELIABILITY_HEIGHT = 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, PLOT_WIDTH - 20.0, 42.0, 290.0
# Area of a spot grows with its pairs; radii in page units.
_LEAST_RADIUS, _MOST_RADIUS = 4.0, 15.0


@dataclass(frozen=True, slots=True)
class ReliabilitySpot:
    """Pairs to which the policy gives about the same probability, where they are painted and in words."""

    x: float
    y: float
    radius: float
    pairs: int
    words: str


@dataclass(frozen=True, slots=True)
class ReliabilityDiagram:
    """Said probability to the right, the share that was right upwards.

    Attributes:
        spots: The largest first, so that the others are painted over it.
        ideal: SVG path of the line that a perfect policy lies on.
        frame: SVG path of both axes.
        left: Where the axes meet, in page units.
        right: Where the lower axis ends.
        top: Where the upright axis ends.
        bottom: Where the axes meet.
        pairs: How many pairs there are in all.
    """

    spots: tuple[ReliabilitySpot, ...]
    ideal: str
    frame: str
    left: float
    right: float
    top: float
    bottom: float
    pairs: int


def reliability_diagram(notes: Mapping[str, object]) -> ReliabilityDiagram | None:
    """Return the diagram of a policy's notes, None where they hold no sound ``reliability``.

    Args:
        notes: As ``vpr_ros calibrate`` writes them: ``reliability`` is a list of ``{pairs, said, true}``.
    """
    noted = notes.get("reliability")
    bins = [seen for one in noted if (seen := _bin(one)) is not None] if isinstance(noted, list) else []
    if not bins:
        return None
    most = max(pairs for pairs, _, _ in bins)
    spots = tuple(_spot(*seen, most) for seen in sorted(bins, reverse=True))
    return ReliabilityDiagram(
        spots=spots,
        ideal=f"M{_LEFT:g} {_BOTTOM:g} L{_RIGHT:g} {_TOP:g}",
        frame=f"M{_LEFT:g} {_TOP:g} V{_BOTTOM:g} H{_RIGHT:g}",
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        pairs=sum(spot.pairs for spot in spots),
    )


def _bin(noted: object) -> tuple[int, float, float] | None:
    """Return pairs, said and true of one entry, None where it is none: notes are for people and may be anything."""
    if not isinstance(noted, Mapping):
        return None
    pairs, said, true = (noted.get(name) for name in ("pairs", "said", "true"))
    if not isinstance(pairs, int) or not isinstance(said, int | float) or not isinstance(true, int | float):
        return None
    is_sound = pairs > 0 and 0 <= said <= 1 and 0 <= true <= 1
    return (pairs, float(said), float(true)) if is_sound else None


def _spot(pairs: int, said: float, true: float, most: int) -> ReliabilitySpot:
    return ReliabilitySpot(
        x=_LEFT + said * (_RIGHT - _LEFT),
        y=_BOTTOM + true * (_TOP - _BOTTOM),
        radius=max(_LEAST_RADIUS, _MOST_RADIUS * math.sqrt(pairs / most)),
        pairs=pairs,
        words=f"{pairs} pairs: said {said:.2f}, right {true:.2f}",
    )
