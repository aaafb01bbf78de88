"""What is known of each place beside its descriptor and its thumbnail, in memory and in columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera, Keyframe, Pose

# x y z qx qy qz qw; NaN where a place has no odometry.
POSE_SIZE = 7
NO_POSE = np.full(POSE_SIZE, np.nan)

_ROW = np.dtype(
    [("session", np.int32), ("stamp_ns", np.int64), ("timed", np.bool_), ("t_odom_camera", np.float64, POSE_SIZE)]
)


@dataclass(frozen=True, slots=True, eq=False)
class PlaceColumns:
    """Consecutive places, a column a property, all of length n.

    Attributes:
        first_id: Id of the first; the others follow without gaps.
        sessions: int64.
        stamps_ns: int64.
        timed: Whether the stamp says anything about time, bool.
        t_odom_camera: ``x y z qx qy qz qw``, shape (n, 7), float64, NaN rows without odometry.
        frame_ids: Optical frame of each camera.
        cameras: Calibrations, None where uncalibrated.
        descriptors: Shape (n, dim), float32.
    """

    first_id: int
    sessions: NDArray[np.int64]
    stamps_ns: NDArray[np.int64]
    timed: NDArray[np.bool_]
    t_odom_camera: NDArray[np.float64]
    frame_ids: tuple[str, ...]
    cameras: tuple[Camera | None, ...]
    descriptors: NDArray[np.float32]

    @classmethod
    def of(cls, keyframe: Keyframe) -> PlaceColumns:
        """Return the columns of one keyframe."""
        pose = keyframe.t_odom_camera
        return cls(
            first_id=keyframe.id,
            sessions=np.array([keyframe.session]),
            stamps_ns=np.array([keyframe.stamp_ns]),
            timed=np.array([keyframe.timed]),
            t_odom_camera=(NO_POSE if pose is None else pose.xyz_quaternion)[None],
            frame_ids=(keyframe.frame_id,),
            cameras=(keyframe.camera,),
            descriptors=keyframe.descriptor[None],
        )


class PlaceTable:
    """Grows by columns; looked up by id, which is the row."""

    def __init__(self) -> None:
        """Start empty."""
        self._rows = np.empty(0, _ROW)
        self._size = 0
        self._frame_ids: list[str] = []
        self._cameras: list[Camera | None] = []

    def __len__(self) -> int:
        """Return the number of places."""
        return self._size

    def extend(self, columns: PlaceColumns) -> None:
        """Append places."""
        end = self._size + len(columns.sessions)
        if end > len(self._rows):
            grown = np.empty(max(end, 2 * len(self._rows)), _ROW)  # doubled, so that adding costs the same in any map
            grown[: self._size] = self._rows[: self._size]
            self._rows = grown
        new = self._rows[self._size : end]
        new["session"], new["stamp_ns"], new["timed"] = columns.sessions, columns.stamps_ns, columns.timed
        new["t_odom_camera"] = columns.t_odom_camera
        self._frame_ids.extend(columns.frame_ids)
        self._cameras.extend(columns.cameras)
        self._size = end

    def keyframe(self, place_id: int, descriptor: NDArray[np.float32]) -> Keyframe:
        """Return a place as a keyframe, without its thumbnail."""
        row = self._rows[place_id]
        pose = row["t_odom_camera"]
        return Keyframe(
            id=place_id,
            session=int(row["session"]),
            stamp_ns=int(row["stamp_ns"]),
            descriptor=descriptor,
            frame_id=self._frame_ids[place_id],
            camera=self._cameras[place_id],
            t_odom_camera=None if np.isnan(pose[0]) else Pose.from_xyz_quaternion(pose),
            timed=bool(row["timed"]),
        )

    def sessions(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the session of each place, int64."""
        sessions: NDArray[np.int64] = self._rows["session"][ids].astype(np.int64)
        return sessions

    def positions(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return where odometry says each place is, in metres, shape (n, 3); NaN rows without odometry."""
        positions: NDArray[np.float64] = self._rows["t_odom_camera"][ids, :3]
        return positions
