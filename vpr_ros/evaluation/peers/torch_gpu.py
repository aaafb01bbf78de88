"""Plain torch on a GPU, what a network costs on any machine, and what a GPU reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vpr_ros.encoders.errors import EncoderError

_TRIES = 10
_HALF_BYTES = 2
# Large enough that a GPU reaches what it can: a product of square matrices, and a copy.
_MATRIX_SIDE, _COPIED_VALUES = 8192, 2**28


@dataclass(frozen=True, slots=True)
class Work:
    """What one image costs, whoever computes it.

    Attributes:
        flops: Floating-point operations, a multiplication and an addition being two.
        values: Numbers that pass through memory at least once: weights, and what each layer with weights reads and
            writes.
    """

    flops: int
    values: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What a device reaches, measured.

    Attributes:
        flops_per_s: In a large matrix product.
        bytes_per_s: In a large copy, read and written bytes together.
    """

    flops_per_s: float
    bytes_per_s: float

    def floor_ms(self, work: Work, bytes_a_value: int) -> float:
        """Return the least time of some work in ms: what is slower, computing or memory (the roofline)."""
        return 1000 * max(work.flops / self.flops_per_s, work.values * bytes_a_value / self.bytes_per_s)


def gpu_name() -> str:
    """Return what the GPU is called.

    Raises:
        EncoderError: torch finds none.
    """
    if not torch.cuda.is_available():
        raise EncoderError(
            f"this torch ({torch.__version__}) finds no NVIDIA GPU, so nothing was measured; on a machine with one "
            "install torch with CUDA. 'vpr_ros bench encode' measures the processor"
        )
    return torch.cuda.get_device_name()


def work_of(network: nn.Module, shape: tuple[int, ...]) -> Work:
    """Return what a pass of a network costs, counted on the processor.

    Args:
        network: In eval mode.
        shape: Of its input.
    """
    passed = sum(weight.numel() for weight in network.parameters())

    def count(_layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal passed
        passed += sum(each.numel() for each in inputs) + output.numel()

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(shape))
    for hook in hooks:
        hook.remove()
    return Work(counter.get_total_flops(), passed)


def speed_of(
    device: str, dtype: torch.dtype = torch.float16, *, side: int = _MATRIX_SIDE, values: int = _COPIED_VALUES
) -> Speed:
    """Measure what a device reaches: the best of some tries.

    Args:
        device: As torch names it.
        dtype: Of the matrices.
        side: Of the square matrices.
        values: That are copied, of two bytes each.
    """
    matrix = torch.ones((side, side), device=device, dtype=dtype)
    source = torch.zeros(values, device=device, dtype=torch.float16)
    target = torch.empty_like(source)

    def best_s(work: Callable[[], object]) -> float:
        spent_s = []
        for _ in range(_TRIES):
            began = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            spent_s.append(time.perf_counter() - began)
        return min(spent_s)

    return Speed(
        flops_per_s=2 * side**3 / best_s(lambda: matrix @ matrix),
        bytes_per_s=2 * _HALF_BYTES * values / best_s(lambda: target.copy_(source)),
    )


def eager(network: nn.Module, device: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the usual way: the network in fp32 as it is, from array to array."""
    moved = network.to(device)

    @torch.inference_mode()
    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        output = moved(torch.from_numpy(images).to(device))
        descriptors: NDArray[np.float32] = (output[0] if isinstance(output, tuple) else output).cpu().numpy()
        return descriptors

    return run
