"""Writing a network as an ONNX file that computes the same, byte for byte the same at each export."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.encoders.engines.onnx_runtime import DESCRIPTOR, FEATURE_MAP, OnnxRuntime
from vpr_ros.encoders.engines.torch_cpu import TorchCpu
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.folding import fold_batch_norms
from vpr_ros.encoders.weights import LEAST_HALVED, ExportedNetwork, written_beside

_OPSET = 17
_LEAST_COSINE, _LEAST_COSINE_IN_HALF = 0.99999, 0.9999
_UNIT_LENGTH_TOLERANCE = 1e-3


def export_network(network: nn.Module, recipe: Recipe, target: Path, *, stored_in_half: bool = False) -> Path:
    """Write a network to an ONNX file with its recipe beside it, and return the ONNX file's path.

    The file appears under its name only after it was compared with torch.

    Args:
        network: In eval mode.
        recipe: What it expects and is.
        target: File to write, ending in .onnx.
        stored_in_half: Whether weights lie in the file as float16, half the size; they are widened when the file is
            loaded, and the network runs in float32 all the same.

    Raises:
        EncoderError: There is no such folder, it can't be written, the network gives no descriptor or is too large for
            torch, or ONNX Runtime computes something else from the file.
    """
    if not os.path.isdir(target.parent):  # noqa: PTH112 - Path.is_dir raises where a folder is closed to us
        raise EncoderError(f"there is no folder '{target.parent}' to write '{target.name}' into; make it first")
    if target.suffix != ".onnx":
        raise EncoderError(
            f"'{target}' does not end in .onnx, and the recipe is written beside it with .yaml; give such a file, or a "
            "folder that is there"
        )
    with written_beside(target) as unfinished:
        try:
            _write_onnx(network, recipe, unfinished)
        except RuntimeError as error:
            size = f"{recipe.width} x {recipe.height}"
            raise EncoderError(f"torch can't export '{recipe.name}' at {size} pixels: {first_line(error)}") from error
        if stored_in_half:
            _store_in_half(unfinished)
        _refuse_difference(network, recipe, unfinished, _LEAST_COSINE_IN_HALF if stored_in_half else _LEAST_COSINE)
        ExportedNetwork(target, recipe).put_in_place(unfinished)
    return target


def _write_onnx(network: nn.Module, recipe: Recipe, path: Path) -> None:
    folded = fold_batch_norms(network)
    example = torch.zeros(1, 3, recipe.height, recipe.width)
    with torch.inference_mode():
        outputs = [DESCRIPTOR, FEATURE_MAP] if isinstance(folded(example), tuple) else [DESCRIPTOR]
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript; the shapes that tracing warns about are fixed by the recipe.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            folded,
            (example,),
            path,
            input_names=["image"],
            output_names=outputs,
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load_model(path)
    model.producer_name, model.producer_version = "vpr_ros", ""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _store_in_half(path: Path) -> None:
    """Rewrite a file with its large weights as float16, each widened to float32 by a node of its own."""
    model = onnx.load_model(path)
    widened = []
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and math.prod(weight.dims) >= LEAST_HALVED:
            name, values = weight.name, onnx.numpy_helper.to_array(weight)
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            widened.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _refuse_difference(network: nn.Module, recipe: Recipe, path: Path, least_cosine: float) -> None:
    ours, reference = OnnxRuntime(path), TorchCpu(network)
    randomness = np.random.default_rng(0)
    for spread in (0.3, 1.0):
        noise = randomness.normal(0, spread, (1, 3, recipe.height, recipe.width)).astype(np.float32)
        expected = reference.run(noise)
        length = float(np.linalg.norm(expected.descriptor))
        if not abs(length - 1) <= _UNIT_LENGTH_TOLERANCE:  # NaN too
            raise EncoderError(
                f"the weights of '{recipe.name}' give a descriptor of length {length:.4f}, expected 1; check where "
                "they come from: nothing was written"
            )
        for what, cosine in _cosines(ours.run(noise), expected):
            if not cosine >= least_cosine:
                raise EncoderError(
                    f"the exported '{recipe.name}' gives another {what} than torch: cosine {cosine:.6f}, expected at "
                    f"least {least_cosine}; this torch or onnxruntime breaks it, so nothing was written"
                )


def _cosines(ours: Encoding, reference: Encoding) -> list[tuple[str, float]]:
    pairs = [("descriptor", ours.descriptor, reference.descriptor)]
    if ours.feature_map is not None and reference.feature_map is not None:
        pairs.append(("feature map", ours.feature_map.ravel(), reference.feature_map.ravel()))
    return [(what, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))) for what, a, b in pairs]
