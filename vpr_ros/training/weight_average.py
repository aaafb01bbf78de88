"""Averages of weights: of a training's steps, and of its end and its beginning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average (Polyak & Juditsky 1992) of all floating-point weights and buffers.

    It finds places better than the last step's weights.

    The first steps count more: the decay of step n is min(decay, (1 + n) / (10 + n)), as TensorFlow's has it.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start at the network's weights; ``decay`` 0 follows them at once."""
        self.weights = copied_weights(network)
        self._decay = decay
        self.steps = 0

    def update(self, network: nn.Module) -> None:
        """Move towards the network's weights, once a step."""
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps)) if self._decay else 0.0
        self.steps += 1
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    self.weights[name].lerp_(value, 1 - decay)
                else:
                    self.weights[name].copy_(value)

    def restore(self, weights: Mapping[str, Tensor], steps: int) -> None:
        """Go on from kept weights.

        Raises:
            KeyError: One is not among them.
        """
        self.steps = steps
        for name, value in self.weights.items():
            value.copy_(weights[name])

    @contextmanager
    def worn_by(self, network: nn.Module) -> Iterator[None]:
        """Let a network wear the averaged weights for a while."""
        own = copied_weights(network)
        network.load_state_dict(self.weights)
        try:
            yield
        finally:
            network.load_state_dict(own)


def copied_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's weights and buffers."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def move_towards(network: nn.Module, weights: Mapping[str, Tensor], share: float) -> None:
    """Replace a share of a network's floating-point weights and buffers by others of the same network.

    Between the weights that a network was trained from and those that it was trained to lie some that keep what was
    learned and lose less of what the first could tell apart (WiSE-FT: Wortsman et al., Robust fine-tuning of zero-shot
    models, CVPR 2022).
    """
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(weights[name].to(value.device), share)
