"""How fast places are found and added, and how that changes as the map grows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Keyframe, Recipe
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.place_map import PlaceMap

# A day's patrol, a building, a town at one keyframe a second.
SIZES = (1_000, 10_000, 100_000)
# That of mixvpr-512; gem-lite's 320 take two thirds of the time, mixvpr-4096 eight times as long.
DIM = 512
# What the detector asks for: candidates and the rivals they are measured against, without its recent past.
_POOL_SIZE = 64
_RECENT = 50
_REPEATS = 50
# A thumbnail of 320 x 240 takes about this much as a JPEG.
_THUMBNAIL_BYTES = 10_000


def bench_search(sizes: Sequence[int] = SIZES, dim: int = DIM, repeats: int = _REPEATS) -> Benchmark:
    """Measure a search in maps of several sizes, and the plain numpy way on the same descriptors, in turn.

    The peer multiplies all descriptors with the query on as many threads as its BLAS likes, leaves out the recent past,
    and takes the best by partition. Ours stays on one thread, beside the encoder, which needs the others.

    Args:
        sizes: Numbers of places, ascending.
        dim: Length of a descriptor.
        repeats: Searches a size, each of both ways.
    """
    rows: list[BenchRow] = []
    ratios: dict[str, float] = {}
    for size in sizes:
        descriptors = _unit_rows(size, dim)
        with PlaceMap.in_memory(_recipe(dim)) as place_map:
            place_map.start_session()
            for keyframe in _keyframes(place_map, descriptors):
                place_map.add(keyframe)
            ours_ms, peer_ms = _search_in_turn(place_map, descriptors, repeats)
        ours = BenchRow.of(f"search, {size} places", ours_ms, places=size, dim=dim)
        peer = BenchRow.of(f"numpy product and partition, {size} places", peer_ms, peer=True, places=size, dim=dim)
        rows += [ours, peer]
        ratios[f"numpy / search, {size} places"] = peer.p50_ms / ours.p50_ms
    return Benchmark("search", tuple(rows), ratios)


def bench_growth(places: int = 10_000, steps: int = 5, dim: int = DIM) -> Benchmark:
    """Measure adding places to a map on disk while it grows, and opening it in the end.

    Args:
        places: Places in the end.
        steps: Parts that the way there is told in.
        dim: Length of a descriptor.
    """
    descriptors = _unit_rows(places, dim)
    part = places // steps
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "growth.vprmap")
        with PlaceMap.open_or_create(directory, _recipe(dim)) as place_map:
            place_map.start_session()
            keyframes = _keyframes(place_map, descriptors, bytes(_THUMBNAIL_BYTES))
            spent_ms = [_spent_ms(place_map.add, keyframe) for keyframe in keyframes]
        for start in range(0, places, part):
            some = spent_ms[start : start + part]
            rows.append(BenchRow.of(f"add, from {start} places on", some, places=start, max_ms=max(some)))
        opened_ms = [_spent_ms(_open_and_close, directory) for _ in range(5)]
        rows.append(BenchRow.of(f"open, {places} places", opened_ms, places=places))
    ratios = {f"add at the start / add from {rows[-2].more['places']} places on": rows[0].p50_ms / rows[-2].p50_ms}
    return Benchmark("growth", tuple(rows), ratios)


def _search_in_turn(
    place_map: PlaceMap, descriptors: NDArray[np.float32], repeats: int
) -> tuple[list[float], list[float]]:
    """Return the ms of our searches and of the peer's. They alternate, so that what else runs here slows both."""
    rng = np.random.default_rng(1)
    recent = np.arange(len(descriptors) - _RECENT, len(descriptors))
    ours_ms, peer_ms = [], []
    for _ in range(repeats):
        query = _unit_rows(1, descriptors.shape[1], rng)[0]
        ours_ms.append(_spent_ms(lambda query=query: place_map.search(query, _POOL_SIZE, exclude=recent)))
        peer_ms.append(_spent_ms(lambda query=query: _numpy_search(descriptors, query, recent)))
    return ours_ms, peer_ms


def _numpy_search(
    descriptors: NDArray[np.float32], query: NDArray[np.float32], recent: NDArray[np.int64]
) -> NDArray[np.int64]:
    similarities = descriptors @ query
    similarities[recent] = -np.inf
    best = np.argpartition(-similarities, _POOL_SIZE)[:_POOL_SIZE]
    ranked: NDArray[np.int64] = best[np.argsort(-similarities[best])]
    return ranked


def _open_and_close(directory: Path) -> None:
    PlaceMap.open(directory, read_only=True).close()


def _spent_ms(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - began)


def _keyframes(
    place_map: PlaceMap, descriptors: NDArray[np.float32], thumbnail: bytes | None = None
) -> Iterator[Keyframe]:
    for place_id, descriptor in enumerate(descriptors):
        yield Keyframe(place_id, place_map.session, place_id, descriptor, thumbnail)


def _unit_rows(count: int, dim: int, rng: np.random.Generator | None = None) -> NDArray[np.float32]:
    rng = rng or np.random.default_rng(0)
    rows = rng.standard_normal((count, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _recipe(dim: int) -> Recipe:
    return Recipe("noise", 1, 1, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), dim, "0" * 64, "none")
