"""Fitting the policy: from labelled pairs to the weights of what the stages saw, and how far to trust its word."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.detection.policy import FIGURES, Policy, PolicyError, Thresholds, policy_for, thresholds_by
from vpr_ros.detection.settings import Settings

_LEAST_OF_A_KIND = 20  # fewer right or wrong pairs say too little
_LEAST_ALLOWED_WRONG = 10  # of those that odometry allows, which are few; only a scale is taken from them
# Weight of a unit prior on each standardised weight: keeps what separates perfectly from growing without end.
_RIDGE = 1.0
_ITERATIONS = 60
_CONVERGED = 1e-8
_BINS = 10
_ROUNDS = 4  # of choosing each query's best candidate by the policy, and fitting the policy to those
_LEAST_ACCEPTED, _MOST_POINTS = 0.5, 50
_LEAST_STEP = 0.05  # knots of the curve are at least this far apart, in log-odds

# Nothing is refused, so that all is seen; agreement does not weigh in the policy.
LOOKING_AT_ALL: Mapping[str, object] = {
    "min_similarity": -1.0,
    "min_margin": -2.0,
    "min_lone_inliers": 0,
    "min_sequence_margin": -1.0,
    "min_support": 0.0,
    "min_rerank_score": 0.0,
    "min_inliers": 0,
    "min_odometry_reserve_m": -1e9,
    "max_odometry_turn_deg": 1e3,
    "best_view_m": 1e3,
    "target_precision": 0.9999,
}
SWITCHED_OFF = ("agreement",)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPairs:
    """Pairs of keyframes whose truth is known.

    Attributes:
        figures: What the stages saw of each pair, by name; a figure is missing where its stage did not run.
        is_same_place: Shape (n,), bool.
    """

    figures: Sequence[Mapping[str, float]]
    is_same_place: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check the lengths once."""
        assert len(self.figures) == len(self.is_same_place), "one label a pair"


def all_seen(settings: Settings) -> Settings:
    """Return settings under which every candidate is looked at by every stage."""
    return replace(
        settings,
        thresholds=replace(settings.thresholds, **LOOKING_AT_ALL),  # type: ignore[arg-type]  # names of its fields
    )


class Label(Enum):
    """What truth says of two keyframes."""

    RIGHT = "right"
    WRONG = "wrong"
    IGNORED = "ignored"  # too near for wrong, too far for right


@dataclass(frozen=True, slots=True)
class LabelledCandidate:
    """A candidate of a query: what the stages saw of it, and what it is.

    Attributes:
        figures: As in :class:`LabelledPairs`.
        label: What truth says of it.
    """

    figures: Mapping[str, float]
    label: Label


