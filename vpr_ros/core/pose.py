"""SE(3): rigid poses, their composition, logarithm and interpolation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vpr_ros.core.errors import VprError

# How far a rotation matrix may stray from orthonormal: float32 poses of real recordings reach 1e-4.
_RIGID_TOLERANCE = 1e-3
# Below this angle the axis of a rotation is taken from its first-order form.
_SMALL_ANGLE_RAD = 1e-7


class PoseError(VprError):
    """A pose is not a rigid transform or holds NaN."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A rigid transform ``t_target_source``: ``t_target_source @ p_source == p_target``.

    Attributes:
        matrix: Homogeneous transform, shape (4, 4), float64; translation in metres.

    Raises:
        PoseError: The matrix is not finite or its rotation is not orthonormal.
    """

    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check once that the matrix is rigid, and make it read-only."""
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4):
            raise PoseError(f"pose has shape {matrix.shape}, expected (4, 4)")
        if not np.isfinite(matrix).all():
            raise PoseError("pose holds NaN or infinite values; drop it or mend its publisher")
        rotation = matrix[:3, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE) or np.linalg.det(rotation) < 0:
            raise PoseError("pose's rotation is not orthonormal and right-handed")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls) -> Pose:
        """Return the pose that moves nothing."""
        return cls(np.eye(4))

    @classmethod
    def from_xyz_quaternion(cls, values: ArrayLike) -> Pose:
        """Return the pose of ``x y z qx qy qz qw`` (metres; Hamilton quaternion, scalar last, as ROS and TUM write it).

        Args:
            values: Seven numbers. The quaternion is normalised; a norm far from 1 is refused.

        Raises:
            PoseError: NaN, or a quaternion whose norm is not 1 within 10 %.
        """
        v = np.asarray(values, dtype=np.float64)
        if v.shape != (7,) or not np.isfinite(v).all():
            raise PoseError(f"pose is {v.tolist()}, expected seven finite numbers x y z qx qy qz qw")
        norm = np.linalg.norm(v[3:])
        if not 0.9 < norm < 1.1:
            raise PoseError(f"quaternion {v[3:].tolist()} has norm {norm:.3g}, expected 1")
        matrix = np.eye(4)
        matrix[:3, :3] = rotation_from_quaternion(v[3:] / norm)
        matrix[:3, 3] = v[:3]
        return cls(matrix)

    @classmethod
    def from_rotation_translation(cls, rotation: ArrayLike, translation: ArrayLike) -> Pose:
        """Return the pose of a rotation matrix (3, 3) and a translation (3,) in metres."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = translation
        return cls(matrix)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Rotation matrix, shape (3, 3)."""
        return self.matrix[:3, :3]

    @property
    def translation(self) -> NDArray[np.float64]:
        """Translation in metres, shape (3,)."""
        return self.matrix[:3, 3]

    @property
    def xyz_quaternion(self) -> NDArray[np.float64]:
        """``x y z qx qy qz qw``, shape (7,), with ``qw >= 0``."""
        return np.concatenate([self.translation, quaternion_from_rotation(self.rotation)])

    def inverse(self) -> Pose:
        """Return ``t_source_target``."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation.T
        matrix[:3, 3] = -self.rotation.T @ self.translation
        return Pose(matrix)

    @overload
    def __matmul__(self, other: Pose) -> Pose: ...
    @overload
    def __matmul__(self, other: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def __matmul__(self, other: Pose | NDArray[np.float64]) -> Pose | NDArray[np.float64]:
        """Chain with another pose, or move points of shape (n, 3) or (3,)."""
        if isinstance(other, Pose):
            return Pose(self.matrix @ other.matrix)
        moved: NDArray[np.float64] = other @ self.rotation.T + self.translation
        return moved

    def distance_m(self, other: Pose) -> float:
        """Return the distance between the two origins, in metres."""
        return float(np.linalg.norm(self.translation - other.translation))

    def angle_rad(self, other: Pose) -> float:
        """Return the angle of the rotation between the two poses, in [0, pi]."""
        return float(np.linalg.norm(rotation_log(self.rotation.T @ other.rotation)))

    def interpolate(self, other: Pose, fraction: float) -> Pose:
        """Return the pose at ``fraction`` of the way to ``other``: straight line, constant turn (0 gives self)."""
        turn = rotation_exp(fraction * rotation_log(self.rotation.T @ other.rotation))
        position = (1 - fraction) * self.translation + fraction * other.translation
        return Pose.from_rotation_translation(self.rotation @ turn, position)


def rotation_from_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Return the rotation matrix (3, 3) of a unit quaternion x y z w."""
    x, y, z, w = np.asarray(quaternion, dtype=np.float64)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit quaternion x y z w (w >= 0) of a rotation matrix.

    It is the eigenvector of the largest eigenvalue of Bar-Itzhack's matrix (2000), which has no singular case.
    """
    r = rotation
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    quaternion: NDArray[np.float64] = np.linalg.eigh(k, UPLO="L")[1][:, -1]
    return -quaternion if quaternion[3] < 0 else quaternion


def rotation_log(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return axis times angle (3,) of a rotation matrix, angle in [0, pi] rad."""
    quaternion = quaternion_from_rotation(rotation)
    sine = float(np.linalg.norm(quaternion[:3]))
    ratio = 2.0 if sine < _SMALL_ANGLE_RAD else 2 * math.atan2(sine, quaternion[3]) / sine
    axis_angle: NDArray[np.float64] = ratio * quaternion[:3]
    return axis_angle


def rotation_exp(axis_angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation matrix (3, 3) of axis times angle in rad (Rodrigues)."""
    angle = float(np.linalg.norm(axis_angle))
    x, y, z = axis_angle if angle < _SMALL_ANGLE_RAD else axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: NDArray[np.float64] = np.eye(3) + cross
    if angle >= _SMALL_ANGLE_RAD:
        rotation = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
    return rotation
