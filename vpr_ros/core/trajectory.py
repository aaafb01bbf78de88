"""Stamped poses in time order, looked up by interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core.errors import VprError
from vpr_ros.core.pose import Pose, PoseError
from vpr_ros.core.stamps import stamp_ns_from_text


class TrajectoryError(VprError):
    """A trajectory file can't be read, or its stamps are not in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Poses of one moving frame in one fixed frame.

    Attributes:
        stamps_ns: Strictly increasing stamps, shape (n,), int64.
        poses: One pose a stamp, ``t_fixed_moving``.

    Raises:
        TrajectoryError: Lengths differ, there is no pose, or stamps do not increase.
    """

    stamps_ns: NDArray[np.int64]
    poses: tuple[Pose, ...]

    def __post_init__(self) -> None:
        """Check lengths and order once."""
        if len(self.stamps_ns) != len(self.poses) or not self.poses:
            raise TrajectoryError(f"trajectory has {len(self.stamps_ns)} stamps and {len(self.poses)} poses")
        if np.any(np.diff(self.stamps_ns) <= 0):
            first = int(np.argmax(np.diff(self.stamps_ns) <= 0)) + 1
            raise TrajectoryError(
                f"stamp {first} of the trajectory ({self.stamps_ns[first]} ns) is not later than the one before it"
            )

    def __len__(self) -> int:
        """Return the number of poses."""
        return len(self.poses)

    def at(self, stamp_ns: int, tolerance_ns: int) -> Pose | None:
        """Return the interpolated pose, or None where the nearest stamp is farther than ``tolerance_ns``.

        Beyond either end the end's own pose is given, if it is within the tolerance.
        """
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        nearest_ns = min(abs(int(self.stamps_ns[i]) - stamp_ns) for i in (after - 1, after) if 0 <= i < len(self))
        if nearest_ns > tolerance_ns:
            return None
        if after == 0 or after == len(self):
            return self.poses[min(after, len(self) - 1)]
        before_ns, after_ns = int(self.stamps_ns[after - 1]), int(self.stamps_ns[after])
        fraction = (stamp_ns - before_ns) / (after_ns - before_ns)
        return self.poses[after - 1].interpolate(self.poses[after], fraction)


def read_tum_trajectory(path: Path) -> Trajectory:
    """Read a TUM trajectory: lines ``stamp_s x y z qx qy qz qw``, ``#`` starts a comment.

    Raises:
        TrajectoryError: The file is missing or a line does not hold eight numbers; names the line.
    """
    stamps: list[int] = []
    poses: list[Pose] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrajectoryError(
            f"can't read trajectory {path}: {error}; expected text lines 'stamp_s x y z qx qy qz qw'"
        ) from error
    for number, line in enumerate(lines, 1):
        fields = line.split("#")[0].replace(",", " ").split()
        if not fields:
            continue
        try:
            stamp_ns, pose = stamp_ns_from_text(fields[0]), Pose.from_xyz_quaternion([float(f) for f in fields[1:]])
        except (ValueError, ArithmeticError, PoseError) as error:
            raise TrajectoryError(f"{path}, line {number}: {error}; expected 'stamp_s x y z qx qy qz qw'") from error
        stamps.append(stamp_ns)
        poses.append(pose)
    if not poses:
        raise TrajectoryError(f"{path} holds no pose; expected lines 'stamp_s x y z qx qy qz qw'")
    return Trajectory(np.array(stamps, dtype=np.int64), tuple(poses))
