"""Losses of deep metric learning: pytorch-metric-learning's, and the quadruplet loss, which it lacks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.training.config import PROXY_LOSSES, LossConfig
from vpr_ros.training.errors import TrainingError


class PlaceLoss(nn.Module):
    """A loss with its miner.

    ``forward`` takes descriptors (n, dim), the place of each within the batch (n,) and its class in the training set
    (n,), and returns a scalar.

    Attributes:
        loss: The loss of the library, or ours; its parameters are the proxies.
    """

    def __init__(self, config: LossConfig, *, classes: int, dim: int) -> None:
        """Build it.

        Args:
            config: Which.
            classes: Classes of the training set, for proxies.
            dim: Length of a descriptor, for proxies.

        Raises:
            TrainingError: The library is not installed, or broken.
        """
        super().__init__()
        self.loss = _built(config, classes, dim)
        self._miner = _miner(config)
        self._by_class = config.kind in PROXY_LOSSES

    def forward(self, descriptors: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch."""
        with torch.autocast(descriptors.device.type, enabled=False):  # exponentials of fifty want float32
            descriptors = descriptors.float()
            if self._by_class:
                result: Tensor = self.loss(descriptors, classes)
            elif self._miner is None:
                result = self.loss(descriptors, labels)
            else:
                result = self.loss(descriptors, labels, self._miner(descriptors, labels))
        return result


class QuadrupletLoss(nn.Module):
    """Quadruplet loss (Chen et al., CVPR 2017) with fixed margins, which do for vectors of unit length.

    Mean over all quadruplets of max(0, d_ij - d_ik + margin) plus mean of max(0, d_ij - d_lk + second_margin): d are
    squared distances; i and j are one place, k and l two further, different ones. The second term, over all pairs of
    negatives, needs memory in the square of positives times negatives: 0.4 GB at 30 places of 4 views.
    """

    def __init__(self, margin: float, second_margin: float) -> None:
        """Take the margins; the second is the weaker."""
        super().__init__()
        self._margin = margin
        self._second_margin = second_margin

    def forward(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; 0 with a gradient of 0 where the batch holds fewer than three places."""
        unit = nn.functional.normalize(descriptors)
        squared = 2 - 2 * unit @ unit.T
        same = labels[:, None] == labels[None]
        anchor, positive = torch.where(same.triu(1) | same.tril(-1))
        left, right = torch.where((~same).triu(1))
        close = squared[anchor, positive]
        first = torch.relu(close[:, None] - squared[anchor] + self._margin)
        second = torch.relu(close[:, None] - squared[left, right][None] + self._second_margin)
        place, others = labels[anchor][:, None], (labels[left][None], labels[right][None])
        return _mean_of(first, ~same[anchor]) + _mean_of(second, (others[0] != place) & (others[1] != place))


def _mean_of(values: Tensor, kept: Tensor) -> Tensor:
    return (values * kept).sum() / kept.sum().clamp(min=1)


def _built(config: LossConfig, classes: int, dim: int) -> nn.Module:
    if config.kind == "quadruplet":
        return QuadrupletLoss(_or(config.margin, 0.2), config.second_margin)
    try:
        from pytorch_metric_learning import losses
    except Exception as error:  # A broken library can raise anything.
        raise TrainingError(
            f"loss '{config.kind}' needs pytorch-metric-learning: {first_line(error)}; 'pip install "
            "pytorch-metric-learning'"
        ) from error
    table: dict[str, Callable[[], nn.Module]] = {
        "multi_similarity": lambda: losses.MultiSimilarityLoss(config.alpha, config.beta, config.base),
        "contrastive": lambda: losses.ContrastiveLoss(config.positive_margin, config.negative_margin),
        "triplet": lambda: losses.TripletMarginLoss(_or(config.margin, 0.1)),
        "ntxent": lambda: losses.NTXentLoss(config.temperature),
        "proxy_nca": lambda: losses.ProxyNCALoss(classes, dim, softmax_scale=_or(config.scale, 1)),
        "cosface": lambda: losses.CosFaceLoss(
            classes, dim, margin=_or(config.margin, 0.35), scale=_or(config.scale, 64)
        ),
        "arcface": lambda: losses.ArcFaceLoss(
            classes, dim, margin=_or(config.margin, 28.6), scale=_or(config.scale, 64)
        ),
    }
    return table[config.kind]()


def _miner(config: LossConfig) -> nn.Module | None:
    """Return what chooses pairs or triplets; None where the loss takes all."""
    if config.kind not in ("multi_similarity", "triplet") or (config.kind == "triplet" and config.mining == "all"):
        return None
    from pytorch_metric_learning import miners

    miner: nn.Module
    if config.kind == "multi_similarity":
        from pytorch_metric_learning.distances import CosineSimilarity

        miner = miners.MultiSimilarityMiner(config.epsilon, distance=CosineSimilarity())
    elif config.mining == "hard":
        miner = miners.BatchHardMiner()
    else:
        # Loss and miner have a margin each; both are the same one.
        miner = miners.TripletMarginMiner(_or(config.margin, 0.1), type_of_triplets="semihard")
    return miner


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value
