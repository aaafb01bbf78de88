"""Writing a network as an ONNX file that computes the same, byte for byte the same at each export."""

from __future__ import annotations

import copy
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.onnxruntime_cpu import DESCRIPTOR, FEATURE_MAP, OnnxRuntimeCpu
from vpr_ros.encoders.engines.torch_cpu import TorchCpu
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import ExportedNetwork

_OPSET = 17
_LEAST_COSINE = 0.99999


def export_network(network: nn.Module, recipe: Recipe, target: Path) -> Path:
    """Write a network to an ONNX file with its recipe beside it, and return the ONNX file's path.

    The file appears under its name only after it was compared with torch.

    Raises:
        EncoderError: There is no such folder, or ONNX Runtime computes something else from the file.
    """
    if not target.parent.is_dir():
        raise EncoderError(f"there is no folder '{target.parent}' to write '{target.name}' into; make it first")
    if target.suffix != ".onnx":
        raise EncoderError(f"'{target}' does not end in .onnx; the recipe is written beside it with .yaml")
    unfinished = target.with_suffix(".onnx.part")
    try:
        _write_onnx(network, recipe, unfinished)
        _refuse_difference(network, recipe, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    ExportedNetwork(target, recipe).write_recipe()
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


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Return a copy in which each convolution has taken in the BatchNorm after it, computed in float64.

    The pairs are found by the names ResNet and EfficientNet give them: ``conv1, bn1``; ``_expand_conv, _bn0``.
    """
    folded = copy.deepcopy(network).eval().double()
    for module in list(folded.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return folded.float()


def _refuse_difference(network: nn.Module, recipe: Recipe, path: Path) -> None:
    ours, reference = OnnxRuntimeCpu(path), TorchCpu(network)
    randomness = np.random.default_rng(0)
    for spread in (0.3, 1.0):
        noise = randomness.normal(0, spread, (1, 3, recipe.height, recipe.width)).astype(np.float32)
        for what, cosine in _cosines(ours.run(noise), reference.run(noise)):
            if not cosine >= _LEAST_COSINE:
                raise EncoderError(
                    f"the exported '{recipe.name}' gives another {what} than torch: cosine {cosine:.6f}, expected at "
                    f"least {_LEAST_COSINE}; this torch or onnxruntime breaks it, so nothing was written"
                )


def _cosines(ours: Encoding, reference: Encoding) -> list[tuple[str, float]]:
    pairs = [("descriptor", ours.descriptor, reference.descriptor)]
    if ours.feature_map is not None and reference.feature_map is not None:
        pairs.append(("feature map", ours.feature_map.ravel(), reference.feature_map.ravel()))
    return [(what, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))) for what, a, b in pairs]
