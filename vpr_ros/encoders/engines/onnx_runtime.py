"""ONNX Runtime: on the processor the engine that runs everywhere and needs no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import encoding_of, first_line, in_one_line
from vpr_ros.encoders.errors import EncoderError, RunError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DESCRIPTOR, FEATURE_MAP = "descriptor", "feature_map"
_CPU = "CPUExecutionProvider"
# A robot has other work: more threads than this gain little at one image a pass.
_MOST_THREADS = 4

# A provider's name, and its options.
Provider = tuple[str, dict[str, str]]


class OnnxRuntime:
    """A network from an ONNX file, on the providers of ONNX Runtime that it is given.

    Attributes:
        name: ``onnxruntime``, and for a graphics processor ``onnxruntime_cuda`` or ``onnxruntime_tensorrt``.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        output: str = DESCRIPTOR,
        name: str = "onnxruntime",
        providers: Sequence[Provider] = (),
    ) -> None:
        """Load the network.

        Args:
            path: ONNX file with one input and a descriptor among its outputs, and where it has one, ``feature_map``.
            threads: Processor threads a pass; None for what the process may use, four at most.
            output: Name of the output that is the descriptor.
            name: What users call it.
            providers: What runs it, the processor last; the first must start. None given: the processor.

        Raises:
            EncoderError: ONNX Runtime is not installed, the file is none it can run, or the provider does not start.
        """
        self.name = name
        self._session = _open_session(path, threads, [*providers, (_CPU, {})])
        # ONNX Runtime goes on with the processor where a provider can't start, and says so only in its log.
        if providers and self._session.get_providers()[0] != providers[0][0]:
            raise EncoderError(
                f"engine {name} can't start: ONNX Runtime fell back to {self._session.get_providers()[0]}; its "
                f"{providers[0][0]} needs the CUDA, cuDNN and TensorRT it was built for. Take engine auto"
            )
        self._input, self._outputs = _names(self._session, path, output)

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        try:
            descriptor, *rest = self._session.run(self._outputs, {self._input: network_input})
        except Exception as error:  # ONNX Runtime's exceptions share no class of their own.
            raise RunError(f"ONNX Runtime failed: {in_one_line(error)}") from error
        return encoding_of(descriptor, rest[0] if rest else None)


def default_threads() -> int:
    """Return how many threads a pass takes where nobody says: the process's cores, four at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def why_no_onnxruntime() -> str:
    """Say why ONNX Runtime can't run here; empty where it can."""
    return "" if find_spec("onnxruntime") else "onnxruntime is not installed; 'pip install onnxruntime'"


def offered_providers() -> tuple[str, ...]:
    """Return the providers that the installed ONNX Runtime was built with; none if it can't be imported."""
    try:
        import onnxruntime
    except Exception:  # noqa: BLE001 - a broken library can raise anything; opening an engine says what
        return ()
    return tuple(onnxruntime.get_available_providers())


def _open_session(path: Path, threads: int | None, providers: Sequence[Provider]) -> InferenceSession:
    try:
        import onnxruntime
    except Exception as error:  # A broken library can raise anything.
        raise EncoderError(
            f"engine onnxruntime can't start: {first_line(error)}; install it with 'pip install onnxruntime'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    # Spinning threads answer a little faster and burn a core between images, which a robot needs elsewhere.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's exceptions share no class of their own.
        raise EncoderError(f"ONNX Runtime can't load '{path}': {in_one_line(error)}; export it again") from error


def _names(session: InferenceSession, path: Path, descriptor: str) -> tuple[str, list[str]]:
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    if len(inputs) != 1 or descriptor not in outputs:
        raise EncoderError(
            f"'{path}' has inputs {inputs} and outputs {outputs}, expected one input and an output "
            f"'{descriptor}'; export it with 'vpr_ros export', or state the right 'output' in the recipe beside it"
        )
    return inputs[0], [name for name in (descriptor, FEATURE_MAP) if name in outputs]
