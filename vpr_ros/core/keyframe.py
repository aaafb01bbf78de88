"""A frame that is remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.camera import Camera
from vpr_ros.core.pose import Pose


@dataclass(frozen=True, slots=True, eq=False)
class Keyframe:
    """A frame chosen to be remembered. Stored in a map it is a place.

    Attributes:
        id: Stable, counts up from 0 over all sessions of a map, never reused.
        session: Number of the uninterrupted run it belongs to, from 0.
        stamp_ns: The frame's stamp in ns.
        descriptor: Global descriptor, unit length, shape (dim,), float32.
        thumbnail: JPEG of the image, at most 320 px wide, for people to look at; None where it was left on disk
            (``PlaceMap.thumbnail`` gives it).
        patches: Patch descriptors for re-ranking, as ``vpr_ros.reranking`` writes them; None where there are none or
            they were left on disk (``PlaceMap.patches``).
        features: Local features for verification, as ``vpr_ros.geometry`` writes them; None where there are none or
            they were left on disk (``PlaceMap.features``).
        frame_id: Name of the camera's optical frame.
        camera: Calibration of the full-size image, None if uncalibrated.
        t_odom_camera: Camera in its session's odometry frame, None without odometry.
        timed: Whether ``stamp_ns`` says anything about time.
    """

    id: int
    session: int
    stamp_ns: int
    descriptor: NDArray[np.float32]
    thumbnail: bytes | None = None
    patches: bytes | None = None
    features: bytes | None = None
    frame_id: str = "camera"
    camera: Camera | None = None
    t_odom_camera: Pose | None = None
    timed: bool = True
