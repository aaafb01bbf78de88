"""What a training config says: frozen values with every default in code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from vpr_ros.encoders.models.network_spec import NetworkSpec, moved_further
from vpr_ros.training.datasets.specs import DataSpec
from vpr_ros.training.errors import TrainingError

LossKind = Literal[
    "multi_similarity",
    "contrastive",
    "triplet",
    "quadruplet",
    "proxy_nca",
    "ntxent",
    "cosface",
    "arcface",
]
TripletMining = Literal["all", "hard", "semihard"]
OptimizerKind = Literal["adamw", "sgd"]
ScheduleKind = Literal["constant", "cosine", "steps"]
Precision = Literal["fp32", "bf16", "fp16"]

# Losses with a vector for each place of the training set.
PROXY_LOSSES = ("proxy_nca", "cosface", "arcface")
_LARGEST = 2**63 - 1  # the largest whole number that torch takes


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Which loss, and its numbers; those of other losses are left alone.

    Attributes:
        kind: Name of the loss. ``ntxent`` is InfoNCE.
        alpha: Multi-similarity: sharpness of the positives (1: MixVPR's).
        beta: Multi-similarity: sharpness of the negatives.
        base: Multi-similarity: similarity that divides them. MixVPR's is 0.0; the library's own default is 0.5.
        epsilon: Multi-similarity: margin of its miner.
        positive_margin: Contrastive: distance up to which positives cost nothing.
        negative_margin: Contrastive: distance from which negatives cost nothing.
        margin: Triplet and quadruplet (first term); CosFace; ArcFace, where it is degrees. None takes the usual:
            0.1, 0.2, 0.35, 28.6.
        second_margin: Quadruplet: of the term whose negatives share no view with the positives.
        mining: Triplet: all triplets of a batch, the hardest of each anchor, or those within the margin.
        temperature: NT-Xent.
        scale: Proxy-NCA, CosFace, ArcFace. None takes the usual: 1, 64, 64.
        on_heads: Weight of the same loss on each head, beside that on the descriptor, one number a head; a head
            without weights of its own teaches the backbone. Empty for none.
        on_joined: Weight of the same loss on the joined heads, before a projection.
    """

    kind: LossKind = "multi_similarity"
    alpha: float = 1.0
    beta: float = 50.0
    base: float = 0.0
    epsilon: float = 0.1
    positive_margin: float = 0.0
    negative_margin: float = 1.0
    margin: float | None = None
    second_margin: float = 0.1
    mining: TripletMining = "all"
    temperature: float = 0.07
    scale: float | None = None
    on_heads: tuple[float, ...] = ()
    on_joined: float = 0.0

    def __post_init__(self) -> None:
        """Check the values once."""
        for name in ("alpha", "beta", "temperature", "scale"):
            value = getattr(self, name)
            _check(value is None or value > 0, f"loss.{name}", value, "above 0")
        for name in ("epsilon", "positive_margin", "negative_margin", "margin", "second_margin", "on_joined"):
            value = getattr(self, name)
            _check(value is None or value >= 0, f"loss.{name}", value, "at least 0")
        _check(all(weight >= 0 for weight in self.on_heads), "loss.on_heads", self.on_heads, "at least 0")
        if self.kind in PROXY_LOSSES and (any(self.on_heads) or self.on_joined):
            raise TrainingError(
                f"loss.kind is '{self.kind}', whose proxies have the length of the descriptor; expected on_heads and "
                "on_joined 0, or a loss without proxies"
            )


