"""The thresholds of every stage, in one place, and the policy: from what the stages saw to one probability."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from vpr_ros.core import Recipe, VprError, share_path
from vpr_ros.core.settings import setting


class PolicyError(VprError):
    """A policy that can't be read, or that belongs to another encoder."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What each stage asks for. How the values were found: docs/thresholds.md."""

    exclude_recent_s: float = setting(5.0, "A place younger than this is the recent past and closes no loop.", low=0.0)
    exclude_recent_keyframes: int = setting(8, "The last this many keyframes are the recent past.", low=0)
    exclude_travel_m: float = setting(
        2.0, "With odometry: a place is the recent past until the camera has travelled this far.", low=0.0
    )
    stay_similarity: float = setting(
        0.5,
        "Without odometry: a place is not left while every keyframe since has at least this cosine to it.",
        low=-1.0,
        high=1.0,
    )
    return_contrast: float = setting(
        0.1,
        "A place is left once a keyframe since looked less like it than the query does, by this much cosine.",
        low=0.0,
        high=2.0,
    )
    top_k: int = setting(10, "Candidates judged for each query.", low=1, high=1000)
    min_similarity: float = setting(0.15, "Similarity stage: cosine of the two descriptors.", low=-1.0, high=1.0)
    min_margin: float = setting(
        -0.1, "Margin stage: similarity over that of the best distinct rival of the same query.", low=-2.0, high=2.0
    )
    min_lone_margin: float = setting(
        0.03,
        "Relocalization: the same margin, asked of a single image, which no neighbour vouches for.",
        low=-2.0,
        high=2.0,
    )
    background_similarity: float = setting(
        0.35,
        "Cosine that two different places of one environment reach; stands for the rival where the map has none yet.",
        low=-1.0,
        high=1.0,
    )
    neighbour_keyframes: int = setting(5, "Places this close in order are one neighbourhood, not rivals.", low=0)
    neighbour_m: float = setting(
        3.0, "With odometry: places of one session this close are one neighbourhood, not rivals.", low=0.0
    )
    sequence_length: int = setting(
        5,
        "Sequence stage: consecutive keyframes that are looked at; closures may come this many late.",
        low=1,
        high=100,
    )
    min_odometry_reserve_m: float = setting(
        0.0,
        "Odometry stage: what must be left of the drift that odometry is granted; below zero lets more pass.",
        low=-1e9,
        high=1e3,
    )
    max_view_angle_deg: float = setting(
        50.0, "Geometry stage: two views that are turned farther from each other close no loop.", low=0.0, high=180.0
    )
    odometry_drift: float = setting(
        0.1,
        "Odometry stage: most that odometry is off, as a share of the way travelled and of the angle turned.",
        low=0.0,
        high=1.0,
    )
    max_odometry_turn_deg: float = setting(
        50.0,
        "Odometry stage: two views may be turned this far from what odometry says, beside its drift.",
        low=0.0,
        high=1000.0,
    )
    same_place_m: float = setting(
        3.0,
        "Geometry stage: two cameras that a metric pose puts farther apart close no loop. Odometry stage: the two of "
        "one place stand at most this far apart, where no pose says better.",
        low=0.0,
    )
    agreement_window: int = setting(
        5, "Agreement stage: closures of the last this many keyframes have a say.", low=0, high=100
    )
    best_view_m: float = setting(
        1.0,
        "Sequence stage: the keyframe that sees the match best is at most this far away, and the loop from the one its "
        "neighbours see, asked where odometry vouches; closures come four keyframes later.",
        low=0.0,
        high=1e3,
    )
    min_rerank_score: float = setting(
        0.08,
        "Rerank stage: how well patches agree; nine of ten pairs of different places stay below.",
        low=0.0,
        high=1.0,
    )
    verify_candidates: int = setting(3, "Rerank stage: this many best places of a query are looked at further.", low=1)
    min_inliers: int = setting(0, "Geometry stage: local features that agree; fewer are refused outright.", low=0)
    min_lone_inliers: int = setting(
        20,
        "Sequence stage: features that agree, asked where no odometry vouches; fewer fix no pose.",
        low=0,
    )
    min_sequence_margin: float = setting(
        0.1,
        "Sequence stage: mean margin over the best distinct rival, asked where no odometry and no metric pose vouch.",
        low=-2.0,
        high=2.0,
    )
    min_support: float = setting(
        0.25,
        "Sequence stage: share of inliers times their coverage, in the mean of the three best neighbouring keyframes, "
        "asked where no odometry vouches.",
        low=0.0,
        high=1.0,
    )
    target_precision: float = setting(
        0.999, "Probability stage: share of accepted closures that shall be right.", low=0.5, high=0.9999
    )

    @property
    def single_image_margin(self) -> float:
        """What the margin stage asks of a single image."""
        return max(self.min_margin, self.min_lone_margin)


