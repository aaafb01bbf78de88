"""Truth of plain retrieval. Files are read before the run; what they mean for its frames is known after it."""

from __future__ import annotations

from collections.abc import Callable

from vpr_ros.evaluation.judging import frame_names
from vpr_ros.evaluation.recording import SeenFrames
from vpr_ros.evaluation.retrieval import Retrieval
from vpr_ros.scoring import (
    FramePoses,
    PoseFile,
    PoseRules,
    PoseTruth,
    PositionTruth,
    Truth,
    TruthError,
    utm_positions,
)
from vpr_ros.sources import Source

TruthOf = Callable[[Retrieval], Truth]


def known_before(truth: Truth) -> TruthOf:
    """Return a truth that does not depend on the frames that come."""
    return lambda _: truth


def poses_of_sequence(poses: PoseFile, rules: PoseRules) -> TruthOf:
    """Return the truth of one recording, searched backwards in time, by its poses."""
    return lambda retrieval: PoseTruth(_at(poses, retrieval.queries), rules, about=f"Poses of {poses.name}")


def poses_of_two(database: PoseFile, queries: PoseFile, rules: PoseRules) -> TruthOf:
    """Return the truth of two recordings by their poses, which are in one fixed frame."""

    def truth_of(retrieval: Retrieval) -> Truth:
        asked, places = _at(queries, retrieval.queries), _at(database, retrieval.database)
        return PoseTruth(asked, rules, matches=places, about=f"Poses of {database.name} and {queries.name}")

    return truth_of


def positions_in_names(database: Source, queries: Source, radius_m: float | None) -> Truth:
    """Return the truth of the positions that file names carry.

    Args:
        database: Open source.
        queries: Open source.
        radius_m: Right within this distance in metres; None for the benchmarks' own.

    Raises:
        TruthError: The names carry none.
    """
    ours, theirs = frame_names(queries).names, frame_names(database).names
    if not all(names and names[0].startswith("@") for names in (ours, theirs)):
        raise TruthError(
            "nothing says which images show the same place; give --tolerance N, --revisits FILE or --poses FILE, or "
            "images named '@easting@northing@...@.jpg'"
        )
    positions = utm_positions(ours), utm_positions(theirs)
    return PositionTruth(*positions) if radius_m is None else PositionTruth(*positions, radius_m)


def _at(poses: PoseFile, seen: SeenFrames) -> FramePoses:
    return poses.at_frames(seen.frames, seen.stamps_ns, timed=seen.timed)
