"""Which engines there are, why one is not here, and which one runs a network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from vpr_ros.core import Recipe
from vpr_ros.encoders.engines.engine import Engine, Precision, first_line, spelled
from vpr_ros.encoders.engines.engine_cache import EngineCache
from vpr_ros.encoders.engines.network_files import NetworkFiles
from vpr_ros.encoders.engines.onnx_runtime import (
    OnnxRuntime,
    Provider,
    default_threads,
    offered_providers,
    why_no_onnxruntime,
)
from vpr_ros.encoders.engines.openvino_cpu import OpenVinoCpu, why_no_bf16, why_no_openvino
from vpr_ros.encoders.engines.parity import Trial, probe_inputs, refuse_difference
from vpr_ros.encoders.engines.racing import agreement_key, open_faster
from vpr_ros.encoders.engines.switching import SwitchingEngine
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import sha256_of

_LOG = logging.getLogger(__name__)

AUTO = "auto"
_PASSED = b"passed"  # What the cache keeps of an engine that gave what the reference gives.
# A driver's traces: desktop and server, its control node, Jetson, and the Windows Subsystem for Linux.
_GPU_TRACES = ("/proc/driver/nvidia/gpus", "/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg")

# Takes what there is of the network, the precision and the threads.
Opener = Callable[[NetworkFiles, Precision, int | None], tuple[Recipe, Engine]]


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One engine at one precision.

    Attributes:
        name: What users say, such as ``openvino:int8``.
        about: What it is, one line.
        precision: What it computes in.
        open: Opens a network on it, compared with the reference where its arithmetic is another.
        why_not: Says why it can't run here; empty where nothing is seen that speaks against it.
    """

    name: str
    about: str
    precision: Precision
    open: Opener
    why_not: Callable[[], str]


@dataclass(frozen=True, slots=True)
class EngineState:
    """Whether an engine is here.

    Attributes:
        name: What users say.
        about: What it is, one line.
        reason: Why it can't run here; empty where it can.
    """

    name: str
    about: str
    reason: str


def engine_states() -> tuple[EngineState, ...]:
    """Return every engine and, for what is not here, why."""
    return tuple(EngineState(kind.name, kind.about, kind.why_not()) for kind in KINDS.values())


def open_engine(files: NetworkFiles, name: str, threads: int | None) -> tuple[Recipe, Engine]:
    """Open a network on an engine.

    Args:
        files: What there is of the network.
        name: One of ``ENGINE_NAMES``. ``auto`` takes the best that is here: on an NVIDIA GPU TensorRT, built behind
            what serves meanwhile, else CUDA; on the processor the faster of OpenVINO and ONNX Runtime, measured once;
            torch for a checkpoint. What fails is said in a line, and the next one is taken.
        threads: Processor threads a pass; None for what the process may use, four at most.

    Raises:
        EncoderError: The engine named is unknown or not here, was refused, or no engine can run what there is.
    """
    if name == AUTO:
        return _open_best(files, threads)
    if name not in KINDS:
        raise EncoderError(f"engine is '{name}', expected one of {', '.join(ENGINE_NAMES)}")
    kind = KINDS[name]
    if reason := kind.why_not():
        raise EncoderError(f"engine {name} can't run here: {reason}; or take engine auto")
    return kind.open(files, kind.precision, threads)


def _open_best(files: NetworkFiles, threads: int | None) -> tuple[Recipe, Engine]:
    serving = next(_working(("torch_cuda:fp16", "onnxruntime_cuda"), files, threads), None)
    recipe, engine = serving or _open_on_processor(files, threads)
    tensorrt = KINDS["tensorrt:fp16"]
    if files.onnx is None or tensorrt.why_not():
        return recipe, engine
    return recipe, SwitchingEngine.start(engine, partial(_engine_of, tensorrt.open, files, threads, tensorrt.precision))


def _open_on_processor(files: NetworkFiles, threads: int | None) -> tuple[Recipe, Engine]:
    if files.onnx is None:
        # Without either, ONNX Runtime's opener says how to get the file that a robot needs.
        kind = KINDS["onnxruntime" if files.checkpoint is None else "torch_cpu"]
        return kind.open(files, kind.precision, threads)
    exported = files.exported()
    # The race compares the two itself.
    opens = {"onnxruntime": _on_onnxruntime, "openvino": _on_openvino_unchecked}
    openers = {name: partial(_engine_of, opens[name], files, threads) for name in opens if not KINDS[name].why_not()}
    if not openers:
        return _on_onnxruntime(files, "fp32", threads)  # It says what to install.
    return exported.recipe, open_faster(openers, exported, threads, EngineCache())


