"""How weights move: the learning rate over the steps and for each part, limited gradients, averaged weights."""

import math

import pytest
import torch
from made_up_places import small_values
from torch import nn

from vpr_ros.encoders.models.network_spec import HeadSpec, NetworkSpec
from vpr_ros.encoders.models.place_network import PlaceNetwork
from vpr_ros.training.config import LossConfig, OptimizerConfig
from vpr_ros.training.config_file import config_of_values
from vpr_ros.training.losses import PlaceLoss
from vpr_ros.training.schedule import build_optimizer, rate_factor
from vpr_ros.training.train import train
from vpr_ros.training.weight_average import WeightAverage

pytest.importorskip("pytorch_metric_learning")


def config_of(**over):
    return config_of_values(small_values(**over), "test")


def factors(steps, **schedule):
    config = config_of(schedule=schedule, sampling={"steps": 10}, epochs=4)
    return [rate_factor(config, step) for step in steps]


def test_the_rate_rises_from_nothing_to_its_highest_over_the_warm_up():
    assert factors((0, 1, 2, 3, 4, 39), kind="constant", warm_up_steps=4) == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_cosine_falls_from_the_highest_rate_to_what_is_left_at_the_end():
    middle, end = factors((20, 40), kind="cosine", warm_up_steps=0, final_factor=0.1)

    assert factors((4,), kind="cosine", warm_up_steps=4) == [1]
    assert (middle, end) == (pytest.approx(0.1 + 0.9 / 2), pytest.approx(0.1))
    assert factors((10,), kind="cosine", warm_up_steps=0, final_factor=0) == [pytest.approx(0.5 + math.sqrt(0.125))]


def test_steps_multiply_the_rate_at_each_milestone():
    found = factors((9, 10, 29, 30), kind="steps", warm_up_steps=0, milestones=[1, 3], factor=0.3)

    assert found == pytest.approx([1, 0.3, 0.3, 0.09])


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_backbone_and_proxies_have_rates_of_their_own(kind):
    network = PlaceNetwork(NetworkSpec("efficientnet-lite0", (HeadSpec("mixvpr", dim=8, depth=1),), input_size=64))
    loss = PlaceLoss(LossConfig("cosface"), classes=3, dim=8)

    optimizer = build_optimizer(network, loss, OptimizerConfig(kind, 0.01, backbone_factor=0.2, proxy_factor=50))

    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for part, rate in ((network.heads, 0.01), (network.backbone, 0.002), (loss, 0.5)):
        found = [rates[id(parameter)] for parameter in part.parameters()]
        assert found
        assert found == pytest.approx([rate] * len(found))


def test_averaged_weights_follow_slower_the_more_steps_there_were_up_to_the_decay():
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = WeightAverage(module, 0.15)
    nn.init.ones_(module.weight)

    seen = []
    for _ in range(3):
        average.update(module)
        seen.append(float(average.weights["weight"]))

    # What is left of the zero: 1/10 of it, then 0.15 (2/11 is more), then 0.15 again.
    assert seen == pytest.approx([1 - 0.1, 1 - 0.1 * 0.15, 1 - 0.1 * 0.15**2])


# Plain steps down the gradient, so that what a step does to the weights can be said beforehand.
PLAIN_STEPS = {
    "optimizer": {"kind": "sgd", "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 1.0},
    "schedule": {"kind": "constant", "warm_up_steps": 0},
    "sampling": {"places": 4, "views": 2, "steps": 1},
}


def checkpoint_of(folder, name, **over):
    train(config_of(**PLAIN_STEPS | over), folder, folder / name)
    return torch.load(folder / name / "last.ckpt", weights_only=True)


def moved(one, other):
    """Length of all that differs between two networks' weights."""
    weights, others = (
        torch.cat([v.flatten() for v in kept["state_dict"].values() if v.is_floating_point()]) for kept in (one, other)
    )
    return float((weights.double() - others.double()).norm())


def test_gradients_are_made_no_longer_than_the_clip_norm(manifest_folder):
    start = checkpoint_of(manifest_folder, "start", epochs=0)
    free = checkpoint_of(manifest_folder, "free")
    clipped = checkpoint_of(manifest_folder, "clipped", optimizer=PLAIN_STEPS["optimizer"] | {"clip_norm": 0.01})

    assert moved(start, free) > 0.02
    assert moved(start, clipped) == pytest.approx(0.01, rel=0.01)


def test_what_comes_out_are_averaged_weights(manifest_folder):
    start = checkpoint_of(manifest_folder, "start", epochs=0)
    end = checkpoint_of(manifest_folder, "end", average_decay=0.9)

    exported = torch.load(manifest_folder / "end" / "small.pt", weights_only=True)["state_dict"]
    for name, value in exported.items():
        if value.is_floating_point():
            between = 0.1 * start["state_dict"][name] + 0.9 * end["state_dict"][name]  # one step: a tenth is kept
            torch.testing.assert_close(value, between)
    assert moved(end, {"state_dict": exported}) > 1e-3


def test_a_training_follows_its_schedule(manifest_folder):
    config = config_of(
        schedule={"kind": "steps", "warm_up_steps": 4, "milestones": [2], "factor": 0.5},
        optimizer={"learning_rate": 1e-3},
        sampling={"steps": 3},
        epochs=3,
    )

    result = train(config, manifest_folder, manifest_folder / "out")

    # Of the last step of each epoch: the third of four that warm up, the highest, and half of it.
    assert [epoch.rate for epoch in result.epochs[1:]] == pytest.approx([0.75e-3, 1e-3, 0.5e-3])
