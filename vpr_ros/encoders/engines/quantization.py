"""Making a network's int8 form with NNCF, on a folder of images: half for the ranges, half to compare it on."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.encoders.engines.network_files import int8_name
from vpr_ros.encoders.engines.onnx_runtime import OnnxRuntime
from vpr_ros.encoders.engines.openvino_cpu import OpenVinoCpu
from vpr_ros.encoders.engines.parity import Parity, Trial
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.preprocessing import Preprocessing
from vpr_ros.encoders.weights import ExportedNetwork, written_beside

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_LOG = logging.getLogger(__name__)

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_LEAST_IMAGES = 24  # Half of them are compared: a query, its ten neighbours and one more.
_MOST_IMAGES = 300  # NNCF's own default number of images for the ranges.
# What is cheap and breaks first is left in fp32, more of it at each step: pooling and normalisation, then depthwise
# filters, whose channels differ most in range, then everything but dense convolutions.
_STEPS: tuple[Callable[[str], bool], ...] = (
    lambda kind: kind in {"Conv", "DepthwiseConv", "MatMul", "Gemm"},
    lambda kind: kind in {"Conv", "MatMul", "Gemm"},
    lambda kind: kind == "Conv",
)


def quantize(
    network: ExportedNetwork, images: Path, out: Path, *, on_step: Callable[[str], None] = lambda _: None
) -> Path:
    """Write ``<name>-int8.onnx`` and its recipe, and return its path.

    Every other image gives the ranges of activations; the others are what it is compared on with fp32.

    Args:
        network: The ONNX file.
        images: Folder of images like those that the robot sees, at least 24.
        out: Folder to write into, which is there.
        on_step: Told each figure as it comes.

    Raises:
        EncoderError: NNCF or OpenVINO is missing, there are too few images, or even the mildest form computes
            something else; says the figure, and nothing is written.
    """
    inputs = _inputs(network, images)
    ranges, held_out = inputs[::2], inputs[1::2]
    os.environ.setdefault("NNCF_CI", "1")  # Read at import: NNCF else reports its use over the network.
    try:
        import nncf  # noqa: F401 - whether it is here
        import onnx
    except Exception as error:  # A broken library can raise anything.
        raise EncoderError(
            f"int8 needs NNCF: {first_line(error)}; 'pip install nncf onnx openvino' on this machine"
        ) from error
    # Not nncf.set_log_level: that sets the level of every handler on its logger, also of those it shares with others.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    reference = Trial.of(OnnxRuntime(network.path, output=network.output), held_out)
    model = _widened(onnx.load_model(network.path))
    target = int8_name(out / network.path.name)
    objection = ""
    with written_beside(target) as unfinished:
        lefts = [tuple(n.name for n in model.graph.node if not quantized(_kind(n))) for quantized in _STEPS]
        for left in dict.fromkeys(lefts):
            try:
                int8 = _quantized(model, ranges, left)
            except Exception as error:  # NNCF raises what its parts raise.
                said = f"{type(error).__name__}: {first_line(error)}"
                raise EncoderError(
                    f"NNCF can't quantize '{network.path}': {said}; stay with fp32, or try another version of nncf"
                ) from error
            onnx.save_model(int8, unfinished)
            ours = Trial.of(OpenVinoCpu(unfinished, "int8", output=network.output), held_out)
            parity = Parity.between(ours.encodings, reference.encodings, "int8")
            objection = parity.objection
            on_step(f"{len(left)} of {len(model.graph.node)} operations left in fp32: {objection or 'passes'}")
            if not objection:
                ExportedNetwork(target, network.recipe, network.output).put_in_place(unfinished)
                return target
    raise EncoderError(
        f"int8 is refused for '{network.recipe.name}': on {len(held_out)} images of '{images}' its {objection}; "
        "give more images like the robot's, or stay with fp32"
    )


def _widened(model: ModelProto) -> ModelProto:
    """Return the network with weights that are stored in half as float32: of those NNCF takes the ranges."""
    from onnx import TensorProto, numpy_helper

    graph = model.graph
    halves = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in halves]
    for cast in casts:
        values = numpy_helper.to_array(halves[cast.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, cast.output[0]))
        graph.node.remove(cast)
    still_read = {name for node in graph.node for name in node.input}
    for name in {cast.input[0] for cast in casts} - still_read:
        graph.initializer.remove(halves[name])
    return model


def _quantized(model: ModelProto, ranges: Sequence[NDArray[np.float32]], left: Sequence[str]) -> ModelProto:
    """Return the network in int8, but for the operations that are left."""
    import nncf

    feed = model.graph.input[0].name
    with redirect_stdout(sys.stderr):  # Its progress; standard output is for results.
        int8: ModelProto = nncf.quantize(
            model,
            nncf.Dataset([{feed: network_input} for network_input in ranges]),
            subset_size=len(ranges),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=list(left), validate=False),
        )
    return int8


def _inputs(network: ExportedNetwork, folder: Path) -> list[NDArray[np.float32]]:
    """Return the network's inputs of a folder's images, spread over it; what can't be read is said and left out."""
    if not folder.is_dir():
        raise EncoderError(f"there is no folder '{folder}' of images; give one with --images")
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS)
    preprocessing = Preprocessing(network.recipe)
    inputs = []
    for path in paths[:: max(1, len(paths) // _MOST_IMAGES)][:_MOST_IMAGES]:
        try:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        except cv2.error:  # Its header states more pixels than OpenCV takes.
            image = None
        if image is None:
            _LOG.warning("'%s' can't be read as an image and is left out", path)
            continue
        inputs.append(preprocessing.apply(cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)))
    if len(inputs) < _LEAST_IMAGES:
        raise EncoderError(
            f"'{folder}' holds {len(inputs)} readable images, expected at least {_LEAST_IMAGES} like those that the "
            "robot sees; give another folder with --images"
        )
    return inputs


def _kind(node: NodeProto) -> str:
    """Return an operation's kind; ``DepthwiseConv`` for a convolution that keeps channels apart."""
    kind = str(node.op_type)
    if kind != "Conv":
        return kind
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return "DepthwiseConv" if groups > 1 else kind
