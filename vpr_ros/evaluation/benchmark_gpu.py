"""MixVPR-512 on an NVIDIA GPU: plain torch, ours one image and sixteen at a time, and the least the GPU could take."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from vpr_ros.encoders.engines.engine import first_line
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow

_REPEATS = 100
_WARM_UP = 10
_BATCH = 16
_HALF_BYTES = 2


def bench_gpu(*, repeats: int = _REPEATS, on_image: Callable[[], None] = lambda: None) -> Benchmark:
    """Measure MixVPR-512 (ResNet-50, random weights) on the GPU, from preprocessed image to descriptor in memory.

    Args:
        repeats: Images, and batches.
        on_image: Called after each, for progress.

    Raises:
        EncoderError: There is no torch, it is broken, or it finds no GPU.
    """
    try:
        from vpr_ros.encoders.engines.torch_cuda import TorchCuda
        from vpr_ros.evaluation.peers.mixvpr_eager import NAME, random_mixvpr
        from vpr_ros.evaluation.peers.torch_gpu import eager, gpu_name, speed_of, work_of
    except Exception as error:  # A broken library can raise anything.
        raise EncoderError(
            f"'vpr_ros bench gpu' needs torch with CUDA, which can't be imported ({first_line(error)}); install it anew"
        ) from error

    gpu = gpu_name()
    network, recipe = random_mixvpr()
    shape = (1, 3, recipe.height, recipe.width)
    work = work_of(network, shape)
    floor_ms = speed_of("cuda").floor_ms(work, _HALF_BYTES)
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


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)