def thresholds_by(policy: Policy, thresholds: Thresholds, given: Collection[str] = ()) -> Thresholds:
    """Return thresholds with those of a policy's encoder in place of defaults; what a user chose stays.

    Args:
        policy: Knows where cosines of its encoder lie.
        thresholds: What holds so far; what differs from the defaults was chosen.
        given: Names that were chosen even where the value is the default's.
    """
    defaults = Thresholds()
    own = {
        name: value
        for name, value in policy.thresholds.items()
        if name not in given and _is_default(name, thresholds, defaults)
    }
    return replace(thresholds, **own)  # type: ignore[arg-type]  # its names are checked


def _is_default(name: str, thresholds: Thresholds, defaults: Thresholds) -> bool:
    return bool(getattr(thresholds, name) == getattr(defaults, name))


# What the stages see, and which stages' absence makes a figure unknown.
FIGURES: dict[str, str] = {
    "similarity": "similarity",
    "margin": "margin",
    "rerank": "rerank",
    "sequence": "sequence",
    "support": "sequence",
    "inliers": "geometry",
    "inlier_ratio": "geometry",
    "coverage": "geometry",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Logistic regression from what the stages saw to the probability that two keyframes show one place.

    Attributes:
        name: Where it comes from, for people.
        encoder_sha256: Weights of the encoder whose similarities it knows; empty for any.
        curve: Log-odds and the probability they turned out to mean, both ascending, straight between and flat beyond;
            empty where log-odds are taken at their word.
        accepted: Probability and the share that was right of all pairs at least as probable, both ascending; empty
            where a probability is asked to reach the precision itself.
        bias: Log-odds before anything was seen.
        weights: Log-odds a unit of each figure; a figure that is not named has no say.
        absent: Log-odds where a stage did not run, in place of its figures.
        aided: What takes this one's place for the pairs that odometry allows: it leaves few of the look-alikes, so the
            same looks mean more. None where nothing was learned of them.
        lone: What takes this one's place for a single image, which no neighbours in time speak for. None where nothing
            was learned of them.
        thresholds: Where cosines of this encoder lie, by the names of :class:`Thresholds`: takes the place of defaults,
            which are those of the default encoder.

    Raises:
        PolicyError: A figure or stage that does not exist, or a number that is none.
    """

    name: str
    bias: float
    weights: Mapping[str, float]
    absent: Mapping[str, float] = field(default_factory=dict)
    encoder_sha256: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    accepted: tuple[tuple[float, float], ...] = ()
    aided: Policy | None = None
    lone: Policy | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the names and numbers once."""
        unknown = set(self.weights) - set(FIGURES) | set(self.absent) - set(FIGURES.values())
        if unknown:
            raise PolicyError(f"policy '{self.name}' weighs {min(unknown)}; there are {', '.join(FIGURES)}")
        strange = set(self.thresholds) - {each.name for each in fields(Thresholds)}
        if strange:
            raise PolicyError(f"policy '{self.name}' sets {min(strange)}, which is no threshold")
        if not all(map(math.isfinite, (self.bias, *self.weights.values(), *self.absent.values()))):
            raise PolicyError(
                f"policy '{self.name}' holds NaN or infinite weights; fit it again with vpr_ros calibrate"
            )
        ascends = all(a[0] < b[0] for a, b in pairwise(self.curve)) and _ascends_to_1([y for _, y in self.curve])
        if not ascends or not all(math.isfinite(x) for x, _ in self.curve):
            raise PolicyError(
                f"policy '{self.name}' has a curve that does not ascend within 0 to 1; run 'vpr_ros calibrate' again"
            )
        if not all(_ascends_to_1(column) for column in zip(*self.accepted, strict=True)):
            raise PolicyError(
                f"policy '{self.name}' has accepted probabilities that do not ascend within 0 to 1; "
                "run 'vpr_ros calibrate' again"
            )

    def of_single_images(self) -> Policy:
        """Return the policy of an image without neighbours in time.

        What share of closures is right from some probability on was measured with the keyframes around them, so a
        single image's own probability has to reach the precision.
        """
        return replace(self.lone or self, accepted=())

    def scale(self, figures: Mapping[str, float]) -> Policy:
        """Return the policy that weighs a pair: ``aided`` where odometry was asked and allows it, else this one."""
        return self.aided if self.aided is not None and figures.get("odometry", 0.0) > 0 else self

    def log_odds(self, figures: Mapping[str, float]) -> float:
        """Return the log-odds of what was seen; a figure that is missing counts as its stage being absent."""
        if self.scale(figures) is not self:
            return self.scale(figures).log_odds({**figures, "odometry": 0.0})
        gone = {stage for name, stage in FIGURES.items() if name in self.weights and name not in figures}
        seen = sum(w * figures[name] for name, w in self.weights.items() if FIGURES[name] not in gone)
        return self.bias + seen + sum(self.absent.get(stage, 0.0) for stage in gone)

    def threshold(self, target_precision: float, figures: Mapping[str, float]) -> float:
        """Return the probability from which on the accepted closures among such pairs reach a precision as a whole.

        That share was counted among pairs whose sequence margin was asked: one that a metric pose spared it must reach
        the precision by itself.
        """
        if self.scale(figures) is not self:
            return self.scale(figures).threshold(target_precision, {})
        if figures.get("without_margin"):
            return target_precision
        return next((least for least, precision in self.accepted if precision >= target_precision), target_precision)

    def probability(self, figures: Mapping[str, float]) -> float:
        """Return the probability that two keyframes show one place, in [0, 1]."""
        if self.scale(figures) is not self:
            return self.scale(figures).probability({**figures, "odometry": 0.0})
        log_odds = self.log_odds(figures)
        if not self.curve:
            return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))
        said, meant = np.array(self.curve).T
        return float(np.interp(log_odds, said, meant))

    def highest(self, figures: Mapping[str, float]) -> float:
        """Return the highest probability that such pairs are given; few pairs to learn from leave it below 1."""
        curve = self.scale(figures).curve
        return curve[-1][1] if curve else 1.0

    def explain(self, figures: Mapping[str, float]) -> str:
        """Return the figures that have a say, in words."""
        weights = self.scale(figures).weights
        said = (f"{_WORDS.get(name, name)} {_shown(name, figures[name])}" for name in weights if name in figures)
        return ", ".join(said) or "nothing"