# The labelled candidates of each of many queries.
Queries = Sequence[Sequence[LabelledCandidate]]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs to which a policy gives about the same probability.

    Attributes:
        count: How many.
        said: Their mean probability.
        true: The share of them that show the same place.
    """

    count: int
    said: float
    true: float


def fit_to_queries(
    queries: Queries,
    recipe: Recipe,
    name: str,
    only_with_odometry: Queries = (),
) -> tuple[Policy, LabelledPairs]:
    """Return the policy fitted to the best candidate of each query, and those pairs.

    Each query counts as if there were no odometry. Which candidate is best depends on the policy: so often the choice
    and the fit follow each other. Those with candidates that odometry allows count once more, by these alone: what the
    same log-odds mean where few look-alikes are left is the policy's ``aided`` part, which is left out where too few
    wrong ones are.

    Without odometry the sequence stage asks for more than it does with it; what share of the accepted is right is
    therefore counted among the pairs that get past it.

    A single image has neither odometry nor neighbours: what its looks are worth (``lone``) is learned from all pairs by
    looks alone, of the further queries too, for many of those look alike and are none.

    Args:
        queries: Candidates of each query, labelled.
        recipe: Of the encoder that was used.
        name: Where the pairs come from, for people.
        only_with_odometry: Further queries that count for the ``aided`` and ``lone`` parts alone.

    Raises:
        PolicyError: Too few right or wrong pairs.
    """
    known = policy_for(recipe)
    asked = thresholds_by(known, Thresholds())
    unaided = [[replace(c, figures=without_odometry(c.figures)) for c in query] for query in queries]
    policy, pairs = _fit_in_rounds(unaided, recipe, name)
    lone = _fitted_to_looks([*queries, *only_with_odometry], recipe, name, asked.single_image_margin)
    # The scale of the encoder's cosines stays, whatever is learned here.
    policy = replace(policy, thresholds=known.thresholds, lone=lone)
    past_sequence = [[c for c in query if passes_alone(c.figures, asked)] for query in unaided]
    if passing := [query for query in past_sequence if query]:
        policy = replace(policy, accepted=accepted_precision(policy, best_pairs(passing, policy.log_odds)))
    allowed = [[c for c in query if c.figures.get("odometry", 0.0) > 0] for query in (*queries, *only_with_odometry)]
    aided_pairs = best_pairs([query for query in allowed if query], policy.log_odds)
    right = int(aided_pairs.is_same_place.sum())
    if right < _LEAST_OF_A_KIND or len(aided_pairs.is_same_place) - right < _LEAST_ALLOWED_WRONG:
        return policy, pairs
    both = LabelledPairs(
        [*pairs.figures, *aided_pairs.figures], np.append(pairs.is_same_place, aided_pairs.is_same_place)
    )
    return replace(policy, aided=_rescaled(policy, aided_pairs)), both


def _fitted_to_looks(queries: Queries, recipe: Recipe, name: str, min_margin: float) -> Policy | None:
    """Return the policy of single images, whose margin is asked first; None if there are too few pairs."""
    asked = [[c for c in query if c.figures.get("margin", -np.inf) >= min_margin] for query in queries]
    looks = [[replace(c, figures=by_looks(c.figures)) for c in query] for query in asked if query]
    try:
        policy, _ = _fit_in_rounds(looks, recipe, name)
    except PolicyError:
        return None
    return policy


def by_looks(figures: Mapping[str, float]) -> Mapping[str, float]:
    """Return what a single image shows of a pair: nothing of neighbours, nothing of odometry."""
    return {name: value for name, value in figures.items() if FIGURES.get(name, "sequence") != "sequence"}


def _rescaled(policy: Policy, pairs: LabelledPairs) -> Policy:
    """Return a policy with the same weights, whose probabilities are what its log-odds mean for other pairs."""
    said = np.array([policy.log_odds(seen) for seen in pairs.figures])
    curved = replace(policy, curve=isotonic_curve(said, pairs.is_same_place), lone=None, thresholds={})
    return replace(curved, accepted=accepted_precision(curved, pairs))


def passes_alone(figures: Mapping[str, float], asked: Thresholds) -> bool:
    """Say whether the sequence stage lets a pair pass that neither odometry nor a metric pose vouches for."""
    least = {
        "inliers": math.log1p(asked.min_lone_inliers),
        "support": asked.min_support,
        "sequence": asked.min_sequence_margin,
    }
    return all(figures.get(name, -np.inf) >= threshold for name, threshold in least.items())


def without_odometry(figures: Mapping[str, float]) -> Mapping[str, float]:
    """Return what is seen of a pair by a robot that has no odometry."""
    return {name: value for name, value in figures.items() if name != "odometry"}


def _fit_in_rounds(queries: Queries, recipe: Recipe, name: str) -> tuple[Policy, LabelledPairs]:
    score: Callable[[Mapping[str, float]], float] = _score_by_hand
    for _ in range(_ROUNDS):
        pairs = best_pairs(queries, score)
        policy = fit_policy(pairs, recipe, name)
        score = policy.log_odds
    return policy, pairs


def best_pairs(queries: Queries, score: Callable[[Mapping[str, float]], float]) -> LabelledPairs:
    """Return the best-scored candidate of each query; queries whose best one truth does not judge are left out."""
    best = [max(query, key=lambda candidate: score(candidate.figures)) for query in queries]
    judged = [candidate for candidate in best if candidate.label is not Label.IGNORED]
    labels = np.array([candidate.label is Label.RIGHT for candidate in judged], np.bool_)
    return LabelledPairs([candidate.figures for candidate in judged], labels)


def _score_by_hand(figures: Mapping[str, float]) -> float:
    """Rank the candidates of a query until there is a policy."""
    return figures.get("inliers", 0.0) + 5 * figures.get("rerank", 0.0)


def fit_policy(pairs: LabelledPairs, recipe: Recipe, name: str) -> Policy:
    """Return the logistic regression that explains the labels (ridge penalty; no weight below zero).

    Each pair also counts, at a quarter of the weight, as if one of the stages had not run: so the policy knows what it
    loses without it. No figure may speak against a pair for being larger: what looks so in one recording is chance.

    Args:
        pairs: Right and wrong pairs.
        recipe: Of the encoder that was used.
        name: Where the pairs come from, for people.

    Raises:
        PolicyError: Too few right or wrong pairs.
    """
    right = int(pairs.is_same_place.sum())
    if min(right, len(pairs.is_same_place) - right) < _LEAST_OF_A_KIND:
        raise PolicyError(
            f"{right} right and {len(pairs.is_same_place) - right} wrong pairs are too few to calibrate by, expected "
            f"{_LEAST_OF_A_KIND} of each; take a longer recording that comes back to places"
        )
    figures, stages = list(FIGURES), list(dict.fromkeys(FIGURES.values()))
    values, here = _columns(pairs.figures, figures)
    design, weights, labels = _with_absences(values, here, stages, figures, pairs.is_same_place)
    scale = np.where(design.std(axis=0) > 0, design.std(axis=0), 1.0)
    solution = _non_negative_logistic(design / scale, labels, weights, free=len(stages) + 1)
    solution = solution / np.append(1.0, scale[1:])
    bias, absent, found = solution[0], solution[1 : len(stages) + 1], solution[len(stages) + 1 :]
    linear = Policy(
        name=name,
        encoder_sha256=recipe.weights_sha256,
        bias=float(bias),
        weights=dict(zip(figures, found.tolist(), strict=True)),
        absent=dict(zip(stages, absent.tolist(), strict=True)),
    )
    said = np.array([linear.log_odds(seen) for seen in pairs.figures])
    curved = replace(linear, curve=isotonic_curve(said, pairs.is_same_place))
    return replace(curved, accepted=accepted_precision(curved, pairs))


def accepted_precision(policy: Policy, pairs: LabelledPairs) -> tuple[tuple[float, float], ...]:
    """Return probabilities and the share that is right of all pairs at least as probable, both ascending.

    Of n pairs with k right ones it is (k + 1/2) / (n + 1). A probability that reaches no larger share than one below it
    is left out.
    """
    said = np.array([policy.probability(figures) for figures in pairs.figures])
    points: list[tuple[float, float]] = []
    for least in np.unique(said[said >= _LEAST_ACCEPTED]):
        right = pairs.is_same_place[said >= least]
        precision = float((right.sum() + 0.5) / (len(right) + 1))
        if not points or precision > points[-1][1]:
            points.append((float(least), precision))
    step = max(1, len(points) // _MOST_POINTS)
    return tuple(points[::-1][::step][::-1])  # the last one, which reaches most, always stays


def isotonic_curve(log_odds: NDArray[np.float64], is_same_place: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return what log-odds turned out to mean, ascending (Zadrozny and Elkan 2002: pool adjacent violators).

    A line through figures is right in the middle and too modest at its ends, where a map's closures live. Each pooled
    block of n pairs with k right ones is level at (k + 1/2) / (n + 1), so that a few right ones are no certainty.
    """
    order = np.argsort(log_odds, kind="stable")
    blocks: list[_Block] = []
    for x, y in zip(log_odds[order].tolist(), is_same_place[order].tolist(), strict=True):
        blocks.append(_Block(1, float(y), x, x))
        while len(blocks) > 1 and blocks[-2].share >= blocks[-1].share:
            last = blocks.pop()
            blocks[-1] = blocks[-1].pooled(last)
    curve: list[tuple[float, float]] = []
    for block in blocks:
        probability = max((block.right + 0.5) / (block.count + 1), curve[-1][1] if curve else 0.0)
        for edge in (block.first, block.last):
            x = max(edge, curve[-1][0] + _LEAST_STEP) if curve else edge
            if x <= block.last:
                curve.append((x, probability))
    return tuple(curve)


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbouring pairs that share one probability."""

    count: int
    right: float
    first: float
    last: float

    @property
    def share(self) -> float:
        return self.right / self.count

    def pooled(self, other: _Block) -> _Block:
        """Return this block and the next one as one."""
        return _Block(self.count + other.count, self.right + other.right, self.first, other.last)


def reliability(policy: Policy, pairs: LabelledPairs) -> tuple[ReliabilityBin, ...]:
    """Return how often a policy is right where it gives 0 to 0.1, 0.1 to 0.2, and so on; empty bins are left out."""
    said = np.array([policy.probability(figures) for figures in pairs.figures])
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    return tuple(
        ReliabilityBin(int(mask.sum()), float(said[mask].mean()), float(pairs.is_same_place[mask].mean()))
        for mask in (bins == number for number in range(_BINS))
        if mask.any()
    )


def _columns(
    figures: Sequence[Mapping[str, float]], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return each figure of each pair, shape (pairs, names), 0 where it is missing, and where it is there."""
    values = np.array([[seen.get(name, np.nan) for name in names] for seen in figures], np.float64)
    here = np.isfinite(values)
    return np.where(here, values, 0.0), here


