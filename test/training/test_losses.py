"""Losses: values and gradients are the library's, or the formula's."""

from itertools import permutations

import numpy as np
import pytest
import torch

from vpr_ros.encoders.models.network_spec import HeadSpec, NetworkSpec, ProjectionSpec
from vpr_ros.encoders.models.place_network import PlaceNetwork, save_network
from vpr_ros.training.config import LossConfig, TeachingConfig
from vpr_ros.training.losses import PlaceLoss
from vpr_ros.training.teachers import Teachers
from vpr_ros.training.trainer import Learner

library = pytest.importorskip("pytorch_metric_learning")

CLASSES, DIM = 9, 8


@pytest.fixture
def batch():
    """Four places of three views, not of unit length."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 1, DIM, generator=generator)
    vectors = (centres + 0.8 * torch.randn(4, 3, DIM, generator=generator)).reshape(12, DIM)
    labels = torch.arange(4).repeat_interleave(3)
    return vectors, labels, labels + 5


def with_gradient(loss, vectors, *labels):
    leaf = vectors.clone().requires_grad_()
    value = loss(leaf, *labels)
    value.backward()
    return value.detach(), leaf.grad


def the_librarys(kind):
    """The library's own objects, put together by hand from its documentation."""
    from pytorch_metric_learning import distances, losses, miners

    return {
        "multi_similarity": (
            losses.MultiSimilarityLoss(alpha=1.0, beta=50, base=0.0),
            miners.MultiSimilarityMiner(epsilon=0.1, distance=distances.CosineSimilarity()),
        ),
        "contrastive": (losses.ContrastiveLoss(pos_margin=0, neg_margin=1), None),
        "triplet all": (losses.TripletMarginLoss(margin=0.1), None),
        "triplet hard": (losses.TripletMarginLoss(margin=0.1), miners.BatchHardMiner()),
        "triplet semihard": (
            losses.TripletMarginLoss(margin=0.1),
            miners.TripletMarginMiner(margin=0.1, type_of_triplets="semihard"),
        ),
        "ntxent": (losses.NTXentLoss(temperature=0.07), None),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["multi_similarity", "contrastive", "triplet all", "triplet hard", "triplet semihard", "ntxent"]
)
def test_value_and_gradient_of_a_loss_on_pairs_are_the_librarys(kind, batch):
    vectors, labels, classes = batch
    name, _, mining = kind.partition(" ")
    ours = PlaceLoss(LossConfig(kind=name, mining=mining or "all"), classes=CLASSES, dim=DIM)
    loss, miner = the_librarys(kind)

    value, gradient = with_gradient(ours, vectors, labels, classes)
    expected, expected_gradient = with_gradient(
        lambda v: loss(v, labels) if miner is None else loss(v, labels, miner(v, labels)), vectors
    )

    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("kind", ["proxy_nca", "cosface", "arcface"])
def test_value_and_gradient_of_a_loss_with_proxies_are_the_librarys(kind, batch):
    from pytorch_metric_learning import losses

    vectors, labels, classes = batch
    theirs = {
        "proxy_nca": lambda: losses.ProxyNCALoss(CLASSES, DIM, softmax_scale=1),
        "cosface": lambda: losses.CosFaceLoss(CLASSES, DIM, margin=0.35, scale=64),
        "arcface": lambda: losses.ArcFaceLoss(CLASSES, DIM, margin=28.6, scale=64),
    }[kind]()
    ours = PlaceLoss(LossConfig(kind=kind), classes=CLASSES, dim=DIM)
    ours.loss.load_state_dict(theirs.state_dict())

    value, gradient = with_gradient(ours, vectors, labels, classes)
    expected, expected_gradient = with_gradient(lambda v: theirs(v, classes), vectors)

    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    for (name, mine), (_, other) in zip(ours.loss.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, msg=name)


def test_multi_similarity_is_the_formula_with_base_zero(batch):
    """Wang et al. 2019, equations 11 to 15, in plain loops; the miner's choice included."""
    vectors, labels, classes = batch
    unit = (vectors / vectors.norm(dim=1, keepdim=True)).double().numpy()
    cosine, total = unit @ unit.T, 0.0
    for i in range(len(unit)):
        positives = [cosine[i, j] for j in range(len(unit)) if j != i and labels[j] == labels[i]]
        negatives = [cosine[i, j] for j in range(len(unit)) if labels[j] != labels[i]]
        hard_positives = [s for s in positives if s - 0.1 < max(negatives)]
        hard_negatives = [s for s in negatives if s + 0.1 > min(positives)]
        total += np.log(1 + sum(np.exp(-s) for s in hard_positives))
        total += np.log(1 + sum(np.exp(50 * s) for s in hard_negatives)) / 50

    value = PlaceLoss(LossConfig(), classes=CLASSES, dim=DIM)(vectors, labels, classes)

    assert float(value) == pytest.approx(total / len(unit), rel=1e-5)


