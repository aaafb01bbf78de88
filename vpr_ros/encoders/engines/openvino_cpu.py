"""OpenVINO on the processor."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Precision, encoding_of, first_line, in_one_line, spelled
from vpr_ros.encoders.engines.onnx_runtime import DESCRIPTOR, FEATURE_MAP, default_threads
from vpr_ros.encoders.engines.winograd import use_winograd
from vpr_ros.encoders.errors import EncoderError, RunError

if TYPE_CHECKING:
    import openvino

# Linux's words for the instructions that compute in bf16 (/proc/cpuinfo).
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
# The quantized network says itself what is int8; what is left computes in fp32.
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_X86 = {"x86_64", "AMD64"}
_ONE_AT_A_TIME = Lock()
# ModelProto's first field, ir_version, as protobuf writes it.
_ONNX_BEGINS = b"\x08"


class OpenVinoCpu:
    """A network from an ONNX file, on OpenVINO's CPU plugin.

    Attributes:
        name: ``openvino``, or with a precision ``openvino:bf16``.
    """

    def __init__(
        self, path: Path, precision: Precision = "fp32", *, threads: int | None = None, output: str = DESCRIPTOR
    ) -> None:
        """Compile the network.

        Args:
            path: ONNX file with one input and a descriptor among its outputs, and where it has one, ``feature_map``.
            precision: fp32, bf16, or int8 for a file that was quantized.
            threads: Processor threads a pass; None for what the process may use, four at most.
            output: Name of the output that is the descriptor.

        Raises:
            EncoderError: OpenVINO is not installed, the file is none it can run, or it has other outputs.
        """
        self.name = spelled("openvino", precision)
        try:
            import openvino  # noqa: F401  # only whether it is there
        except Exception as error:  # A broken library can raise anything.
            raise EncoderError(f"engine openvino can't start: {first_line(error)}; 'pip install openvino'") from error
        hints = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or default_threads(),
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            # Threads that are bound to cores wait for them where anything else runs there: 1.5 times as slow.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            with _ONE_AT_A_TIME:
                core = _core()
            if path.is_file():
                _refuse_no_onnx(path)
            model = core.read_model(str(path))
            # In bf16 it rounds too much, and gains less; Arm's library for the plugin chooses its algorithms itself.
            if precision == "fp32" and platform.machine() in _X86:
                use_winograd(model)
            compiled = core.compile_model(model, "CPU", hints)
        except EncoderError:
            raise
        except Exception as error:  # OpenVINO raises bare RuntimeError, and its parts raise others.
            raise EncoderError(f"OpenVINO can't load '{path}': {in_one_line(error)}; export it again") from error
        names = [name for port in compiled.outputs for name in port.names]
        if len(compiled.inputs) != 1 or output not in names:
            raise EncoderError(
                f"'{path}' has {len(compiled.inputs)} inputs and outputs {sorted(names)}, expected one input and an "
                f"output '{output}'; export it with 'vpr_ros export'"
            )
        self._request = compiled.create_infer_request()
        self._outputs = [compiled.output(name) for name in (output, FEATURE_MAP) if name in names]

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        try:
            self._request.infer([network_input], share_inputs=True)
        except Exception as error:  # As above.
            raise RunError(f"OpenVINO failed: {in_one_line(error)}") from error
        # Copies: the tensors are the request's own and hold the next image's values soon.
        descriptor, *rest = (self._request.get_tensor(port).data.copy() for port in self._outputs)
        return encoding_of(descriptor, rest[0] if rest else None)


def _refuse_no_onnx(path: Path) -> None:
    """Refuse a file that does not begin with ONNX's version: TensorFlow's reader would complain in lines of its own.

    To take the ONNX reader alone (``frontend.FrontEndManager``) is no way out: with OpenVINO 2026.4 a process that read
    a large network by it hung two times of three.
    """
    with path.open("rb") as file:
        if file.read(1) != _ONNX_BEGINS:
            raise EncoderError(f"OpenVINO can't load '{path}': it is no ONNX file; export it again")


@lru_cache(maxsize=1)
def _core() -> openvino.Core:
    """Return the process's one core, which is never given back.

    Each core's CPU plugin gives the thread an alternate signal stack, and puts the one before back when it goes. Two
    that go in the order in which they came leave one behind that is no memory any more, and the next signal that Python
    handles, such as Ctrl-C, would end the process.
    """
    import openvino

    return openvino.Core()


def why_no_openvino() -> str:
    """Say why OpenVINO can't run here; empty where it can."""
    return "" if find_spec("openvino") else "openvino is not installed; 'pip install openvino'"


def why_no_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Say why this processor does not compute in bf16; empty where it does."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        words = set()
    return "" if words & _BF16_FLAGS else f"this processor has none of {', '.join(sorted(_BF16_FLAGS))}"
