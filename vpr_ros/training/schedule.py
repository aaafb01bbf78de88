"""The learning rate over the steps, and the optimizer's groups."""

from __future__ import annotations

import math

import torch
from torch import nn

from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.config import OptimizerConfig, TrainingConfig


def rate_factor(config: TrainingConfig, step: int) -> float:
    """Return what the learning rate of a step is of its highest value."""
    schedule = config.schedule
    if step < schedule.warm_up_steps:
        return (step + 1) / schedule.warm_up_steps
    if schedule.kind == "cosine":
        share = (step - schedule.warm_up_steps) / max(config.steps - schedule.warm_up_steps, 1)
        down = 0.5 * (1 + math.cos(math.pi * min(share, 1)))
        return schedule.final_factor + (1 - schedule.final_factor) * down
    if schedule.kind == "steps":
        epoch = step // config.sampling.steps
        return float(schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones))
    return 1.0


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the rate of each group to its share of the highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest_rate"] * factor


def build_optimizer(network: PlaceNetwork, loss: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimizer of what learns: heads, backbone and proxies with a rate each."""
    rate = config.learning_rate
    backbone = {id(parameter) for parameter in network.backbone.parameters()}
    groups = [
        (rate, [p for p in network.parameters() if id(p) not in backbone]),
        (rate * config.backbone_factor, list(network.backbone.parameters())),
        (rate * config.proxy_factor, list(loss.parameters())),
    ]
    learning = [
        {"params": kept, "lr": highest, "highest_rate": highest}
        for highest, parameters in groups
        if (kept := [p for p in parameters if p.requires_grad])
    ]
    if config.kind == "sgd":
        return torch.optim.SGD(learning, lr=rate, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(learning, lr=rate, weight_decay=config.weight_decay)
