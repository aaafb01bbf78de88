"""The path of a candidate: every stage there is, in order, built in this one place."""

from __future__ import annotations

from vpr_ros.detection.consistency import AgreementStage, OdometryStage
from vpr_ros.detection.policy import Policy, Thresholds
from vpr_ros.detection.stages import (
    GeometryStage,
    MarginStage,
    ProbabilityStage,
    RerankStage,
    SequenceStage,
    SimilarityStage,
    SkippedStage,
    Stage,
)

STAGE_NAMES = ("similarity", "margin", "rerank", "geometry", "odometry", "sequence", "agreement", "probability")


def build_stages(thresholds: Thresholds, policy: Policy, without: tuple[str, ...] = ()) -> tuple[Stage, ...]:
    """Return the stages in order, cheapest first; those named in ``without`` are switched off."""
    stages: tuple[Stage, ...] = (
        SimilarityStage(thresholds),
        MarginStage(thresholds, is_shared="sequence" not in without),
        RerankStage(thresholds),
        GeometryStage(thresholds),
        OdometryStage(thresholds),
        SequenceStage(thresholds),
        AgreementStage(thresholds),
        ProbabilityStage(policy, thresholds.target_precision),
    )
    return tuple(SkippedStage(stage.name, "switched off") if stage.name in without else stage for stage in stages)
