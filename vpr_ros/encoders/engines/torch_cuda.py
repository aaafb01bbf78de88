"""torch on an NVIDIA GPU: half precision, channels last, and one CUDA graph a pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Precision, first_line, spelled
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.models.folding import fold_batch_norms
from vpr_ros.encoders.models.networks import load_network

_WARM_UP = 3  # Passes before capture, in which cuDNN chooses its algorithms (PyTorch's notes on CUDA graphs).


class TorchCuda:
    """A torch module on the GPU, recorded once as a CUDA graph and replayed for each image.

    Attributes:
        name: ``torch_cuda:fp16`` or ``torch_cuda``.
    """

    def __init__(self, network: torch.nn.Module, shape: tuple[int, ...], precision: Precision = "fp16") -> None:
        """Move a network to the GPU and record a pass.

        Args:
            network: Loaded with its weights; its own copy is moved.
            shape: Of the input, (batch, 3, height, width).
            precision: fp16 or fp32.

        Raises:
            EncoderError: torch finds no GPU it can use, or the pass can't be recorded.
        """
        self.name = spelled("torch_cuda", precision)
        if not torch.cuda.is_available():
            raise EncoderError("engine torch_cuda can't start: this torch finds no GPU; take engine auto")
        dtype = torch.float16 if precision == "fp16" else torch.float32
        try:
            moved = fold_batch_norms(network).to("cuda", dtype).to(memory_format=torch.channels_last)
            self._host = torch.empty(shape, pin_memory=True)
            self._input = torch.zeros(shape, device="cuda")
            self._graph = torch.cuda.CUDAGraph()
            self._outputs = self._record(moved, dtype)
        except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one
            raise EncoderError(f"engine torch_cuda can't start: {first_line(error)}; take engine auto") from error

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once; see :class:`~vpr_ros.encoders.engines.engine.Engine`."""
        return self.run_batch(network_input)[0]

    def run_batch(self, network_inputs: NDArray[np.float32]) -> list[Encoding]:
        """Run the network on as many preprocessed images as its shape has.

        Raises:
            EncoderError: torch failed, or it was made for another number; carries its words.
        """
        try:
            self._host.copy_(torch.from_numpy(network_inputs))
            self._input.copy_(self._host, non_blocking=True)
            self._graph.replay()
            descriptors, *rest = (output.cpu().numpy() for output in self._outputs)
        except RuntimeError as error:
            raise EncoderError(f"torch failed on the GPU: {first_line(error)}") from error
        maps = rest[0] if rest else [None] * len(descriptors)
        return [Encoding(descriptor, feature_map) for descriptor, feature_map in zip(descriptors, maps, strict=True)]

    @torch.inference_mode()
    def _record(self, network: torch.nn.Module, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        def once() -> tuple[torch.Tensor, ...]:
            output = network(self._input.to(dtype, memory_format=torch.channels_last))
            return tuple(part.float() for part in (output if isinstance(output, tuple) else (output,)))

        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        # cuDNN would take TF32 for float32, which has ten bits less; what the graph holds is chosen here.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UP):
                    once()
            torch.cuda.current_stream().wait_stream(aside)
            with torch.cuda.graph(self._graph):
                return once()


def open_checkpoint_on_gpu(name: str, checkpoint: Path, precision: Precision) -> tuple[Recipe, TorchCuda]:
    """Return the recipe of a checkpoint and the engine that runs it.

    Raises:
        EncoderError: The file can't be read, holds another network than the name says, or the GPU can't run it.
    """
    network, recipe = load_network(name, checkpoint)
    return recipe, TorchCuda(network, (1, 3, recipe.height, recipe.width), precision)


def why_no_cuda() -> str:
    """Say why torch can't run on a GPU here; empty where it can."""
    return "" if torch.cuda.is_available() else "this torch finds no GPU; install one that was built for its CUDA"
