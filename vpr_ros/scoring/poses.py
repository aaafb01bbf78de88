"""Truth from poses: two frames show the same place if their cameras stood close together and looked the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import NS_PER_S, Pose, PoseError, Trajectory, read_tum_trajectory
from vpr_ros.scoring.truth import PairLabel, Truth, TruthError

# A frame farther from every pose in time is not scored; as the TUM RGB-D benchmark associates (Sturm et al. 2012).
STAMP_TOLERANCE_NS = 20_000_000
# Beyond this many times the radius or the angle a pair is wrong; between, it is grey and counts neither way.
_WRONG_BEYOND = 2.0
_KITTI_NUMBERS = 12
_TUM_NUMBERS = 8


@dataclass(frozen=True, slots=True)
class PoseRules:
    """When two poses are one place.

    Attributes:
        radius_m: Right within this distance of the cameras.
        angle_deg: And within this angle between their views; 180 for cameras that see all around.
        gap_s: Pairs closer in time count neither way.

    Raises:
        TruthError: Not positive, or not finite.
    """

    radius_m: float = 1.0
    angle_deg: float = 45.0
    gap_s: float = 5.0

    def __post_init__(self) -> None:
        """Check the values once."""
        if not (0 < self.radius_m < math.inf and 0 < self.angle_deg <= 180 and 0 <= self.gap_s < math.inf):
            raise TruthError(
                f"radius is {self.radius_m:g} m, angle {self.angle_deg:g} degrees, gap {self.gap_s:g} s; "
                "expected a positive radius, an angle up to 180 degrees and a gap of 0 or more"
            )

    def __str__(self) -> str:
        """Return the rules in words."""
        return (
            f"right within {self.radius_m:g} m and {self.angle_deg:g} degrees, wrong beyond twice either; "
            f"pairs less than {self.gap_s:g} s apart count neither way"
        )


@dataclass(frozen=True, slots=True, eq=False)
class FramePoses:
    """Where the camera was at some frames of a source.

    Attributes:
        frames: 0-based positions in the source, ascending, shape (n,), int64.
        stamps_ns: Stamps, shape (n,), int64; None where they say nothing about time.
        positions_m: Shape (n, 3), float64; NaN rows where the pose is unknown.
        rotations: Shape (n, 3, 3), float64; NaN where the pose is unknown.
    """

    frames: NDArray[np.int64]
    stamps_ns: NDArray[np.int64] | None
    positions_m: NDArray[np.float64]
    rotations: NDArray[np.float64]

    @classmethod
    def of(
        cls, frames: NDArray[np.int64], stamps_ns: NDArray[np.int64] | None, poses: Sequence[Pose | None]
    ) -> FramePoses:
        """Return the columns of one pose a frame, None where it is unknown."""
        matrices = np.full((len(poses), 4, 4), np.nan)
        for row, pose in enumerate(poses):
            if pose is not None:
                matrices[row] = pose.matrix
        return cls(frames, stamps_ns, matrices[:, :3, 3], matrices[:, :3, :3])

    @classmethod
    def along(cls, trajectory: Trajectory, frames: NDArray[np.int64], stamps_ns: NDArray[np.int64]) -> FramePoses:
        """Return the poses of a trajectory at the stamps of frames; unknown where no pose is within 20 ms."""
        poses = [trajectory.at(stamp_ns, STAMP_TOLERANCE_NS) for stamp_ns in stamps_ns.tolist()]
        return cls.of(frames, stamps_ns, poses)

    def rows(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each frame, or the number of rows where the frame is not here."""
        rows = np.searchsorted(self.frames, frames)
        is_here = np.take(self.frames, rows, mode="clip") == frames if len(self.frames) else np.zeros_like(rows, bool)
        found: NDArray[np.int64] = np.where(is_here, rows, len(self.frames))
        return found


