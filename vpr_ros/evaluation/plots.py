"""Plots of what was compared: which query met which place, and how alike they looked. The template only paints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vpr_ros.core import Decision
from vpr_ros.evaluation.assessment import Mark
from vpr_ros.evaluation.recording import Recording

# Of a plot, in page units; two stand beside each other.
PLOT_WIDTH = 460.0
PLOT_HEIGHT = 280.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 14.0, 446.0, 24.0, 258.0


@dataclass(frozen=True, slots=True)
class Spots:
    """Spots of one colour.

    Attributes:
        kind: A mark, or ``refused``.
        path: SVG path of lines without length, which a round pen paints as spots.
    """

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Spots over the order of the queries, which runs to the right.

    Attributes:
        about: What is drawn, for people.
        spots: In the order to paint.
        rule: SVG path of a line to compare with.
        top: What stands at the upper end of the upright axis.
        bottom: What stands at its lower end.
    """

    about: str
    spots: tuple[Spots, ...]
    rule: str
    top: str
    bottom: str


def plots(recording: Recording, marks: Sequence[Mark], min_similarity: float) -> tuple[Plot, ...]:
    """Return both plots; none where fewer than two keyframes came or nothing was judged."""
    if len(recording.keyframes) < 2 or not recording.decisions:
        return ()
    return _match_plot(recording, marks), _similarity_plot(recording, marks, min_similarity)


def _match_plot(recording: Recording, marks: Sequence[Mark]) -> Plot:
    across = _positions(recording)
    points = ((kind, across[d.query_id], across.get(d.match_id)) for kind, d in _judged(recording, marks))
    first, last = (recording.when(recording.keyframes[i]) for i in (0, -1))
    return Plot(
        about="Which keyframe met which place: to the right who asked, upwards the place, up to the moment itself "
        "on the dashed line. A loop is a slanting row of coloured spots.",
        spots=_spots((kind, x, y) for kind, x, y in points if y is not None),
        rule=f"M{_LEFT:g} {_BOTTOM:g} L{_RIGHT:g} {_TOP:g}",
        top=f"place: {last}",
        bottom=f"place: {first}",
    )


def _similarity_plot(recording: Recording, marks: Sequence[Mark], min_similarity: float) -> Plot:
    across = _positions(recording)
    judged = [(kind, across[d.query_id], d.similarity) for kind, d in _judged(recording, marks)]
    low = min(min_similarity, *(similarity for _, _, similarity in judged)) - 0.01
    rule = _BOTTOM + (min_similarity - low) / (1 - low) * (_TOP - _BOTTOM)
    return Plot(
        about="How alike query and place looked. The dashed line is what the similarity stage asks for "
        f"({min_similarity:g}); what lies above it and is grey was refused by another stage.",
        spots=_spots((kind, x, (similarity - low) / (1 - low)) for kind, x, similarity in judged),
        rule=f"M{_LEFT:g} {rule:.1f} H{_RIGHT:g}",
        top="similarity 1",
        bottom=f"similarity {low:.2f}",
    )


def _judged(recording: Recording, marks: Sequence[Mark]) -> Iterator[tuple[str, Decision]]:
    """Yield the decisions with what to colour them by, the accepted last, so that they are painted on top."""
    mark_of = {(c.query_id, c.match_id): mark for c, mark in zip(recording.closures, marks, strict=True)}
    for decision in sorted(recording.decisions, key=lambda decision: decision.accepted):
        pair = decision.query_id, decision.match_id
        yield mark_of.get(pair, "unscored") if decision.accepted else "refused", decision


def _positions(recording: Recording) -> Mapping[int, float]:
    """Return where each keyframe lies between the first (0) and the last (1) image."""
    first, last = (recording.keyframes[i].frame for i in (0, -1))
    return {keyframe.id: (keyframe.frame - first) / (last - first) for keyframe in recording.keyframes}


def _spots(points: Iterator[tuple[str, float, float]]) -> tuple[Spots, ...]:
    """Gather points by kind; their coordinates run from 0 to 1, rightwards and upwards."""
    paths: dict[str, list[str]] = {}
    for kind, x, y in points:
        on_page = _LEFT + x * (_RIGHT - _LEFT), _BOTTOM + y * (_TOP - _BOTTOM)
        paths.setdefault(kind, []).append(f"M{on_page[0]:.1f} {on_page[1]:.1f}h0")
    return tuple(Spots(kind, "".join(path)) for kind, path in paths.items())
