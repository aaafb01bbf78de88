"""TorchScript files of the user's: whole networks, run as they are."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from vpr_ros.core import Recipe
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import ExportedNetwork, is_torchscript

_log = logging.getLogger(__name__)


class ScriptedNetwork(nn.Module):
    """A TorchScript network whose output became what the engines expect.

    ``forward`` takes (batch, 3, height, width) and returns the descriptor (batch, dim): the network's output, or the
    first where it gives several. A second output counts as feature map where it is (batch, channels, rows, columns).
    """

    def __init__(self, network: torch.jit.ScriptModule) -> None:
        """Take the network."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the descriptor, and the feature map where there is one."""
        output = self.network(images)
        outputs = list(output) if isinstance(output, (tuple, list)) else [output]
        if not outputs or not isinstance(outputs[0], Tensor) or outputs[0].ndim != 2:
            raise EncoderError(
                f"the TorchScript network gave {_told(outputs)}, expected a tensor (1, dim) first; trace a wrapper "
                "that returns the descriptor alone"
            )
        if len(outputs) > 1 and isinstance(outputs[1], Tensor) and outputs[1].ndim == 4:
            return outputs[0], outputs[1]
        return outputs[0]


def load_torchscript(path: Path) -> tuple[ScriptedNetwork, Recipe]:
    """Return the network of a TorchScript file, in eval mode, and the recipe beside it.

    A TorchScript file is a program: it is read after its sha256 was compared with the recipe's, and a warning names it.

    Raises:
        EncoderError: The file or its recipe is missing, the two don't belong together, or torch can't read it.
    """
    exported = ExportedNetwork.read(path)
    if not is_torchscript(path):
        raise EncoderError(f"'{path}' is no TorchScript file; save the network with torch.jit.save")
    _log.warning(
        "'%s' is TorchScript, a program that runs with your rights: use such files only of people you trust", path
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch calls TorchScript deprecated, files remain.
            network = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # A damaged file can make torch's reader raise anything.
        first_line = str(error).strip().partition("\n")[0]
        raise EncoderError(f"torch can't read '{path}': {first_line}; save it again with torch.jit.save") from error
    return ScriptedNetwork(network).eval(), exported.recipe


def _told(outputs: list[object]) -> str:
    first = outputs[0] if outputs else None
    return f"a tensor {tuple(first.shape)}" if isinstance(first, Tensor) else f"a {type(first).__name__}"