class PoseTruth(Truth):
    """Two frames show the same place if their cameras stood close together and looked the same way.

    A pair of frames one of which has no pose is not scored.
    """

    def __init__(
        self, queries: FramePoses, rules: PoseRules, matches: FramePoses | None = None, about: str = "Poses"
    ) -> None:
        """Take the poses.

        Args:
            queries: Of the queries' source.
            rules: What counts as right.
            matches: Of the matches' source, in the same fixed frame; None if both are one recording. Only there the gap
                in time applies.
            about: Where the poses come from.
        """
        self.about = f"{about}: {rules}."
        self._rules = rules
        self._queries = _Padded(queries)
        self._matches = self._queries if matches is None else _Padded(matches)
        self._gap_ns = int(rules.gap_s * NS_PER_S) if matches is None and queries.stamps_ns is not None else 0

    def labels(self, queries: NDArray[np.int64], matches: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair."""
        ours, theirs = self._queries, self._matches
        q, m = ours.poses.rows(queries), theirs.poses.rows(matches)
        distance_m = np.linalg.norm(ours.positions_m[q] - theirs.positions_m[m], axis=-1)
        # trace(Rq^T Rm) = 1 + 2 cos(angle)
        trace = np.einsum("...ij,...ij->...", ours.rotations[q], theirs.rotations[m])
        angle_deg = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
        # The worse of the two, in units of what is allowed; NaN, where a pose is unknown, is neither right nor wrong.
        excess = np.maximum(distance_m / self._rules.radius_m, angle_deg / self._rules.angle_deg)
        labels = np.full(excess.shape, PairLabel.IGNORED, np.int8)
        labels[excess <= 1] = PairLabel.RIGHT
        labels[excess > _WRONG_BEYOND] = PairLabel.WRONG
        if self._gap_ns:
            labels[np.abs(ours.stamps_ns[q] - theirs.stamps_ns[m]) < self._gap_ns] = PairLabel.IGNORED
        return labels


class _Padded:
    """Poses with one unknown row at the end, which every frame that is not there takes."""

    def __init__(self, poses: FramePoses) -> None:
        count = len(poses.frames)
        self.poses = poses
        self.positions_m = np.vstack([poses.positions_m, np.full((1, 3), np.nan)])
        self.rotations = np.concatenate([poses.rotations, np.full((1, 3, 3), np.nan)])
        self.stamps_ns = np.append(np.zeros(count, np.int64) if poses.stamps_ns is None else poses.stamps_ns, 0)


class PositionTruth(Truth):
    """Two images show the same place if they were taken within a radius; what they look at is not known."""

    def __init__(self, queries: NDArray[np.float64], matches: NDArray[np.float64], radius_m: float = 25.0) -> None:
        """Take the positions, shape (n, 2), in metres.

        Args:
            queries: Of the queries' images, in order.
            matches: Of the database's images, in order.
            radius_m: 25 m is what the benchmarks with such names use (Arandjelovic et al. 2016, section 5).
        """
        self.about = f"Positions in the file names: right within {radius_m:g} m, wrong beyond."
        self._queries, self._matches, self._radius_m = queries, matches, radius_m

    def labels(self, queries: NDArray[np.int64], matches: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the ``PairLabel`` of each pair."""
        distance_m = np.linalg.norm(self._queries[queries] - self._matches[matches], axis=-1)
        return np.where(distance_m <= self._radius_m, PairLabel.RIGHT, PairLabel.WRONG).astype(np.int8)


def utm_positions(names: Sequence[str]) -> NDArray[np.float64]:
    """Return the positions that file names ``@easting@northing@...@.jpg`` carry, shape (n, 2), metres.

    Raises:
        TruthError: A name carries none; shows it.
    """
    return np.array([_utm_position(name) for name in names]).reshape(-1, 2)


def _utm_position(name: str) -> tuple[float, float]:
    try:
        _, easting, northing, *_ = name.split("@")
        return float(easting), float(northing)
    except ValueError:
        raise TruthError(f"'{name}' carries no position, expected a name like '@548233.1@4178012.5@.jpg'") from None


@dataclass(frozen=True, slots=True, eq=False)
class PoseFile:
    """Poses read from a file, before it is known which frames they belong to.

    Attributes:
        name: Name of the file.
        trajectory: Stamped poses (TUM); None where a line is a frame.
        lines: One pose a frame (KITTI); empty where they are stamped.
    """

    name: str
    trajectory: Trajectory | None = None
    lines: tuple[Pose, ...] = ()

    def at_frames(self, frames: NDArray[np.int64], stamps_ns: NDArray[np.int64], *, timed: bool) -> FramePoses:
        """Return the poses of some frames, ascending.

        Raises:
            TruthError: The poses are stamped and the frames are not, or there are more frames than lines.
        """
        if self.trajectory is not None:
            if not timed:
                raise TruthError(f"{self.name} has stamped poses, but the images have no stamps; give --rate-hz")
            return FramePoses.along(self.trajectory, frames, stamps_ns)
        if len(frames) and frames[-1] >= len(self.lines):
            raise TruthError(
                f"{self.name} has {len(self.lines)} poses, one a frame, but there is a frame {frames[-1]}; "
                "it belongs to another recording"
            )
        return FramePoses.of(frames, stamps_ns if timed else None, [self.lines[frame] for frame in frames.tolist()])


def read_pose_file(path: Path) -> PoseFile:
    """Read poses in TUM format (eight numbers a line, the first a stamp) or KITTI's (twelve, line = frame).

    Raises:
        TruthError: It can't be read, or is neither; names the line.
        TrajectoryError: It is TUM and a line is not.
    """
    lines = _number_lines(path)
    first, fields = lines[0] if lines else (1, [])
    if len(fields) == _TUM_NUMBERS:
        return PoseFile(path.name, trajectory=read_tum_trajectory(path))
    if len(fields) == _KITTI_NUMBERS:
        return PoseFile(path.name, lines=tuple(_kitti_pose(path, number, line) for number, line in lines))
    raise TruthError(
        f"{path}, line {first}: {len(fields)} numbers, expected {_TUM_NUMBERS} (TUM: stamp_s x y z qx qy qz qw) or "
        f"{_KITTI_NUMBERS} (KITTI: a 3 x 4 matrix, row by row)"
    )


def _number_lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TruthError(f"can't read poses {path}: {error}; expected a text file in TUM or KITTI format") from error
    lines = ((number, line.split("#")[0].replace(",", " ").split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, fields) for number, fields in lines if fields]


def _kitti_pose(path: Path, number: int, fields: Sequence[str]) -> Pose:
    try:
        matrix = np.array([float(field) for field in fields]).reshape(3, 4)
        return Pose(np.vstack([matrix, [0, 0, 0, 1]]))
    except (ValueError, PoseError) as error:
        raise TruthError(f"{path}, line {number}: {error}; expected a 3 x 4 rigid matrix, row by row") from error
