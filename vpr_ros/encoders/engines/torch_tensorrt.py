"""NVIDIA's TensorRT through its own Python module; buffers are torch's.

It could not be run where it was written: docs/engines.md calls it unverified.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Precision, encoding_of, first_line, spelled
from vpr_ros.encoders.engines.engine_cache import EngineCache, EngineKey
from vpr_ros.encoders.engines.onnx_runtime import DESCRIPTOR, FEATURE_MAP
from vpr_ros.encoders.errors import EncoderError

_LOG = logging.getLogger(__name__)

try:
    import tensorrt
except Exception as missing:  # A broken library can raise anything.
    raise EncoderError(f"engine tensorrt can't start: {first_line(missing)}; 'pip install tensorrt'") from missing

_SAYS = tensorrt.Logger(tensorrt.Logger.ERROR)


class TensorRt:
    """A network that TensorRT built for this GPU.

    Attributes:
        name: ``tensorrt:fp16`` or ``tensorrt``.
    """

    def __init__(self, plan: bytes, precision: Precision = "fp16", *, output: str = DESCRIPTOR) -> None:
        """Load a built engine.

        Args:
            plan: What :func:`build_plan` gave on this machine.
            precision: What it was built for.
            output: Name of the output that is the descriptor.

        Raises:
            EncoderError: It was built elsewhere or is broken, or the GPU has too little memory left.
        """
        self.name = spelled("tensorrt", precision)
        engine = tensorrt.Runtime(_SAYS).deserialize_cuda_engine(plan)
        if engine is None:
            raise EncoderError("TensorRT refuses the engine file: it was built by another version or for another GPU")
        self._engine = engine  # The context does not keep it alive.
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EncoderError("TensorRT could not start; its log says why, mostly too little GPU memory. Free some")
        try:
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._buffers = {
                name: torch.empty(tuple(engine.get_tensor_shape(name)), device="cuda")
                for name in map(engine.get_tensor_name, range(engine.num_io_tensors))
            }
        except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one
            raise EncoderError(f"TensorRT could not start: {first_line(error)}") from error
        for name, buffer in self._buffers.items():
            self._context.set_tensor_address(name, buffer.data_ptr())
        (self._input,) = (n for n in self._buffers if engine.get_tensor_mode(n) == tensorrt.TensorIOMode.INPUT)
        self._outputs = [name for name in (output, FEATURE_MAP) if name in self._buffers]

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        try:
            with torch.cuda.stream(self._stream):
                self._buffers[self._input].copy_(torch.from_numpy(network_input))
                if not self._context.execute_async_v3(self._stream.cuda_stream):
                    raise EncoderError("TensorRT failed to start a pass; its log says why")
                descriptor, *rest = (self._buffers[name].cpu().numpy() for name in self._outputs)
        except RuntimeError as error:
            raise EncoderError(f"TensorRT failed: {first_line(error)}") from error
        return encoding_of(descriptor, rest[0] if rest else None)


def cached_tensorrt(
    onnx: Path, key: EngineKey, precision: Precision, *, output: str, cache: EngineCache | None = None
) -> TensorRt:
    """Return an engine from the cache; where there is none that this machine can load, build and keep one.

    Raises:
        EncoderError: It can't be built.
    """
    cache = cache or EngineCache()
    plan = cache.get(key)
    if plan is not None:
        try:
            return TensorRt(plan, precision, output=output)
        except EncoderError as error:
            _LOG.warning("the kept TensorRT plan can't be used and is built anew: %s", error)
    plan = build_plan(onnx, precision)
    cache.put(key, plan)
    return TensorRt(plan, precision, output=output)


def tensorrt_key(model_sha256: str, precision: Precision, shape: tuple[int, ...]) -> EngineKey:
    """Return what an engine of a network depends on here.

    Raises:
        EncoderError: torch finds no GPU.
    """
    if not torch.cuda.is_available():
        raise EncoderError("engine tensorrt can't start: torch, whose buffers it uses, finds no GPU; take engine auto")
    major, minor = torch.cuda.get_device_capability()
    device = f"{torch.cuda.get_device_name()} sm_{major}{minor}"
    return EngineKey(f"tensorrt {tensorrt.__version__}", device, model_sha256, precision, shape)


def build_plan(onnx: Path, precision: Precision) -> bytes:
    """Build an engine for this GPU, which takes minutes.

    Raises:
        EncoderError: TensorRT can't read the file or can't build it at this precision.
    """
    builder = tensorrt.Builder(_SAYS)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, _SAYS)
    if not parser.parse_from_file(str(onnx)):
        said = parser.get_error(0) if parser.num_errors else "no reason given"
        raise EncoderError(f"TensorRT can't read '{onnx}': {said}; take engine auto")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # Ten bits of mantissa are not fp32.
    if precision == "fp16":
        if not hasattr(tensorrt.BuilderFlag, "FP16"):
            raise EncoderError(f"TensorRT {tensorrt.__version__} chooses no fp16 itself; take engine 'tensorrt' (fp32)")
        config.set_flag(tensorrt.BuilderFlag.FP16)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EncoderError(f"TensorRT could not build '{onnx}' at {precision}; its log says why. Take engine auto")
    return bytes(plan)
