"""Truth, and the figures computed against it."""

from vpr_ros.scoring.loops import LoopFigures, score_closures
from vpr_ros.scoring.poses import (
    FramePoses,
    PoseFile,
    PoseRules,
    PoseTruth,
    PositionTruth,
    read_pose_file,
    utm_positions,
)
from vpr_ros.scoring.retrieval import RetrievalFigures, score_retrieval
from vpr_ros.scoring.revisits import FrameNames, RevisitTruth, read_revisits
from vpr_ros.scoring.truth import PairLabel, ToleranceTruth, Truth, TruthError, with_revisit

__all__ = [
    "FrameNames",
    "FramePoses",
    "LoopFigures",
    "PairLabel",
    "PoseFile",
    "PoseRules",
    "PoseTruth",
    "PositionTruth",
    "RetrievalFigures",
    "RevisitTruth",
    "ToleranceTruth",
    "Truth",
    "TruthError",
    "read_pose_file",
    "read_revisits",
    "score_closures",
    "score_retrieval",
    "utm_positions",
    "with_revisit",
]
