"""Where truth comes from. Files are read before a run, so that nobody waits for an hour to learn that one is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vpr_ros.core import Pose
from vpr_ros.evaluation.assessment import Assessment, assess
from vpr_ros.evaluation.recording import POSE_TOLERANCE_NS, Recording, SeenKeyframe
from vpr_ros.scoring import FrameNames, PoseFile, PoseRules, PoseTruth, Truth, TruthError, read_revisits
from vpr_ros.sources import Source

# Takes what a run gave; returns it, with what truth adds for drawing, and its assessment, None without truth.
Judge = Callable[[Recording], tuple[Recording, Assessment | None]]


def unjudged(recording: Recording) -> tuple[Recording, Assessment | None]:
    """Leave a run without truth as it is."""
    return recording, None


def judge_by_revisits(path: Path, source: Source) -> Judge:
    """Return the judge that goes by a table of revisits.

    Raises:
        TruthError: The table can't be read or does not fit the source.
    """
    truth_of = truth_by_revisits(path, source)
    return lambda recording: (recording, assess(recording, truth_of(recording)))


def truth_by_revisits(path: Path, source: Source) -> Callable[[Recording], Truth]:
    """Return what gives the truth of a run by a table of revisits.

    Raises:
        TruthError: The table can't be read or does not fit the source.
    """
    truth = read_revisits(path, frame_names(source))
    return lambda _: truth


def truth_by_poses(poses: PoseFile, rules: PoseRules) -> Callable[[Recording], Truth]:
    """Return what gives the truth of a run by where the camera really was."""

    def truth_of(recording: Recording) -> Truth:
        seen = recording.seen
        where = poses.at_frames(seen.frames, seen.stamps_ns, timed=seen.timed)
        return PoseTruth(where, rules, about=f"Poses of {poses.name}")

    return truth_of


def judge_by_poses(poses: PoseFile, rules: PoseRules) -> Judge:
    """Return the judge that goes by where the camera really was; keyframes are drawn there too.

    The judge itself raises ``TruthError`` where the poses turn out not to fit the frames that came.
    """
    truth_of = truth_by_poses(poses, rules)
    return lambda recording: (_placed(recording, poses), assess(recording, truth_of(recording)))


def carried_poses(source: Source) -> PoseFile:
    """Return the poses that a source carries for judging.

    Raises:
        TruthError: It carries none.
    """
    if source.truth is None:
        raise TruthError(
            f"{source.uri} carries no poses of its own for '--poses source'; give a file of them, or --revisits FILE"
        )
    return PoseFile("the source itself", trajectory=source.truth)


def frame_names(source: Source) -> FrameNames:
    """Return what tables of revisits may call a source's frames: positions, and file names where it has them."""
    names: tuple[str, ...] = tuple(getattr(source, "names", ()))
    return FrameNames(max(len(names), len(source)), names)


def _placed(recording: Recording, poses: PoseFile) -> Recording:
    return replace(
        recording,
        keyframes=tuple(replace(k, t_world_camera=_pose_of(k, poses)) for k in recording.keyframes),
    )


def _pose_of(keyframe: SeenKeyframe, poses: PoseFile) -> Pose | None:
    if poses.trajectory is not None:
        return poses.trajectory.at(keyframe.stamp_ns, POSE_TOLERANCE_NS)
    return poses.lines[keyframe.frame]
