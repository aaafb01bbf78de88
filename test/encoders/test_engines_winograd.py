"""That convolutions with fewer products give what the plain ones give, and that nothing else is touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpr_ros.encoders.engines import openvino_cpu
from vpr_ros.encoders.engines.winograd import use_winograd

openvino = pytest.importorskip("openvino")

from openvino import opset13 as ops  # noqa: E402 - needs openvino

CORE = openvino.Core()


def normal(shape, deviation=1.0):
    """The same values for a shape each time: a failure is seen again, whatever ran before."""
    return np.random.default_rng(0).normal(0, deviation, shape).astype(np.float32)


def convolution(image, weights, strides=(1, 1), begin=(1, 1), end=(1, 1), dilations=(1, 1)):
    return ops.convolution(image, ops.constant(weights), list(strides), list(begin), list(end), list(dilations))


def model_of(shape, weights, **settings):
    image = ops.parameter(list(shape), np.float32)
    return openvino.Model([ops.relu(convolution(image, weights, **settings))], [image])


def weights_of(filters=128, channels=128, side=3):
    return normal((filters, channels, side, side), 1 / (side * np.sqrt(channels)))


def run(model, image):
    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    return CORE.compile_model(model, "CPU", hints)([image])[0].copy()


def close(ours, plain, size=1.0):
    """Rounding of float32: outputs here are of unit variance, and the transforms multiply what rounding costs."""
    np.testing.assert_allclose(ours, plain, atol=1e-4 * size)
    assert np.linalg.norm(ours - plain) <= 1e-5 * np.linalg.norm(plain)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(17, 50), st.integers(17, 50)),
    channels=st.sampled_from([128, 129, 160]),
    filters=st.sampled_from([128, 131, 192]),
)
def test_any_size_of_map_gives_what_the_plain_sum_gives(size, channels, filters):
    model = model_of((1, channels, *size), weights_of(filters, channels))
    image = normal((1, channels, *size))
    plain = run(model, image)

    assert use_winograd(model) == 1

    ours = run(model, image)
    assert ours.shape == plain.shape
    close(ours, plain)


def test_values_of_very_different_size_stay_exact_to_their_own():
    """The transform adds inputs of one tile up to a hundredfold: what is large must not drown what lies apart."""
    model = model_of((1, 128, 20, 20), weights_of())
    image = normal((1, 128, 20, 20))
    image[..., 10:] *= 1000
    plain = run(model, image)

    use_winograd(model)

    ours = run(model, image)
    close(ours[..., :8], plain[..., :8])
    close(ours[..., 12:], plain[..., 12:], size=1000)


@pytest.mark.parametrize(
    ("weights", "settings"),
    [
        (weights_of(64, 128), {}),
        (weights_of(128, 64), {}),
        (weights_of(side=5), {}),
        (weights_of(side=1), {}),
        (weights_of(), {"strides": (2, 2)}),
        (weights_of(), {"strides": (1, 2)}),
        (weights_of(), {"begin": (0, 0), "end": (0, 0)}),
        (weights_of(), {"begin": (1, 1), "end": (0, 0)}),
        (weights_of(), {"begin": (0, 0), "end": (1, 1)}),
        (weights_of(), {"dilations": (2, 2)}),
    ],
)
def test_another_convolution_stays(weights, settings):
    model = model_of((1, weights.shape[1], 20, 20), weights, **settings)

    assert use_winograd(model) == 0
    assert sum(node.get_type_name() == "Convolution" for node in model.get_ops()) == 1


@pytest.mark.parametrize(("size", "count"), [((16, 40), 0), ((40, 16), 0), ((17, 17), 1)])
def test_a_small_or_narrow_map_stays(size, count):
    assert use_winograd(model_of((1, 128, *size), weights_of())) == count


@pytest.mark.parametrize("shape", [(-1, 128, 20, 20), (1, 128, -1, 20), (2, 128, 20, 20)])
def test_a_map_of_unknown_size_or_more_than_one_image_stays(shape):
    assert use_winograd(model_of(shape, weights_of())) == 0


def test_groups_and_weights_that_are_computed_stay():
    image = ops.parameter([1, 256, 20, 20], np.float32)
    grouped = ops.constant(weights_of(256, 128).reshape(2, 128, 128, 3, 3))
    after = ops.group_convolution(image, grouped, [1, 1], [1, 1], [1, 1], [1, 1])
    scaled = ops.multiply(ops.constant(weights_of(128, 256)), ops.constant(np.float32(2)))
    after = ops.convolution(after, scaled, [1, 1], [1, 1], [1, 1], [1, 1])

    assert use_winograd(openvino.Model([after], [image])) == 0


def test_weights_stored_in_half_are_taken():
    image = ops.parameter([1, 128, 20, 20], np.float32)
    half = ops.convert(ops.constant(weights_of().astype(np.float16)), "f32")
    model = openvino.Model([ops.convolution(image, half, [1, 1], [1, 1], [1, 1], [1, 1])], [image])
    values = normal((1, 128, 20, 20))
    plain = run(model, values)

    assert use_winograd(model) == 1

    close(run(model, values), plain)


@pytest.mark.parametrize(
    ("precision", "machine", "used"),
    [("fp32", "x86_64", 1), ("bf16", "x86_64", 0), ("int8", "x86_64", 0), ("fp32", "aarch64", 0)],
)
def test_the_engine_uses_it_in_fp32_on_x86(tmp_path, monkeypatch, precision, machine, used):
    onnx = pytest.importorskip("onnx")
    float32, shape = onnx.TensorProto.FLOAT, (1, 128, 20, 20)
    values = (onnx.helper.make_tensor_value_info(name, float32, shape) for name in ("image", "descriptor"))
    nodes = [onnx.helper.make_node("Conv", ["image", "weights"], ["descriptor"], pads=[1, 1, 1, 1])]
    weights = onnx.numpy_helper.from_array(weights_of(), "weights")
    graph = onnx.helper.make_graph(nodes, "network", *([value] for value in values), [weights])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save_model(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "network.onnx")
    replaced = []
    monkeypatch.setattr(openvino_cpu, "use_winograd", lambda model: replaced.append(use_winograd(model)))
    monkeypatch.setattr("platform.machine", lambda: machine)

    openvino_cpu.OpenVinoCpu(tmp_path / "network.onnx", precision)

    assert sum(replaced) == used


def test_each_of_several_is_replaced_and_what_follows_reads_it():
    image = ops.parameter([1, 128, 19, 30], np.float32)
    first = ops.relu(convolution(image, weights_of()))
    second = convolution(first, weights_of())
    model = openvino.Model([ops.add(first, second)], [image])
    values = normal((1, 128, 19, 30))
    plain = run(model, values)

    assert use_winograd(model) == 2

    close(run(model, values), plain)
