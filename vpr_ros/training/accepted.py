"""What a fitted policy accepts of labelled queries, recording by recording: the table of its card."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vpr_ros.detection.calibration import Label, LabelledCandidate, by_looks, passes_alone, without_odometry
from vpr_ros.detection.policy import Policy, Thresholds, thresholds_by

Figures = Mapping[str, float]
Queries = Sequence[Sequence[LabelledCandidate]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Queries of one recording whose best candidate was accepted.

    Attributes:
        right: Of the same place.
        revisits: Queries that have a right candidate.
        wrong: Of another place.
    """

    right: int = 0
    revisits: int = 0
    wrong: int = 0

    def __add__(self, other: Accepted) -> Accepted:
        """Return the sum over two recordings."""
        return Accepted(self.right + other.right, self.revisits + other.revisits, self.wrong + other.wrong)

    def __str__(self) -> str:
        """Return it as a cell of a table."""
        return f"{self.right} of {self.revisits}, {self.wrong}"


def accepted(queries: Queries, policy: Policy) -> tuple[Accepted | None, Accepted | None, Accepted | None]:
    """Return what is accepted where odometry allows pairs, without odometry, and of single images.

    None stands for what can't be asked: the recording has no odometry or no sequence, or the policy no part for single
    images. The best candidate of each query is asked for what stages and policy ask; that candidates and neighbours are
    compared afterwards is left out.
    """
    asked = thresholds_by(policy, Thresholds())
    target = asked.target_precision
    least_alone = {"margin": asked.min_lone_margin, "inliers": math.log1p(asked.min_lone_inliers)}

    def allowed(figures: Figures) -> Figures | None:
        return figures if figures.get("odometry", 0.0) > 0 else None

    def single(figures: Figures) -> Figures | None:
        stands_out = all(figures.get(name, -math.inf) >= least for name, least in least_alone.items())
        return by_looks(figures) if stands_out else None

    def reaches_target(figures: Figures) -> bool:
        return policy.probability(figures) >= policy.threshold(target, figures)

    def passes_without(figures: Figures) -> bool:
        return passes_alone(figures, asked) and reaches_target(figures)

    lone = policy.lone
    seen = {name for query in queries for each in query for name in each.figures}
    return (
        _count(queries, allowed, policy, reaches_target) if "odometry" in seen else None,
        _count(queries, without_odometry, policy, passes_without) if "sequence" in seen else None,
        _count(queries, single, lone, lambda figures: lone.probability(figures) >= target) if lone else None,
    )


def _count(
    queries: Queries,
    view: Callable[[Figures], Figures | None],
    policy: Policy,
    accepts: Callable[[Figures], bool],
) -> Accepted:
    """Return what is accepted of candidates as a view shows them; those that it shows nothing of are no candidates."""
    labels = []
    for query in queries:
        shown = [(figures, each.label) for each in query if (figures := view(each.figures)) is not None]
        if shown:
            figures, label = max(shown, key=lambda candidate: policy.log_odds(candidate[0]))
            labels += [label] if accepts(figures) else []
    revisits = sum(any(each.label is Label.RIGHT for each in query) for query in queries)
    return Accepted(labels.count(Label.RIGHT), revisits, labels.count(Label.WRONG))
