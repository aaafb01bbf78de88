"""ONNX Runtime on the processor: the engine that runs everywhere and needs no torch."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.errors import EncoderError

DESCRIPTOR, FEATURE_MAP = "descriptor", "feature_map"
# A robot has other work: more threads than this gain little at one image a pass.
_MOST_THREADS = 4


class OnnxRuntimeCpu:
    """A network from an ONNX file, on ONNX Runtime's CPU provider.

    Attributes:
        name: ``onnxruntime``.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Load the network.

        Args:
            path: ONNX file with one input and an output ``descriptor``, and where it has one, ``feature_map``.
            threads: Processor threads a pass; None for what the process may use, four at most.

        Raises:
            EncoderError: ONNX Runtime is not installed, or the file is none it can run.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise EncoderError(
                f"engine onnxruntime can't start: {error}; install it with 'pip install onnxruntime'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.inter_op_num_threads = 1
        # Spinning threads answer a little faster and burn a core between images, which a robot needs elsewhere.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no class of their own.
            raise EncoderError(f"ONNX Runtime can't load '{path}': {_first_line(error)}; export it again") from error
        self._input, self._outputs = self._names(path)

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        try:
            descriptor, *rest = self._session.run(self._outputs, {self._input: network_input})
        except Exception as error:  # ONNX Runtime's exceptions share no class of their own.
            raise EncoderError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return Encoding(descriptor[0], rest[0][0] if rest else None)

    def _names(self, path: Path) -> tuple[str, list[str]]:
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        if len(inputs) != 1 or DESCRIPTOR not in outputs:
            raise EncoderError(
                f"'{path}' has inputs {inputs} and outputs {outputs}, expected one input and an output "
                f"'{DESCRIPTOR}'; export it with 'vpr_ros export'"
            )
        return inputs[0], [name for name in (DESCRIPTOR, FEATURE_MAP) if name in outputs]


def default_threads() -> int:
    """Return how many threads a pass takes where nobody says: the process's cores, four at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