def _engine_of(opener: Opener, files: NetworkFiles, threads: int | None, precision: Precision = "fp32") -> Engine:
    return opener(files, precision, threads)[1]


def _working(names: tuple[str, ...], files: NetworkFiles, threads: int | None) -> Iterator[tuple[Recipe, Engine]]:
    """Yield what opens of these, best first; what is here and fails is said, what is not here is nobody's fault."""
    for name in names:
        kind = KINDS[name]
        # The checkpoint first: asking torch for a GPU imports it.
        if (name.startswith("torch") and files.checkpoint is None) or kind.why_not():
            continue
        try:
            yield kind.open(files, kind.precision, threads)
        except EncoderError as error:
            _LOG.warning("engine %s is passed over: %s", name, error)


def _on_onnxruntime(files: NetworkFiles, _: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    exported = files.exported()
    return exported.recipe, OnnxRuntime(exported.path, threads=threads, output=exported.output)


def _on_onnxruntime_cuda(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    return _on_provider(files, precision, threads, "onnxruntime_cuda", (("CUDAExecutionProvider", {"use_tf32": "0"}),))


def _on_onnxruntime_tensorrt(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    options = {
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(EngineCache().folder / "onnxruntime_tensorrt"),
    }
    providers: tuple[Provider, ...] = (("TensorrtExecutionProvider", options), ("CUDAExecutionProvider", {}))
    return _on_provider(files, precision, threads, "onnxruntime_tensorrt", providers)


def _on_provider(
    files: NetworkFiles, precision: Precision, threads: int | None, name: str, providers: tuple[Provider, ...]
) -> tuple[Recipe, Engine]:
    exported = files.exported()
    open_it = partial(
        OnnxRuntime,
        exported.path,
        threads=threads,
        output=exported.output,
        name=spelled(name, precision),
        providers=providers,
    )
    return _checked(open_it, files, precision, threads)


def _on_openvino_unchecked(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    # An int8 file was compared with fp32 on real images before it was written; made-up ones lie outside its range.
    exported = files.quantized() if precision == "int8" else files.exported()
    return exported.recipe, OpenVinoCpu(exported.path, precision, threads=threads, output=exported.output)


def _on_openvino(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    return _checked(partial(_engine_of, _on_openvino_unchecked, files, threads, precision), files, precision, threads)


def _on_openvino_checked_once(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    """Open it, compared with ONNX Runtime where that was not done before; without ONNX Runtime a line says so.

    For the comparison it goes before the reference comes, as in a race.
    """
    cache = EngineCache()
    key = agreement_key("openvino", "onnxruntime", files.exported(), threads or default_threads())
    if cache.get(key) != _PASSED:
        recipe, engine = _on_openvino_unchecked(files, precision, threads)
        ours = Trial.of(engine, probe_inputs(recipe))
        del engine
        try:
            _, reference = _on_onnxruntime(files, "fp32", threads)
        except EncoderError as error:
            _LOG.warning("engine openvino runs without a comparison: %s", error)
        else:
            refuse_difference(ours, Trial.of(reference, probe_inputs(recipe)), precision, recipe)
            cache.put(key, _PASSED)
            del reference
    return _on_openvino_unchecked(files, precision, threads)


def _on_torch_cpu(files: NetworkFiles, _: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    name, checkpoint = files.trained("torch_cpu")
    try:
        from vpr_ros.encoders.engines.torch_cpu import open_checkpoint
    except Exception as error:  # A broken library can raise anything.
        raise _no_torch(files, "torch_cpu", error) from error
    return open_checkpoint(name, checkpoint, threads)


def _on_torch_cuda(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    name, checkpoint = files.trained("torch_cuda")
    try:
        from vpr_ros.encoders.engines.torch_cuda import open_checkpoint_on_gpu
    except Exception as error:  # As above.
        raise _no_torch(files, "torch_cuda", error) from error
    return _checked(lambda: open_checkpoint_on_gpu(name, checkpoint, precision)[1], files, precision, threads)


def _no_torch(files: NetworkFiles, engine: str, error: Exception) -> EncoderError:
    return EncoderError(
        f"'{files.label}' needs engine {engine}, which can't start: {first_line(error)}; install torch, or "
        f"{files.advice}"
    )


def _on_tensorrt(files: NetworkFiles, precision: Precision, threads: int | None) -> tuple[Recipe, Engine]:
    exported = files.exported()
    recipe = exported.recipe
    try:
        from vpr_ros.encoders.engines.torch_tensorrt import cached_tensorrt, tensorrt_key
    except EncoderError:  # TensorRT is missing or broken, and says so itself.
        raise
    except Exception as error:  # As above: torch.
        raise _no_torch(files, "tensorrt", error) from error
    key = tensorrt_key(sha256_of(exported.path), precision, (1, 3, recipe.height, recipe.width))
    open_it = partial(cached_tensorrt, exported.path, key, precision, output=exported.output)
    return _checked(open_it, files, precision, threads)


def _checked(
    open_it: Callable[[], Engine], files: NetworkFiles, precision: Precision, threads: int | None
) -> tuple[Recipe, Engine]:
    """Return an engine that computes what the reference does."""
    try:
        recipe, expected = _expected(files, threads)
    except EncoderError:
        open_it()  # Where it can't start either, that is what the user is told.
        raise
    engine = open_it()
    refuse_difference(Trial.of(engine, probe_inputs(recipe)), expected, precision, recipe)
    return recipe, engine


def _expected(files: NetworkFiles, threads: int | None) -> tuple[Recipe, Trial]:
    """Run the reference: ONNX Runtime on the processor, else torch there."""
    opener = _on_torch_cpu if files.onnx is None else _on_onnxruntime
    recipe, reference = opener(files, "fp32", threads)
    return recipe, Trial.of(reference, probe_inputs(recipe))


def _why_no_torch() -> str:
    return "" if find_spec("torch") else "torch is not installed; 'pip install torch'"


def _why_no_gpu() -> str:
    return "" if any(Path(trace).exists() for trace in _GPU_TRACES) else "there is no NVIDIA GPU, or no driver for one"


def _why_no_torch_cuda() -> str:
    """Ask torch itself, where a driver's traces make that worth its import."""
    if reason := _why_no_gpu() or _why_no_torch():
        return reason
    try:
        from vpr_ros.encoders.engines.torch_cuda import why_no_cuda
    except Exception as error:  # noqa: BLE001 - a broken library can raise anything
        return f"torch can't be imported: {first_line(error)}; install it again"
    return why_no_cuda()


def _why_no_tensorrt() -> str:
    missing = next((name for name in ("tensorrt", "torch") if not find_spec(name)), None)
    return _why_no_gpu() or (f"{missing} is not installed; 'pip install {missing}'" if missing else "")


def _why_no_provider(provider: str) -> str:
    # The GPU first: asking for the providers imports ONNX Runtime, 20 MB that OpenVINO does not need.
    if (reason := _why_no_gpu()) or provider in offered_providers():
        return reason
    return f"this onnxruntime has no {provider}; 'pip install onnxruntime-gpu' in place of onnxruntime"


# Best first, as far as one order fits all.
KINDS: dict[str, EngineKind] = {
    kind.name: kind
    for kind in (
        EngineKind("tensorrt:fp16", "TensorRT, built once a GPU", "fp16", _on_tensorrt, _why_no_tensorrt),
        EngineKind("tensorrt", "TensorRT in fp32", "fp32", _on_tensorrt, _why_no_tensorrt),
        EngineKind(
            "torch_cuda:fp16",
            "torch on the GPU, CUDA graph",
            "fp16",
            _on_torch_cuda,
            _why_no_torch_cuda,
        ),
        EngineKind(
            "torch_cuda",
            "torch on the GPU in fp32",
            "fp32",
            _on_torch_cuda,
            _why_no_torch_cuda,
        ),
        EngineKind(
            "onnxruntime_tensorrt:fp16",
            "ONNX Runtime's TensorRT provider",
            "fp16",
            _on_onnxruntime_tensorrt,
            lambda: _why_no_provider("TensorrtExecutionProvider"),
        ),
        EngineKind(
            "onnxruntime_cuda",
            "ONNX Runtime's CUDA provider",
            "fp32",
            _on_onnxruntime_cuda,
            lambda: _why_no_provider("CUDAExecutionProvider"),
        ),
        EngineKind("openvino", "OpenVINO on the processor", "fp32", _on_openvino_checked_once, why_no_openvino),
        EngineKind(
            "openvino:bf16",
            "OpenVINO in bf16",
            "bf16",
            _on_openvino,
            lambda: why_no_openvino() or why_no_bf16(),
        ),
        EngineKind("openvino:int8", "OpenVINO, quantized network", "int8", _on_openvino_unchecked, why_no_openvino),
        EngineKind("onnxruntime", "ONNX Runtime on the processor", "fp32", _on_onnxruntime, why_no_onnxruntime),
        EngineKind("torch_cpu", "torch on the processor, the reference", "fp32", _on_torch_cpu, _why_no_torch),
    )
}
ENGINE_NAMES = (AUTO, *KINDS)
