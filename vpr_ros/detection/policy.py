"""The thresholds of every stage, in one place, and the probability that comes out of what the stages saw."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vpr_ros.core.settings import setting


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What each stage asks for. How the values were found: docs/thresholds.md."""

    exclude_recent_s: float = setting(5.0, "A place younger than this is the recent past and closes no loop.", low=0.0)
    exclude_recent_keyframes: int = setting(8, "The last this many keyframes are the recent past.", low=0)
    exclude_travel_m: float = setting(
        2.0, "With odometry: a place is the recent past until the camera has travelled this far.", low=0.0
    )
    stay_similarity: float = setting(
        0.9, "A place is not left while every keyframe since has at least this cosine to it.", low=-1.0, high=1.0
    )
    return_contrast: float = setting(
        0.02,
        "A place is left once a keyframe since looked less like it than the query does, by this much cosine.",
        low=0.0,
        high=2.0,
    )
    top_k: int = setting(10, "Candidates judged for each query.", low=1, high=1000)
    min_similarity: float = setting(0.80, "Similarity stage: cosine of the two descriptors.", low=-1.0, high=1.0)
    min_margin: float = setting(
        0.0, "Margin stage: similarity over that of the best distinct rival of the same query.", low=-2.0, high=2.0
    )
    background_similarity: float = setting(
        0.82,
        "Cosine that two different places of one environment reach; stands for the rival where the map has none yet.",
        low=-1.0,
        high=1.0,
    )
    neighbour_keyframes: int = setting(5, "Places this close in order are one neighbourhood, not rivals.", low=0)
    neighbour_m: float = setting(
        3.0, "With odometry: places of one session this close are one neighbourhood, not rivals.", low=0.0
    )
    sequence_length: int = setting(
        5, "Sequence stage: consecutive keyframes that must agree; closures come up to this many late.", low=1, high=100
    )
    odometry_drift: float = setting(
        0.1, "Odometry stage: most that odometry is off, as a share of the way travelled and turned.", low=0.0, high=1.0
    )
    odometry_drift_deg_per_m: float = setting(
        2.0, "Odometry stage: most that its heading is off beside that, in degrees a metre travelled.", low=0.0
    )
    same_place_m: float = setting(
        3.0, "Odometry stage: two cameras of one place stand at most this far apart, where no pose says better.", low=0.0
    )
    agreement_window: int = setting(
        5, "Agreement stage: closures of the last this many keyframes have a say.", low=0, high=100
    )
    min_sequence_margin: float = setting(
        0.05, "Sequence stage: mean margin over the best distinct rival along the run.", low=-2.0, high=2.0
    )


# Logistic regression on pairs of the simulated robot; data and reliability: docs/thresholds.md.
_PROBABILITY_WEIGHTS = {"bias": -2.0, "similarity": 0.0, "sequence_margin": 60.0}


def probability(*, similarity: float, sequence_margin: float) -> float:
    """Return the probability that two keyframes show the same place, from what the stages saw.

    Args:
        similarity: Cosine of the two global descriptors.
        sequence_margin: Mean margin of the best run through the pair; -1 where none was computed, which gives 0.
    """
    weights = _PROBABILITY_WEIGHTS
    log_odds = weights["bias"] + weights["similarity"] * similarity + weights["sequence_margin"] * sequence_margin
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))
