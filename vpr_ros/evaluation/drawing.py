"""Geometry of the report's drawings: where keyframes and loops lie on the page. The template only paints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import LoopClosure, Pose
from vpr_ros.evaluation.assessment import Mark
from vpr_ros.evaluation.recording import Recording, SeenKeyframe

WIDTH = 640.0
_MARGIN = 26.0
# A path that is nearly straight would make a drawing of no height, one along the page a drawing without end.
_HEIGHTS = (140.0, 560.0)
# Where the time line lies below the top of its drawing, which is as wide as the page and should stay low.
_TIME_BASE = 138.0
# Steps a scale bar may have, times a power of ten.
_ROUND_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class DrawnLoop:
    """One loop as drawn.

    Attributes:
        path: SVG path from query to match.
        x: Where the query is, in page units.
        y: Where the query is, in page units.
        mark: What truth says of it.
        words: What a pointer over it tells.
        number: Position among the closures; the matched pair of that number is linked.
    """

    path: str
    x: float
    y: float
    mark: Mark
    words: str
    number: int


@dataclass(frozen=True, slots=True)
class TopView:
    """The driven path from above, loops drawn between query and match.

    Attributes:
        about: One sentence on what is drawn.
        height: Of the drawing, in page units; its width is ``WIDTH``.
        path: SVG path through all keyframes.
        dots: Keyframes, shape (n, 2) as nested tuples.
        loops: One a closure.
        bar_m: Length of the scale bar in metres.
        bar: Length of the scale bar in page units.
    """

    about: str
    height: float
    path: str
    dots: tuple[tuple[float, float], ...]
    loops: tuple[DrawnLoop, ...]
    bar_m: float
    bar: float


@dataclass(frozen=True, slots=True)
class TimeLine:
    """Keyframes along one line in order of time, an arc for each loop from query back to match.

    Attributes:
        height: Of the drawing, in page units; its width is ``WIDTH``.
        base: Where the line lies.
        ticks: Keyframes along it.
        loops: One a closure.
        first: What stands at its left end.
        last: What stands at its right end.
    """

    height: float
    base: float
    ticks: tuple[float, ...]
    loops: tuple[DrawnLoop, ...]
    first: str
    last: str


def top_views(recording: Recording, marks: Sequence[Mark]) -> tuple[TopView, ...]:
    """Return the path as the truth and as odometry have it, as far as each is known."""
    views = (
        _top_view("Where it really drove, by the poses that are its truth.", _world_pose, recording, marks),
        _top_view(
            "Where odometry says it drove. It drifts, and a loop shows by how much.", _odom_pose, recording, marks
        ),
    )
    return tuple(view for view in views if view is not None)


def time_line(recording: Recording, marks: Sequence[Mark]) -> TimeLine | None:
    """Return the arcs over time, None without two keyframes."""
    if len(recording.keyframes) < 2:
        return None
    frames = np.array([keyframe.frame for keyframe in recording.keyframes], dtype=np.float64)
    x = _MARGIN + (frames - frames[0]) / (frames[-1] - frames[0]) * (WIDTH - 2 * _MARGIN)
    x_of = {keyframe.id: float(x[i]) for i, keyframe in enumerate(recording.keyframes)}

    def ends(closure: LoopClosure) -> tuple[float, float]:
        # A place of an earlier session lies before the line.
        return x_of[closure.query_id], x_of.get(closure.match_id, 4.0)

    widest = max([WIDTH / 3, *(abs(start - end) for start, end in map(ends, recording.closures))])
    loops = []
    for number, (closure, mark) in enumerate(zip(recording.closures, marks, strict=True)):
        start, end = ends(closure)
        radii = f"{abs(start - end) / 2:.1f} {abs(start - end) / widest * (_TIME_BASE - 8):.1f}"
        path = f"M{start:.1f} {_TIME_BASE} A{radii} 0 0 0 {end:.1f} {_TIME_BASE}"
        loops.append(DrawnLoop(path, start, _TIME_BASE, mark, _words(recording, closure), number))
    first, last = (recording.when(recording.keyframes[i]) for i in (0, -1))
    return TimeLine(_TIME_BASE + 14, _TIME_BASE, tuple(x.round(1).tolist()), tuple(loops), first, last)


def _words(recording: Recording, closure: LoopClosure) -> str:
    return f"{recording.when(recording.query_of(closure))} recognised {recording.where(closure)}"


def _world_pose(keyframe: SeenKeyframe) -> Pose | None:
    return keyframe.t_world_camera


def _odom_pose(keyframe: SeenKeyframe) -> Pose | None:
    return keyframe.t_odom_camera


def _top_view(
    about: str,
    pose_of: Callable[[SeenKeyframe], Pose | None],
    recording: Recording,
    marks: Sequence[Mark],
) -> TopView | None:
    placed = [(keyframe.id, pose) for keyframe in recording.keyframes if (pose := pose_of(keyframe)) is not None]
    if len(placed) < 2:
        return None
    points, height, per_m = _fit(_from_above(np.array([pose.translation for _, pose in placed])))
    at = dict(zip((identity for identity, _ in placed), points.tolist(), strict=True))
    bar_m = _round_length(0.2 * WIDTH / per_m)
    return TopView(
        about=about,
        height=height,
        path="M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points),
        dots=tuple((round(x, 1), round(y, 1)) for x, y in points.tolist()),
        loops=tuple(_loops_from_above(recording, marks, at)),
        bar_m=bar_m,
        bar=bar_m * per_m,
    )


def _from_above(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop the axis with the least travel, (n, 3) -> (n, 2): up, whichever axis a recording calls so."""
    up = int(np.argmin(np.ptp(positions, axis=0)))
    return np.delete(positions, up, axis=1)


def _fit(plane: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Put points in metres on the page, the longer side across; return them, the page's height and units a metre."""
    if np.ptp(plane[:, 1]) > np.ptp(plane[:, 0]):
        plane = np.stack([-plane[:, 1], plane[:, 0]], axis=1)  # turned by 90 degrees, not mirrored
    low, extent = plane.min(axis=0), np.maximum(np.ptp(plane, axis=0), 1e-3)
    lowest, highest = _HEIGHTS
    per_m = min((WIDTH - 2 * _MARGIN) / extent[0], (highest - 2 * _MARGIN) / extent[1])
    height = max(lowest, per_m * extent[1] + 2 * _MARGIN)
    middle = np.array([WIDTH, height]) / 2
    points = (plane - low - extent / 2) * per_m * [1, -1] + middle  # y grows downwards on a page
    return points, float(height), float(per_m)


def _loops_from_above(
    recording: Recording, marks: Sequence[Mark], at: Mapping[int, list[float]]
) -> Iterator[DrawnLoop]:
    for number, (closure, mark) in enumerate(zip(recording.closures, marks, strict=True)):
        match = recording.match_of(closure)
        if closure.query_id not in at or match is None or match.id not in at:
            continue
        (x, y), (match_x, match_y) = at[closure.query_id], at[match.id]
        path = f"M{x:.1f} {y:.1f} L{match_x:.1f} {match_y:.1f}"
        yield DrawnLoop(path, round(x, 1), round(y, 1), mark, _words(recording, closure), number)


def _round_length(most_m: float) -> float:
    """Return the longest of 1, 2, 5 times a power of ten that is not above ``most_m``."""
    power = 10.0 ** np.floor(np.log10(most_m))
    return float(max(step for step in _ROUND_STEPS if step * power <= most_m * (1 + 1e-9)) * power)