def _ascends_to_1(values: Sequence[float]) -> bool:
    """Say whether values ascend within 0 to 1; NaN does not."""
    return all(0 <= value <= 1 for value in values) and all(a <= b for a, b in pairwise(values))


_WORDS = {"inlier_ratio": "share of inliers", "sequence": "sequence margin", "support": "support by neighbours"}


def _shown(name: str, value: float) -> str:
    return f"{math.expm1(value):.0f}" if name == "inliers" else f"{value:.2f}"


# For an encoder nobody has calibrated: only what its neighbours in time say, as in the sequence stage's own scale, and
# how much geometry agrees. The numbers are cautious guesses; vpr_ros calibrate replaces them.
UNCALIBRATED = Policy(
    name="uncalibrated",
    bias=-2.0,
    weights={"sequence": 20.0, "inliers": 1.5, "coverage": 4.0},
    absent={"geometry": 0.0, "sequence": 0.0},
)


# What a file that is another YAML, or hardly one, makes the two readers raise beside errors of their own.
_NOT_A_POLICY = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def read_policy(path: Path) -> Policy:
    """Read a policy as :func:`policy_as_yaml` writes it.

    Raises:
        PolicyError: It can't be read, or does not fit.
    """
    import dacite
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return dacite.from_dict(Policy, content["policy"], dacite.Config(strict=True, cast=[float, tuple]))
    except (OSError, yaml.YAMLError, dacite.DaciteError, *_NOT_A_POLICY) as error:
        seen = " ".join(str(error).split())
        raise PolicyError(
            f"can't read policy {path}: {seen}; expected a file that 'vpr_ros calibrate' wrote"
        ) from error


def policy_for(recipe: Recipe, file: str = "") -> Policy:
    """Return the policy of a file, or the one that is shipped for an encoder, or one that is not calibrated.

    Raises:
        PolicyError: The file can't be read, or belongs to another encoder.
    """
    if not file:
        try:
            path = share_path(f"weights/{recipe.name}-policy.yaml")
        except FileNotFoundError:
            return UNCALIBRATED
    policy = read_policy(Path(file).expanduser() if file else path)
    if policy.encoder_sha256 not in ("", recipe.weights_sha256):
        if not file:
            return UNCALIBRATED
        raise PolicyError(
            f"policy {file} was calibrated for weights {policy.encoder_sha256[:12]}, the encoder '{recipe.name}' has "
            f"{recipe.weights_sha256[:12]}; calibrate anew with 'vpr_ros calibrate SOURCE'"
        )
    return policy


def policy_notes(recipe: Recipe, file: str = "") -> Mapping[str, object]:
    """Return what the file of :func:`policy_for` says of how it was found; empty where no file is taken or it is mute.

    Raises:
        PolicyError: As :func:`policy_for`.
    """
    import yaml

    if policy_for(recipe, file) is UNCALIBRATED:
        return {}
    path = Path(file).expanduser() if file else share_path(f"weights/{recipe.name}-policy.yaml")
    notes = yaml.safe_load(path.read_text(encoding="utf-8")).get("notes")
    return notes if isinstance(notes, dict) else {}


def policy_as_yaml(policy: Policy, notes: Mapping[str, object]) -> str:
    """Return a policy as a file, with notes for people on how it was found."""
    import yaml

    content = {"policy": _as_mapping(policy), "notes": dict(notes)}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))


def _as_mapping(policy: Policy) -> dict[str, object]:
    content: dict[str, object] = {
        "name": policy.name,
        "encoder_sha256": policy.encoder_sha256,
        "bias": round(policy.bias, 4),
        "weights": {name: round(value, 4) for name, value in policy.weights.items()},
        "absent": {name: round(value, 4) for name, value in policy.absent.items()},
        "curve": [[round(x, 4), round(y, 5)] for x, y in policy.curve],
        "accepted": [[round(x, 5), round(y, 5)] for x, y in policy.accepted],
    }
    if policy.thresholds:
        content["thresholds"] = dict(policy.thresholds)
    parts = {"aided": policy.aided, "lone": policy.lone}
    return {**content, **{name: _as_mapping(part) for name, part in parts.items() if part is not None}}
