"""MixVPR-512 on an NVIDIA GPU: plain torch, ours one image and sixteen at a time, and the least the GPU could take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vpr_ros.encoders import EncoderError
from vpr_ros.encoders.engines.torch_cuda import TorchCuda
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.evaluation.peers.mixvpr_eager import NAME, random_mixvpr

_REPEATS = 100
_WARM_UP = 10
_BATCH = 16
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


def bench_gpu(*, repeats: int = _REPEATS, on_image: Callable[[], None] = lambda: None) -> Benchmark:
    """Measure MixVPR-512 (ResNet-50, random weights) on the GPU, from preprocessed image to descriptor in memory.

    Args:
        repeats: Images, and batches.
        on_image: Called after each, for progress.

    Raises:
        EncoderError: torch finds no GPU.
    """
    if not torch.cuda.is_available():
        raise EncoderError(
            f"this torch ({torch.__version__}) finds no NVIDIA GPU, so nothing was measured; on a machine with one "
            "install torch with CUDA. 'vpr_ros bench encode' measures the processor"
        )
    network, recipe = random_mixvpr()
    shape = (1, 3, recipe.height, recipe.width)
    work = work_of(network, shape)
    floor_ms = speed_of("cuda", torch.float16).floor_ms(work, _HALF_BYTES)
    images = np.random.default_rng(0).standard_normal((_BATCH, *shape[1:]), np.float32)
    one, many = TorchCuda(network, shape), TorchCuda(network, (_BATCH, *shape[1:]))
    plain = eager(network, "cuda")
    spent_ms: dict[str, list[float]] = {"eager": [], "one": [], "many": []}
    for _ in range(_WARM_UP + repeats):
        spent_ms["eager"].append(_ms(lambda: plain(images[:1])))
        spent_ms["one"].append(_ms(lambda: one.run(images[:1])))
        spent_ms["many"].append(_ms(lambda: many.run_batch(images)))
        on_image()
    cosine = float(one.run(images[:1]).descriptor @ plain(images[:1])[0])
    spent_ms = {way: times[_WARM_UP:] for way, times in spent_ms.items()}
    p50_ms = {way: float(np.median(times)) for way, times in spent_ms.items()}
    gpu = torch.cuda.get_device_name()
    rows = (
        BenchRow.of(f"{NAME} in torch, eager, fp32, one image", spent_ms["eager"], peer=True, gpu=gpu),
        BenchRow.of(
            f"{NAME} on {one.name}, one image", spent_ms["one"], gpu=gpu, floor_ms=floor_ms, cosine_to_eager=cosine
        ),
        BenchRow.of(
            f"{NAME} on {many.name}, {_BATCH} images",
            spent_ms["many"],
            gpu=gpu,
            images_per_s=1000 * _BATCH / p50_ms["many"],
        ),
    )
    ratios = {
        "eager fp32 / ours, one image": p50_ms["eager"] / p50_ms["one"],
        "ours, one image / floor": p50_ms["one"] / floor_ms,
        "ours, one image / a sixteenth of a batch": _BATCH * p50_ms["one"] / p50_ms["many"],
    }
    return Benchmark("gpu", rows, ratios)


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


def speed_of(device: str, dtype: torch.dtype, *, side: int = _MATRIX_SIDE, values: int = _COPIED_VALUES) -> Speed:
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
        def whole() -> None:
            work()
            if device == "cuda":
                torch.cuda.synchronize()

        return min(_ms(whole) for _ in range(_WARM_UP)) / 1000

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


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)