def _with_absences(
    values: NDArray[np.float64],
    here: NDArray[np.bool_],
    stages: Sequence[str],
    names: Sequence[str],
    is_same_place: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the design matrix (1, absence of each stage, figures), weights and labels; each stage is left out once."""
    owner = np.array([stages.index(FIGURES[name]) for name in names])
    gone = np.stack([~here[:, owner == stage].any(axis=1) for stage in range(len(stages))], axis=1)
    blocks, weights = [], []
    for left_out in (None, *range(len(stages))):
        missing = gone.copy()
        if left_out is not None:
            missing[:, left_out] = True
        kept = np.where(missing[:, owner], 0.0, values)
        blocks.append(np.hstack([np.ones((len(values), 1)), missing, kept]))
        weights.append(np.full(len(values), 1.0 if left_out is None else 0.25))
    repeats = len(stages) + 1
    return np.vstack(blocks), np.concatenate(weights), np.tile(is_same_place.astype(np.float64), repeats)


def _non_negative_logistic(
    design: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64], *, free: int
) -> NDArray[np.float64]:
    """Return the solution with columns from ``free`` on at least 0: the most negative is taken out until none is."""
    used = np.ones(design.shape[1], np.bool_)
    while True:
        solution = np.zeros(design.shape[1])
        solution[used] = _logistic(design[:, used], labels, weights)
        bounded = np.where(np.arange(len(solution)) >= free, solution, 0.0)
        if bounded.min() >= 0:
            return solution
        used[int(np.argmin(bounded))] = False


def _logistic(
    design: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the ridge logistic regression by Newton's method; the first column, the bias, is not penalised."""
    solution = np.zeros(design.shape[1])
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = 1e-6
    for _ in range(_ITERATIONS):
        said = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        gradient = design.T @ (weights * (labels - said)) - penalty * solution
        curvature = (design * (weights * said * (1 - said))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        solution = solution + step * min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < _CONVERGED:
            break
    return solution
