"""How fast an image becomes a descriptor on each engine, and what the usual ways cost in the same run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders import EncoderError, NetworkEncoder, engine_states, open_encoder, registered
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.evaluation.encoder_process import measure_encoder_process
from vpr_ros.evaluation.peers.opencv_encoder import OpenCvEncoder

_LOG = logging.getLogger(__name__)
THREADS = 2
EAGER = "mixvpr-r50-512 in torch, eager"
_REPEATS = 50
_WARM_UP = 3
# What a robot's camera usually gives.
_WIDTH, _HEIGHT = 640, 480
_SIZE = f"{_WIDTH} x {_HEIGHT} to descriptor"

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """One way from image to descriptor.

    Attributes:
        network: What is computed; descriptors are compared within one network.
        encode: Does it.
        peer: Whether it is somebody else's way.
        more: Figures for its row.
    """

    network: str
    encode: Encode
    peer: bool = False
    more: Mapping[str, float | str] = field(default_factory=dict)


def bench_encode(
    name: str, engine: str = "auto", *, repeats: int = _REPEATS, on_image: Callable[[], None] = lambda: None
) -> Benchmark:
    """Measure an encoder and the usual ways, one after another on each image, each on two threads.

    With ``auto`` there is a row for each engine that is here, what ``auto`` chooses first; MixVPR-512 on ResNet-50 with
    random weights stands beside them on each engine and in plain torch. What can't run here (no torch, no checkpoint)
    is left out, and said.

    Args:
        name: A registered encoder.
        engine: What runs ours.
        repeats: Images, of 640 x 480.
        on_image: Called after each image, for progress.

    Raises:
        EncoderError: It can't be opened.
    """
    # Read when torch is loaded. Its threads spin while they wait, and where anything else wants a core, each of its
    # many small operators then waits for a time slice: 20 times as slow. Ours does not spin either.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with _mixvpr() as mixvpr:
        ways = _ours(name, name, engine)
        first = next(iter(ways))
        ways |= _peers(name)
        if mixvpr is not None:
            ways |= _ours(str(mixvpr), "mixvpr-r50-512", engine) | _eager_mixvpr()
        spent_ms, alike = _measure(ways, _images(_WARM_UP + repeats), on_image)
    rows = [
        BenchRow.of(
            what,
            spent_ms[what][_WARM_UP:],
            peer=way.peer,
            threads=THREADS,
            least_cosine_to_ours=min(alike[what]),
            **way.more,
        )
        for what, way in ways.items()
    ]
    return Benchmark("encode", tuple(rows), _ratios(rows, ways, first))


def _measure(
    ways: Mapping[str, _Way], images: list[NDArray[np.uint8]], on_image: Callable[[], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return times in ms, and cosines to the first way of the same network, by way and image."""
    spent_ms: dict[str, list[float]] = {what: [] for what in ways}
    alike: dict[str, list[float]] = {what: [] for what in ways}
    for image in images:
        firsts: dict[str, NDArray[np.float32]] = {}
        for what, way in ways.items():
            began = time.perf_counter()
            descriptor = way.encode(image)
            spent_ms[what].append(1000 * (time.perf_counter() - began))
            alike[what].append(float(descriptor @ firsts.setdefault(way.network, descriptor)))
        on_image()
    return spent_ms, alike


def _ratios(rows: list[BenchRow], ways: Mapping[str, _Way], first: str) -> dict[str, float]:
    """Return the peers' times over our first, and plain MixVPR's over each of ours."""
    p50_ms = {row.what: row.p50_ms for row in rows}
    network = ways[first].network
    ratios = {
        f"{what} / ours": p50_ms[what] / p50_ms[first]
        for what, way in ways.items()
        if way.peer and way.network == network
    }
    eager = f"{EAGER}, {_SIZE}"
    if eager in ways:
        ours = [what for what, way in ways.items() if not way.peer]
        ratios |= {f"{EAGER} / {what.removesuffix(f', {_SIZE}')}": p50_ms[eager] / p50_ms[what] for what in ours}
    return ratios


def _ours(name: str, label: str, engine: str) -> dict[str, _Way]:
    """Return an encoder on an engine; for ``auto`` what that chooses, then every other engine that is here."""
    chosen = open_encoder(name, engine, threads=THREADS)
    encoders = {chosen.engine: chosen}
    if engine == "auto":
        for state in engine_states():
            if state.reason or state.name in encoders:
                continue
            try:
                encoders[state.name] = open_encoder(name, state.name, threads=THREADS)
            except EncoderError as error:
                # That the random MixVPR has no checkpoint and no int8 file is nobody's loss.
                _LOG.log(logging.WARNING if label == name else logging.INFO, "%s: %s", label, error)
    return {f"{label} on {key}, {_SIZE}": _our_way(name, label, encoder) for key, encoder in encoders.items()}


def _our_way(name: str, label: str, encoder: NetworkEncoder) -> _Way:
    process = measure_encoder_process(name, encoder.engine, THREADS)
    more: dict[str, float | str] = {
        "peak_memory_mib": process.peak_memory_mib,
        "torch": "loaded" if process.has_torch else "not loaded",
    }
    return _Way(label, lambda image: encoder.encode(image).descriptor, more=more)


def _peers(name: str) -> dict[str, _Way]:
    peers: dict[str, _Way] = {}
    try:
        from vpr_ros.evaluation.peers.torchvision_encoder import TorchvisionEncoder

        peers["torchvision transforms and torch"] = _Way(name, TorchvisionEncoder.of(name, THREADS).encode, peer=True)
    except (ImportError, EncoderError) as error:  # a robot has no torch
        _LOG.warning("the peer torchvision and torch is left out: %s", error)
    entry = next((entry for entry in registered() if entry.name == name), None)
    if entry is not None and entry.recipe is not None and entry.weights is not None:
        encoder = OpenCvEncoder(entry.weights, entry.recipe, THREADS)
        peers["cv2.resize and onnxruntime"] = _Way(name, encoder.encode, peer=True)
    return peers


@contextmanager
def _mixvpr() -> Iterator[Path | None]:
    """Give the ONNX file of MixVPR-512 with random weights; None without torch, which makes it."""
    with TemporaryDirectory(prefix="vpr_ros_bench_") as folder:
        try:
            from vpr_ros.evaluation.peers.mixvpr_eager import export_random_mixvpr

            made = export_random_mixvpr(Path(folder))
        except (ImportError, EncoderError) as error:
            _LOG.warning("the peer MixVPR-512 is left out: %s", error)
            made = None
        yield made


def _eager_mixvpr() -> dict[str, _Way]:
    try:
        from vpr_ros.evaluation.peers.mixvpr_eager import random_mixvpr
        from vpr_ros.evaluation.peers.torchvision_encoder import TorchvisionEncoder
    except ImportError as error:
        _LOG.warning("MixVPR-512 in torch is left out: %s", error)
        return {}
    encoder = TorchvisionEncoder(*random_mixvpr(), THREADS)
    return {f"{EAGER}, {_SIZE}": _Way("mixvpr-r50-512", encoder.encode, peer=True)}


def _images(count: int) -> list[NDArray[np.uint8]]:
    """Return smooth noise, each another: caches and branch prediction see something new each time."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, _HEIGHT // 16, _WIDTH // 16, 3), np.uint8)
    return [cv2.resize(one, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC) for one in coarse]
