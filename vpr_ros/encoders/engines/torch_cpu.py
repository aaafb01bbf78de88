"""torch on the processor: the reference the other engines are compared with, and the one that runs checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import encoding_of, first_line
from vpr_ros.encoders.errors import EncoderError, RunError
from vpr_ros.encoders.models.networks import load_network


class TorchCpu:
    """A torch module, run eagerly in float32.

    Attributes:
        name: ``torch_cpu``.
    """

    name = "torch_cpu"

    def __init__(self, network: torch.nn.Module, *, threads: int | None = None) -> None:
        """Take a network whose forward returns the descriptor, or the descriptor and the feature map.

        Args:
            network: Loaded with its weights.
            threads: Processor threads, of the whole process (torch knows no other); None leaves torch's choice.
        """
        self._network = network.eval()
        if threads is not None:
            torch.set_num_threads(threads)

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        try:
            with torch.inference_mode():
                output = self._network(torch.from_numpy(network_input))
            descriptor, *rest = (part.numpy() for part in (output if isinstance(output, tuple) else (output,)))
        except EncoderError:
            raise
        except Exception as error:  # A TorchScript file is a program, which can raise anything.
            raise RunError(f"torch failed: {_cause(error)}") from error
        return encoding_of(descriptor, rest[0] if rest else None)


def _cause(error: Exception) -> str:
    """Return the line that tells what failed; TorchScript's own come behind the lines of its program."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines and "TorchScript interpreter" in lines[0] else first_line(error)


def open_checkpoint(name: str, checkpoint: Path, threads: int | None) -> tuple[Recipe, TorchCpu]:
    """Return the recipe of a checkpoint and the engine that runs it.

    Raises:
        EncoderError: The file can't be read, or holds another network than the name says.
    """
    network, recipe = load_network(name, checkpoint)
    return recipe, TorchCpu(network, threads=threads)