@dataclass(frozen=True, slots=True)
class TeachingConfig:
    """Networks trained before, whose cosines are followed beside the loss.

    Attributes:
        teachers: Their weights files, as ``vpr_ros train`` writes them; empty for none.
        weight: What the mean squared difference of cosines is multiplied with.
    """

    teachers: tuple[str, ...] = ()
    weight: float = 100.0

    def __post_init__(self) -> None:
        """Check the values once."""
        _check(self.weight > 0, "teaching.weight", self.weight, "above 0")


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """How weights are moved.

    Attributes:
        kind: AdamW, or SGD with momentum.
        learning_rate: Of heads and projection, at its highest.
        backbone_factor: What the backbone's rate is of it.
        proxy_factor: What the rate of a loss's proxies is of it.
        weight_decay: Decoupled for AdamW.
        momentum: SGD's.
        clip_norm: Largest norm of all gradients together; 0 for no limit.
    """

    kind: OptimizerKind = "adamw"
    learning_rate: float = 2e-4
    backbone_factor: float = 1.0
    proxy_factor: float = 100.0
    weight_decay: float = 1e-3
    momentum: float = 0.9
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        """Check the values once."""
        _check(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "above 0")
        for name in ("backbone_factor", "proxy_factor", "weight_decay", "clip_norm"):
            _check(getattr(self, name) >= 0, f"optimizer.{name}", getattr(self, name), "at least 0")
        _check(0 <= self.momentum < 1, "optimizer.momentum", self.momentum, "0 to below 1, such as 0.9")


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """How the learning rate goes over the steps.

    Attributes:
        kind: After the warm-up.
        warm_up_steps: Steps of a linear rise from 0.
        milestones: ``steps``: epochs at which the rate is multiplied.
        factor: ``steps``: by this.
        final_factor: ``cosine``: what is left of the rate at the end.
    """

    kind: ScheduleKind = "cosine"
    warm_up_steps: int = 20
    milestones: tuple[int, ...] = (5, 10, 15, 25, 45)
    factor: float = 0.3
    final_factor: float = 0.02

    def __post_init__(self) -> None:
        """Check the values once."""
        for name in ("warm_up_steps", "factor", "final_factor"):
            _check(getattr(self, name) >= 0, f"schedule.{name}", getattr(self, name), "at least 0")


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How batches are drawn.

    Attributes:
        places: P, places a batch.
        views: K, views of each.
        neighbours: Share of places drawn from a site, panorama or city that is in the batch already, far enough away to
            be another place: hard negatives. With 1 a set's part of a batch stays within one of them.
        plain: Share of views without any change of appearance.
        steps: Batches an epoch.
    """

    places: int = 60
    views: int = 4
    neighbours: float = 0.3
    plain: float = 0.15
    steps: int = 50

    def __post_init__(self) -> None:
        """Check the values once."""
        _check(self.places >= 2, "sampling.places", self.places, "at least 2, or there are no negatives")
        _check(self.views >= 2, "sampling.views", self.views, "at least 2, or there are no positives")
        _check(self.steps >= 1, "sampling.steps", self.steps, "at least 1")
        for name in ("neighbours", "plain"):
            _check(0 <= getattr(self, name) <= 1, f"sampling.{name}", getattr(self, name), "0 to 1")


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Whether maps of the frozen layers are computed once and kept.

    Attributes:
        enabled: Needs ``freeze_through``; heads and last stages then train many times as fast.
        folder: Where; relative to the output folder.
        renderings: Appearances of each view that are kept, the plain one among them.
    """

    enabled: bool = False
    folder: str = "cache"
    renderings: int = 3

    def __post_init__(self) -> None:
        """Check the values once."""
        _check(self.renderings >= 1, "cache.renderings", self.renderings, "at least 1")


