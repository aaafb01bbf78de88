"""How fast an image becomes a descriptor, and what the two usual ways there cost in the same run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders import EncoderError, open_encoder, registered
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.evaluation.peers.opencv_encoder import OpenCvEncoder

_LOG = logging.getLogger(__name__)
THREADS = 2
_REPEATS = 50
_WARM_UP = 3
# What a robot's camera usually gives.
_WIDTH, _HEIGHT = 640, 480

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def bench_encode(
    name: str, engine: str = "auto", *, repeats: int = _REPEATS, on_image: Callable[[], None] = lambda: None
) -> Benchmark:
    """Measure an encoder and the usual ways, one after another on each image, each on two threads.

    A peer that can't run here (no torch, no checkpoint) is left out.

    Args:
        name: A registered encoder.
        engine: What runs ours.
        repeats: Images, of 640 x 480.
        on_image: Called after each image, for progress.

    Raises:
        EncoderError: It can't be opened.
    """
    encoder = open_encoder(name, engine, threads=THREADS)
    ours = f"{name} on {encoder.engine}, {_WIDTH} x {_HEIGHT} to descriptor"
    ways: dict[str, Encode] = {ours: lambda image: encoder.encode(image).descriptor, **_peers(name)}
    images = _images(_WARM_UP + repeats)
    spent_ms: dict[str, list[float]] = {what: [] for what in ways}
    alike: dict[str, list[float]] = {what: [] for what in ways}
    for image in images:
        descriptors = {}
        for what, encode in ways.items():
            began = time.perf_counter()
            descriptors[what] = encode(image)
            spent_ms[what].append(1000 * (time.perf_counter() - began))
            alike[what].append(float(descriptors[what] @ descriptors[ours]))
        on_image()
    rows = [
        BenchRow.of(what, all_ms[_WARM_UP:], peer=what != ours, threads=THREADS, least_cosine_to_ours=min(alike[what]))
        for what, all_ms in spent_ms.items()
    ]
    first, *others = rows
    return Benchmark("encode", tuple(rows), {f"{row.what} / ours": row.p50_ms / first.p50_ms for row in others})


def _peers(name: str) -> dict[str, Encode]:
    peers: dict[str, Encode] = {}
    # Read when torch is loaded. Its threads spin while they wait, and where anything else wants a core, each of its
    # many small operators then waits for a time slice: 20 times as slow. Ours does not spin either.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from vpr_ros.evaluation.peers.torchvision_encoder import TorchvisionEncoder

        peers["torchvision transforms and torch"] = TorchvisionEncoder(name, THREADS).encode
    except (ImportError, EncoderError) as error:  # a robot has no torch
        _LOG.warning("the peer torchvision and torch is left out: %s", error)
    entry = next((entry for entry in registered() if entry.name == name), None)
    if entry is not None and entry.recipe is not None and entry.weights is not None:
        peers["cv2.resize and onnxruntime"] = OpenCvEncoder(entry.weights, entry.recipe, THREADS).encode
    return peers


def _images(count: int) -> list[NDArray[np.uint8]]:
    """Return smooth noise, each another: caches and branch prediction see something new each time."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, _HEIGHT // 16, _WIDTH // 16, 3), np.uint8)
    return [cv2.resize(one, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC) for one in coarse]
