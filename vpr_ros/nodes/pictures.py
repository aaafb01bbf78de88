"""Keyframes and closures as markers, for whoever watches the robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

_KEYFRAME_SIZE_M = 0.15
_LOOP_WIDTH_M = 0.05
_BLUE = (0.2, 0.5, 1.0)
# From barely accepted over yellow to sure.
_CERTAINTY = ((0.9, 0.1, 0.1), (0.95, 0.85, 0.1), (0.1, 0.9, 0.3))


@dataclass(frozen=True, slots=True, eq=False)
class LoopLine:
    """A closure as a line between its two keyframes.

    Attributes:
        query: Position of the keyframe that closed it, metres, shape (3,).
        match: Position of the place it shows again, shape (3,).
        certainty: 0 where it was barely accepted, 1 where its probability is 1.
    """

    query: NDArray[np.float64]
    match: NDArray[np.float64]
    certainty: float


def certainty(probability: float, least: float) -> float:
    """Return how far a probability lies between the least that is accepted (0) and 1."""
    return min(1.0, max(0.0, (probability - least) / (1 - least))) if least < 1 else 1.0


def markers(header: Header, positions: NDArray[np.float64], loops: Sequence[LoopLine]) -> MarkerArray:
    """Return keyframes as blue spheres and closures as lines, green where they are sure, red where barely accepted.

    Args:
        header: Its frame is the one the positions are in.
        positions: Of the keyframes, metres, shape (n, 3).
        loops: The closures.
    """
    places = _marker(header, "keyframes", Marker.SPHERE_LIST, _KEYFRAME_SIZE_M)
    places.points = [_point(position) for position in positions]
    lines = _marker(header, "loop_closures", Marker.LINE_LIST, _LOOP_WIDTH_M)
    lines.points = [_point(end) for loop in loops for end in (loop.query, loop.match)]
    colors = [_certainty_color(loop.certainty) for loop in loops]
    lines.colors = [color for color in colors for _ in range(2)]
    return MarkerArray(markers=[places, lines])


def _marker(header: Header, namespace: str, kind: int, size_m: float) -> Marker:
    marker = Marker(header=header, ns=namespace, type=kind, action=Marker.ADD, color=_color(_BLUE))
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = size_m
    return marker


def _certainty_color(value: float) -> ColorRGBA:
    channels = zip(*_CERTAINTY, strict=True)
    return _color(tuple(float(np.interp(value, (0.0, 0.5, 1.0), channel)) for channel in channels))


def _color(rgb: tuple[float, ...]) -> ColorRGBA:
    red, green, blue = rgb
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)


def _point(position: NDArray[np.float64]) -> Point:
    x, y, z = position.tolist()
    return Point(x=x, y=y, z=z)
