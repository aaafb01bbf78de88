"""What every engine is: something that runs a network on one preprocessed image."""

from __future__ import annotations

import re
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.errors import RunError

Precision = Literal["fp32", "fp16", "bf16", "int8"]
# Lines in which OpenVINO says where in its sources it failed; the cause comes behind them.
_PLACE = re.compile(r"Exception from \S+:\d+:|Check '.*' failed at \S+:\d+:")
_LONGEST = 400  # characters


class Engine(Protocol):
    """A network, loaded and ready."""

    @property
    def name(self) -> str:
        """Return what users call it, such as ``onnxruntime``; with its precision where that is not fp32."""

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once.

        Args:
            network_input: What the recipe's preprocessing gives, shape (1, 3, height, width), C-contiguous.

        Raises:
            RunError: The runtime failed; carries its words.
        """


def encoding_of(descriptor: NDArray[np.float32], feature_map: NDArray[np.float32] | None) -> Encoding:
    """Return what a network gave for one image: the only row of each output.

    Raises:
        RunError: An output has another type, other axes, or not one row; says which, and what is expected.
    """
    outputs = {
        "descriptor": (descriptor, 2, "(1, dim)"),
        "feature map": (feature_map, 4, "(1, channels, rows, columns)"),
    }
    for output, (values, axes, shape) in outputs.items():
        if values is not None and (values.dtype != np.float32 or values.ndim != axes or len(values) != 1):
            raise RunError(
                f"the network gave a {output} of shape {values.shape} and type {values.dtype}, expected {shape} and "
                "float32; export it for one image"
            )
    return Encoding(descriptor[0], None if feature_map is None else feature_map[0])


def spelled(engine: str, precision: Precision) -> str:
    """Return how an engine at a precision is called: ``openvino`` at fp32, else ``openvino:int8``."""
    return engine if precision == "fp32" else f"{engine}:{precision}"


def first_line(error: Exception) -> str:
    """Return the first line of what a runtime said, of pages that some of them say."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def in_one_line(error: Exception) -> str:
    """Return what a runtime said in few lines as one, without the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = " ".join([line for line in lines if not _PLACE.fullmatch(line)] or lines[-1:])
    return cause[:_LONGEST] or type(error).__name__
