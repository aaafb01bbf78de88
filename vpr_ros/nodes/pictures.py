"""What people look at: a closure's two images side by side, keyframes and closures as markers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

_HEIGHT = 240
_CAPTION_HEIGHT = 24
_KEYFRAME_SIZE_M = 0.15
_LOOP_WIDTH_M = 0.05
_BLUE = ColorRGBA(r=0.2, g=0.5, b=1.0, a=1.0)
_GREEN = ColorRGBA(r=0.1, g=0.9, b=0.3, a=1.0)


def match_picture(query_jpeg: bytes | None, match_jpeg: bytes | None, caption: str) -> NDArray[np.uint8]:
    """Return query and match side by side under a caption, RGB (height, width, 3); an image that is absent is grey."""
    pair = np.hstack([_of_equal_height(query_jpeg), _of_equal_height(match_jpeg)])
    strip = np.zeros((_CAPTION_HEIGHT, pair.shape[1], 3), np.uint8)
    cv2.putText(strip, caption, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([strip, pair])


def markers(
    header: Header, positions: NDArray[np.float64], loops: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> MarkerArray:
    """Return keyframes as spheres and closures as lines.

    Args:
        header: Its frame is the one the positions are in.
        positions: Of the keyframes, metres, shape (n, 3).
        loops: Both ends of each closure, shape (3,) each.
    """
    places = _marker(header, "keyframes", Marker.SPHERE_LIST, _KEYFRAME_SIZE_M, _BLUE)
    places.points = [_point(position) for position in positions]
    lines = _marker(header, "loop_closures", Marker.LINE_LIST, _LOOP_WIDTH_M, _GREEN)
    lines.points = [_point(end) for loop in loops for end in loop]
    return MarkerArray(markers=[places, lines])


def _marker(header: Header, namespace: str, kind: int, size_m: float, color: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=namespace, type=kind, action=Marker.ADD, color=color)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = size_m
    return marker


def _point(position: NDArray[np.float64]) -> Point:
    x, y, z = position.tolist()
    return Point(x=x, y=y, z=z)


def _of_equal_height(jpeg: bytes | None) -> NDArray[np.uint8]:
    image = None if not jpeg else cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        return np.full((_HEIGHT, _HEIGHT * 4 // 3, 3), 128, np.uint8)
    width = max(1, round(image.shape[1] * _HEIGHT / image.shape[0]))
    return np.asarray(cv2.resize(image, (width, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
