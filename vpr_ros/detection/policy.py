"""The thresholds of every stage, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from vpr_ros.core.settings import setting


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What each stage asks for."""

    exclude_recent_s: float = setting(5.0, "A place younger than this is the recent past and closes no loop.", low=0.0)
    exclude_recent_keyframes: int = setting(8, "The last this many keyframes are the recent past.", low=0)
    exclude_travel_m: float = setting(
        2.0, "With odometry: a place is the recent past until this far has been travelled.", low=0.0
    )
    stay_similarity: float = setting(
        0.9, "Keyframes at least this similar to a place have not left it.", low=-1.0, high=1.0
    )
    top_k: int = setting(10, "Candidates judged for each query.", low=1, high=1000)
    min_similarity: float = setting(0.7, "Similarity stage: cosine of the two descriptors.", low=-1.0, high=1.0)
    min_margin: float = setting(
        0.02, "Margin stage: similarity over that of the best distinct rival.", low=0.0, high=2.0
    )
    sequence_length: int = setting(5, "Sequence stage: consecutive keyframes looked at together.", low=1, high=100)