def test_quadruplet_is_the_formula(batch):
    """Chen et al. 2017, equation 4, as means over all quadruplets, in plain loops."""
    vectors, labels, classes = batch
    vectors, labels, classes = vectors[:9], labels[:9].tolist(), classes[:9]
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    squared = ((unit[:, None] - unit[None]) ** 2).sum(dim=2).double().numpy()
    first, second = [], []
    for i, j in permutations(range(9), 2):
        if labels[i] != labels[j]:
            continue
        first += [max(0, squared[i, j] - squared[i, k] + 0.3) for k in range(9) if labels[k] != labels[i]]
        second += [
            max(0, squared[i, j] - squared[l, k] + 0.15)
            for l, k in permutations(range(9), 2)  # noqa: E741  # the paper's letter
            if len({labels[i], labels[k], labels[l]}) == 3
        ]
    config = LossConfig(kind="quadruplet", margin=0.3, second_margin=0.15)

    value, gradient = with_gradient(PlaceLoss(config, classes=CLASSES, dim=DIM), vectors, torch.tensor(labels), classes)

    assert float(value) == pytest.approx(np.mean(first) + np.mean(second), rel=1e-5)
    assert gradient.abs().max() > 0


def test_quadruplet_of_two_places_has_no_second_term_and_no_nan(batch):
    vectors, labels, classes = batch
    config = LossConfig(kind="quadruplet", margin=0.0001)

    value, gradient = with_gradient(PlaceLoss(config, classes=CLASSES, dim=DIM), vectors[:6], labels[:6], classes[:6])

    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    "kind",
    ["multi_similarity", "contrastive", "triplet", "quadruplet", "proxy_nca", "ntxent", "cosface", "arcface"],
)
def test_going_down_the_gradient_brings_a_place_together(kind, batch):
    torch.manual_seed(0)  # proxies are drawn
    vectors, labels, classes = batch
    loss = PlaceLoss(LossConfig(kind=kind), classes=CLASSES, dim=DIM)
    moving = vectors.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving, *loss.parameters()], lr=0.05)

    def gap():
        unit = torch.nn.functional.normalize(moving.detach())
        cosine, same = unit @ unit.T, labels[:, None] == labels[None]
        return float(cosine[same & ~torch.eye(12, dtype=bool)].mean() - cosine[~same].mean())

    before = gap()
    for _ in range(40):
        optimizer.zero_grad()
        loss(moving, labels, classes).backward()
        optimizer.step()

    assert gap() > before + 0.1


@pytest.mark.parametrize("on_heads", [(0.5, 0.0), (0.0, 0.5), (0.5, 0.3)])
def test_each_head_and_the_joined_heads_may_have_a_say_of_their_own(on_heads):
    torch.manual_seed(0)
    heads = (HeadSpec("mixvpr", dim=16, depth=1), HeadSpec("gem"))
    network = PlaceNetwork(NetworkSpec("efficientnet-lite0", heads, ProjectionSpec("linear", 8), input_size=64)).eval()
    images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 0, 1, 1])
    config = LossConfig(on_heads=on_heads, on_joined=0.25)
    loss = PlaceLoss(config, classes=2, dim=8)

    with torch.inference_mode():
        value = Learner(network, loss, config, None)([images], labels, labels)
        found = network.describe([images], None)
        on = [float(loss(vectors, labels, labels)) for vectors in (found.descriptor, found.joined, *found.parts)]

    wanted = on[0] + 0.25 * on[1] + on_heads[0] * on[2] + on_heads[1] * on[3]
    assert float(value) == pytest.approx(wanted, rel=1e-5)


def test_teachers_say_the_cosines_of_their_joined_descriptors(tmp_path):
    spec = NetworkSpec("efficientnet-lite0", (HeadSpec("mixvpr", dim=16, depth=1),), input_size=64)
    files, networks = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(PlaceNetwork(spec).eval())
        files.append(tmp_path / f"{seed}.pt")
        save_network(networks[-1], "small", "CC0-1.0", files[-1])
    images = torch.randn(5, 3, 64, 64)
    pupil = networks.pop()

    with torch.inference_mode():
        own = pupil(images)[0]
        config = TeachingConfig(tuple(map(str, files[:2])), weight=10)
        value = Teachers(config, pupil, None).loss([images], own)
        joined = torch.nn.functional.normalize(torch.cat([network(images)[0] for network in networks], dim=1))

    difference = own @ own.T - joined @ joined.T
    wanted = np.mean([float(difference[i, j]) ** 2 for i in range(5) for j in range(i)])
    assert float(value) == pytest.approx(10 * wanted, rel=1e-4)
