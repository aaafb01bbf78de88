"""A network that gives something else than one descriptor for one image is told in one line, on every engine."""

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper
from own_network import write_network

from vpr_ros.encoders import EncoderError, open_encoder
from vpr_ros.encoders.engines.engine import encoding_of
from vpr_ros.encoders.engines.openvino_cpu import why_no_openvino

ENGINES = ["auto", "onnxruntime", *([] if why_no_openvino() else ["openvino"])]
# The last operations, behind a descriptor (1, 3) of unit length; what is said of the result.
OTHERS = {
    "one axis": (("Reshape", [3]), r"shape \(3,\) and type float32"),
    "no axis": (("ReduceSum", None), r"shape \(\) and type float32"),
    "four axes": (("Reshape", [1, 3, 1, 1]), r"shape \(1, 3, 1, 1\) and type float32"),
    "two rows": (("Concat", None), r"shape \(2, 3\) and type float32"),
    "double": (("Cast", None), r"shape \(1, 3\) and type float64"),
    "zero": (("Mul", 0.0), r"descriptor of length 0\.0000|only zeros"),
    "nan": (("Mul", np.nan), r"gave NaN|gives NaN"),
}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VPR_ROS_CACHE", str(tmp_path / "cache"))


def network(folder, last=("Identity", None)):
    kind, value = last
    given = ["unit"]
    constants = []
    attributes = {}
    if kind == "Reshape":
        constants, given = [numpy_helper.from_array(np.array(value, np.int64), "value")], ["unit", "value"]
    elif kind == "Mul":
        constants, given = [numpy_helper.from_array(np.array(value, np.float32), "value")], ["unit", "value"]
    elif kind == "ReduceSum":
        attributes = {"keepdims": 0}
    elif kind == "Concat":
        given, attributes = ["unit", "unit"], {"axis": 0}
    elif kind == "Cast":
        attributes = {"to": TensorProto.DOUBLE}
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("LpNormalization", ["flat"], ["unit"], axis=1, p=2),
        helper.make_node(kind, given, ["descriptor"], **attributes),
    ]
    output = TensorProto.DOUBLE if kind == "Cast" else TensorProto.FLOAT
    return write_network(folder, "own", nodes, constants, mean=0.5, std=0.25, output=output)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("other", OTHERS)
def test_another_output_is_refused_in_one_line_when_it_is_opened(tmp_path, caplog, engine, other):
    last, said = OTHERS[other]

    with pytest.raises(EncoderError, match=said) as refusal:
        open_encoder(str(network(tmp_path, last)), engine)

    assert "\n" not in str(refusal.value)
    assert caplog.records == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_does_what_its_recipe_says_is_opened(tmp_path, caplog, engine):
    encoder = open_encoder(str(network(tmp_path)), engine)

    grey = encoder.encode(np.full((40, 50, 3), (10, 20, 250), np.uint8)).descriptor

    assert grey.shape == (3,)
    assert grey[2] > 0 > grey[0]
    assert caplog.records == []


@pytest.mark.parametrize("shape", [(4, 2, 2), (2, 4, 2, 2)])
def test_a_feature_map_of_other_axes_is_refused(shape):
    descriptor = np.ones((1, 3), np.float32)
    with pytest.raises(EncoderError, match=r"feature map of shape .*expected \(1, channels, rows, columns\)"):
        encoding_of(descriptor, np.zeros(shape, np.float32))