@dataclass(frozen=True, slots=True)
class FittingConfig:
    """What is computed of a linear projection without gradients, from training views.

    Attributes:
        axes_first: Whether it begins as the principal axes of the joined heads, instead of random weights.
        beside: Length of each head's part that is joined to the projected vector (of length 1) after the training, one
            number a head, 0 for none; both are then turned to their strongest axes, as many as the projection has.
        centered: Whether what ``beside`` joins, the projected vector included, is taken less its mean over the training
            views: what all images share says nothing of the place, and GeM of an untouched stage is mostly that.
        moved_columns: What takes the place of the heads' own ``moved_columns`` after the last step, before ``beside``
            joins: more distances than the steps have time for. Empty leaves them as they were trained.
    """

    axes_first: bool = False
    beside: tuple[float, ...] = ()
    centered: bool = False
    moved_columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the values once."""
        _check(all(length >= 0 for length in self.beside), "fitting.beside", self.beside, "at least 0")
        for name in ("centered", "moved_columns"):
            if getattr(self, name) and not any(self.beside):
                raise TrainingError(f"fitting.{name} is set, but fitting.beside joins nothing; expected a length")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What is learned from, and what is judged on.

    Attributes:
        root: Folder that the data sets' paths are relative to; relative to the config file.
        train: Data sets to learn from.
        validation: Data sets to judge on after each epoch; their places must be none of ``train``.
    """

    root: str = "."
    train: tuple[DataSpec, ...] = ()
    validation: tuple[DataSpec, ...] = ()

    def __post_init__(self) -> None:
        """Check what all layouts have."""
        for name, specs in (("train", self.train), ("validation", self.validation)):
            for number, spec in enumerate(specs):
                _check(0 < spec.share < math.inf, f"data.{name}[{number}].share", spec.share, "above 0")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """One training.

    Attributes:
        name: Of the encoder that comes out.
        network: What is trained.
        data: From what.
        out: Output folder, relative to the working directory.
        licence: Of the weights that come out: an SPDX identifier, or a sentence.
        backbone_weights: ``packaged``, ``random``, or a file in the backbone's own layout.
        init_from: Weights file or checkpoint of an earlier training to start from; empty for none.
        freeze_through: Name of the last backbone stage that does not learn; empty lets all learn.
        frozen_batch_norm: Whether BatchNorm statistics stay as they are in the stages that learn, too.
        loss: Which.
        teaching: By which networks.
        optimizer: Which.
        schedule: Of the learning rate.
        sampling: Of batches.
        cache: Of the frozen layers' maps.
        fitting: Of a linear projection, before and after the steps.
        epochs: How many, each of ``sampling.steps`` batches.
        seed: Of all that is drawn.
        precision: ``bf16`` and ``fp16`` run the network in half precision (fp16 on a GPU only).
        average_decay: Of the moving average of weights that is judged and kept; 0 takes the weights themselves.
        start_share: Share of the backbone's weights that, after the last step, is taken from where the training began
            (WiSE-FT, Wortsman et al. 2022); what is fitted is fitted after that.
        start_share_after: Name of the backbone stage after which stages go back; empty lets all do so.
        patience: Epochs without a better result after which the training ends; 0 for never.
        workers: Processes that make images.
        threads: Processor threads of torch; 0 leaves torch's choice.
        tensorboard: Whether curves are written for TensorBoard.
        stored_in_half: Whether both weight files hold large weights as float16, half the size; they run in float32.

    Raises:
        TrainingError: A value that can't be.
    """

    name: str
    network: NetworkSpec
    data: DataConfig
    out: str = "training"
    licence: str = "all rights reserved"
    backbone_weights: str = "packaged"
    init_from: str = ""
    freeze_through: str = ""
    frozen_batch_norm: bool = True
    loss: LossConfig = field(default_factory=LossConfig)
    teaching: TeachingConfig = field(default_factory=TeachingConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    fitting: FittingConfig = field(default_factory=FittingConfig)
    epochs: int = 10
    seed: int = 0
    precision: Precision = "fp32"
    average_decay: float = 0.0
    start_share: float = 0.0
    start_share_after: str = ""
    patience: int = 0
    workers: int = 0
    threads: int = 0
    tensorboard: bool = False
    stored_in_half: bool = False

    def __post_init__(self) -> None:
        """Check what concerns more than one group."""
        is_file_name = self.name.isprintable() and "/" not in self.name and 0 < len(self.name.strip().encode()) <= 200
        _check(is_file_name, "name", repr(self.name), "a file name of at most 200 bytes, such as mixvpr-lite")
        for count, most in (
            ("epochs", _LARGEST),
            ("patience", _LARGEST),
            ("seed", _LARGEST),
            ("workers", 1024),
            ("threads", 1024),
        ):
            expected = f"at least 0 and at most {most}"
            _check(0 <= getattr(self, count) <= most, count, getattr(self, count), expected)
        _check(0 <= self.average_decay < 1, "average_decay", self.average_decay, "0 to below 1, such as 0.99")
        _check(0 <= self.start_share <= 1, "start_share", self.start_share, "0 to 1, such as 0.25")
        _check(bool(self.data.train), "data.train", "empty", "at least one data set")
        if self.fitting != FittingConfig() and self.network.projection.kind != "linear":
            raise TrainingError(
                f"fitting is of a linear projection, and network.projection is '{self.network.projection.kind}'; "
                "expected kind: linear, or no fitting"
            )
        if self.start_share_after and not self.start_share:
            raise TrainingError("start_share is 0, expected above 0: start_share_after says which stages go back")
        if self.fitting.moved_columns:
            moved_further(self.network, self.fitting.moved_columns)
        heads = len(self.network.heads)
        for name, numbers in (("fitting.beside", self.fitting.beside), ("loss.on_heads", self.loss.on_heads)):
            _check(len(numbers) in (0, heads), name, numbers, f"a number for each of {heads} heads")
        if self.cache.enabled and not self.freeze_through:
            raise TrainingError(
                "cache.enabled is true, but nothing is frozen, so there is nothing to keep; expected freeze_through, "
                "such as blocks.4, or cache: {enabled: false}"
            )

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * self.sampling.steps


def _check(is_right: bool, name: str, value: object, expected: str) -> None:
    if not is_right:
        raise TrainingError(f"{name} is {value}, expected {expected}")
