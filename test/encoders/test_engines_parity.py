"""When an engine computes the same: figures that can be checked in the head, and the figures of real networks."""

import numpy as np
import pytest

from vpr_ros.core import share_path
from vpr_ros.encoders import EncoderError, Encoding
from vpr_ros.encoders.engines.onnx_runtime import OnnxRuntime
from vpr_ros.encoders.engines.parity import Parity, Trial, probe_inputs, refuse_difference
from vpr_ros.encoders.weights import ExportedNetwork


def at_angles(degrees, feature_map=None):
    """Unit vectors in a plane: the cosine of two is that of the angle between them."""
    radians = np.radians(degrees)
    return [Encoding(np.array([np.cos(a), np.sin(a)], np.float32), feature_map) for a in radians]


QUERY_AND_TWELVE = list(range(0, 65, 5))


def test_equal_descriptors_pass_at_every_precision():
    for precision in ("fp32", "fp16", "bf16", "int8"):
        parity = Parity.between(at_angles(QUERY_AND_TWELVE), at_angles(QUERY_AND_TWELVE), precision)
        assert parity.least_cosine == pytest.approx(1)
        assert parity.same_order
        assert parity.objection == ""


@pytest.mark.parametrize(
    ("turned_deg", "passes"),
    [
        (0.5, ("fp32", "fp16", "bf16", "int8")),  # cosine 0.99996
        (1.5, ("fp16", "bf16", "int8")),  # 0.99966
        (5.0, ("int8",)),  # 0.9962
        (10.0, ()),  # 0.9848
    ],
)
def test_the_worst_descriptor_decides_by_precision(turned_deg, passes):
    turned = [*QUERY_AND_TWELVE[:-1], QUERY_AND_TWELVE[-1] + turned_deg]
    for precision in ("fp32", "fp16", "bf16", "int8"):
        parity = Parity.between(at_angles(turned), at_angles(QUERY_AND_TWELVE), precision)
        assert parity.least_cosine == pytest.approx(np.cos(np.radians(turned_deg)), abs=1e-6)
        assert (parity.objection == "") == (precision in passes)
        if parity.objection:
            assert f"{parity.least_cosine:.5f}" in parity.objection


def test_neighbours_in_another_order_are_refused_though_every_cosine_is_high():
    """Two neighbours 2 degrees apart change places, each turned by 2 degrees: 0.9994 each."""
    reference, ours = [0, 30, 32, 50, 60], [0, 32, 30, 50, 60]
    parity = Parity.between(at_angles(ours), at_angles(reference), "fp16")
    assert parity.least_cosine > 0.999
    assert not parity.same_order
    assert "another order" in parity.objection


def test_a_draw_may_be_decided_either_way():
    """0.05 degrees apart at 30 degrees is 0.0004 in similarity: below what half precision may cost."""
    parity = Parity.between(at_angles([0, 30.05, 30, 50]), at_angles([0, 30, 30.05, 50]), "fp16")
    assert parity.same_order


def test_the_eleventh_neighbour_has_no_say():
    eleven = [0, *range(5, 55, 5), 80]
    other = [*eleven[:-1], 81.5]
    assert Parity.between(at_angles(other), at_angles(eleven), "fp16").same_order


def test_nan_and_a_missing_feature_map_are_refused():
    reference = at_angles(QUERY_AND_TWELVE, np.ones((1, 2, 2), np.float32))
    broken = at_angles([np.nan, *QUERY_AND_TWELVE[1:]], np.ones((1, 2, 2), np.float32))
    assert "nan" in Parity.between(broken, reference, "int8").objection
    assert "feature maps" in Parity.between(at_angles(QUERY_AND_TWELVE), reference, "int8").objection


def test_feature_maps_count_too():
    ours = at_angles(QUERY_AND_TWELVE, np.array([[[1, 1]]], np.float32))
    reference = at_angles(QUERY_AND_TWELVE, np.array([[[1, 0.8]]], np.float32))
    parity = Parity.between(ours, reference, "fp32")
    assert parity.least_map_cosine == pytest.approx(1.8 / np.sqrt(2 * 1.64))
    assert "feature maps reach a cosine of 0.99388" in parity.objection


class Disturbed:
    """A real engine whose descriptor is turned a little: no arithmetic of this machine can be made to do so."""

    name = "disturbed"

    def __init__(self, engine, by):
        self._engine, self._by = engine, by

    def run(self, network_input):
        encoding = self._engine.run(network_input)
        noise = np.random.default_rng(0).normal(0, self._by / np.sqrt(len(encoding.descriptor)), 320)
        turned = encoding.descriptor + noise.astype(np.float32)
        return Encoding(turned / np.linalg.norm(turned), encoding.feature_map)


def test_an_engine_that_computes_something_else_is_refused_with_the_figure():
    network = ExportedNetwork.read(share_path("weights/gem-lite.onnx"))
    engine = OnnxRuntime(network.path)

    recipe = network.recipe
    ours, disturbed = (Trial.of(one, probe_inputs(recipe)) for one in (engine, Disturbed(engine, 0.2)))

    assert refuse_difference(ours, ours, "fp32", recipe).objection == ""
    with pytest.raises(EncoderError, match=r"disturbed is refused for 'gem-lite'.*0\.9[0-9]{4}, expected .* 0.999"):
        refuse_difference(disturbed, ours, "fp16", recipe)


def test_the_made_up_pictures_are_the_same_each_time_and_each_less_like_the_first():
    network = ExportedNetwork.read(share_path("weights/gem-lite.onnx"))
    inputs = list(probe_inputs(network.recipe))
    for ours, again in zip(inputs, probe_inputs(network.recipe), strict=True):
        np.testing.assert_array_equal(ours, again)

    trial = Trial.of(OnnxRuntime(network.path), inputs)

    query, *others = (encoding.descriptor for encoding in trial.encodings)
    similarities = [float(query @ other) for other in others]
    assert len(similarities) >= 10
    assert similarities[0] > similarities[4] > similarities[9]
    assert len(trial.encodings) == len(inputs)
