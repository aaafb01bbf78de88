"""What a fitted policy accepts of labelled queries, recording by recording: the table of its card."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from vpr_ros.detection.calibration import Label, LabelledCandidate, Queries, by_looks, passes_alone, without_odometry
from vpr_ros.detection.policy import Policy, Thresholds, thresholds_by

Figures = Mapping[str, float]

_HEAD = """\
Right ones accepted of the queries that have a right candidate, then wrong ones accepted of all queries; empty where a
recording has no odometry or no sequence.

| recording | used for | odometry allows it | without odometry | single images |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of the queries of a recording.

    Attributes:
        right: Queries whose best candidate was accepted and is right.
        askable: Queries that have a right candidate.
        wrong: Queries whose best candidate was accepted and is wrong.
    """

    right: int = 0
    askable: int = 0
    wrong: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sum over two recordings."""
        return Counts(self.right + other.right, self.askable + other.askable, self.wrong + other.wrong)

    def __str__(self) -> str:
        """Return it as a cell of a table."""
        return f"{self.right} of {self.askable}, {self.wrong}"


@dataclass(frozen=True, slots=True)
class AcceptedCounts:
    """What a policy accepts of a recording, by what speaks for a pair; None where that can't be asked.

    Attributes:
        with_odometry: Pairs that odometry allows.
        without_odometry: Pairs that looks and neighbours in time speak for.
        single_images: Pairs that looks alone speak for, as in relocalization.
    """

    with_odometry: Counts | None
    without_odometry: Counts | None
    single_images: Counts | None

    def __add__(self, other: AcceptedCounts) -> AcceptedCounts:
        """Return the sum over two recordings; a column that only one of them has is that one's."""
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return AcceptedCounts(*(a + b if a and b else a or b for a, b in pairs))


def count_accepted(queries: Queries, policy: Policy) -> AcceptedCounts:
    """Return what is accepted of the best candidate of each query among those that pass the thresholds.

    Asked are cosine, margin, patches, what the sequence stage asks where nothing vouches, and the policy. Left out is
    what labelled queries don't hold: whether another keyframe sees the match better, the loop that neighbours see,
    agreement with earlier closures, and odometry's turn and distance. The margin of a single image is here that of the
    spot, which a keyframe shares with those beside it, so the last column is a little too high for drives and tours.
    """
    asked = thresholds_by(policy, Thresholds())

    def looks_right(figures: Figures, min_margin: float) -> bool:
        # What was not seen, such as the patches of an encoder without feature maps, refuses nothing here.
        least = {"similarity": asked.min_similarity, "margin": min_margin, "rerank": asked.min_rerank_score}
        return all(figures.get(name, math.inf) >= threshold for name, threshold in least.items())

    def allowed(figures: Figures) -> Figures | None:
        is_allowed = figures.get("odometry", 0.0) > 0 and looks_right(figures, asked.min_margin)
        return figures if is_allowed else None

    def alone(figures: Figures) -> Figures | None:
        passes = passes_alone(figures, asked) and looks_right(figures, asked.min_margin)
        return without_odometry(figures) if passes else None

    def single(figures: Figures) -> Figures | None:
        return by_looks(figures) if looks_right(figures, asked.single_image_margin) else None

    seen = {name for query in queries for each in query for name in each.figures}
    return AcceptedCounts(
        with_odometry=_counts(queries, allowed, policy, asked) if "odometry" in seen else None,
        without_odometry=_counts(queries, alone, policy, asked) if "sequence" in seen else None,
        single_images=_counts(queries, single, policy.of_single_images(), asked),
    )


def accepted_table(found: Iterable[tuple[str, str, Queries]], policy: Policy) -> str:
    """Return the Markdown table of a policy's card: a row for each recording, and sums by what they are used for.

    Args:
        found: Name of each recording, what it is used for, and its queries.
        policy: As it is read from its file, whose numbers are rounded.
    """
    rows: list[str] = []
    sums: dict[str, AcceptedCounts] = {}
    for name, use, queries in found:
        counts = count_accepted(queries, policy)
        rows.append(_row(name, use, counts))
        sums[use] = sums[use] + counts if use in sums else counts
    rows += [_row(f"all {use}", use, counts) for use, counts in sums.items()]
    return _HEAD + "".join(rows)


def _row(name: str, use: str, counts: AcceptedCounts) -> str:
    cells = (getattr(counts, each.name) for each in fields(counts))
    return f"| {name} | {use} | {' | '.join('' if cell is None else str(cell) for cell in cells)} |\n"


def _counts(queries: Queries, view: Callable[[Figures], Figures | None], policy: Policy, asked: Thresholds) -> Counts:
    """Return what a policy accepts of candidates as a view shows them; what it shows nothing of is no candidate."""
    best = [_best(query, view, policy) for query in queries]
    accepted = [each.label for each in best if each and _is_sure(each.figures, policy, asked)]
    askable = sum(any(each.label is Label.RIGHT for each in query) for query in queries)
    return Counts(accepted.count(Label.RIGHT), askable, accepted.count(Label.WRONG))


def _best(
    query: Iterable[LabelledCandidate], view: Callable[[Figures], Figures | None], policy: Policy
) -> LabelledCandidate | None:
    shown = ((view(each.figures), each.label) for each in query)
    candidates = [LabelledCandidate(figures, label) for figures, label in shown if figures is not None]
    return max(candidates, key=lambda candidate: policy.log_odds(candidate.figures), default=None)


def _is_sure(figures: Figures, policy: Policy, asked: Thresholds) -> bool:
    return policy.probability(figures) >= policy.threshold(asked.target_precision, figures)
