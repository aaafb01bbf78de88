"""How fast candidates are re-ranked, and the authors' Patch-NetVLAD on equal input in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders import Encoder, open_encoder
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.reranking import (
    PatchDescriptors,
    PatchScale,
    PatchVocabulary,
    RerankingError,
    describe,
    open_vocabulary,
    spatial_score,
)

THREADS = 2
CANDIDATES = 10
_REPEATS = 30
_WARM_UP = 3
# The authors' "storage" configuration: windows of 5 x 5 on the map of a 480 x 640 image, 128 values each.
_SIZE, _ROWS, _COLUMNS, _DIM = 5, 30, 40, 128
_WEIGHTS = {_SIZE: 1.0}

OnRound = Callable[[], None]
_Result = TypeVar("_Result")


def bench_rerank(repeats: int = _REPEATS, on_round: OnRound = lambda: None) -> Benchmark:
    """Measure scoring on the input of the authors' storage preset beside their code, and the shared form as shipped.

    Both use the threads that the process may (``taskset -c 0,1`` for two). Rounds alternate, so that what else runs
    here slows both. Without the authors' package their row and the ratio are left out.

    Args:
        repeats: Rounds of each.
        on_round: Called after each round, for progress.

    Raises:
        EncoderError: mixvpr-lite can't be opened.
        RerankingError: Its vocabulary is missing or damaged.
    """
    scoring, ratios = _bench_scoring(repeats, on_round)
    encoder = open_encoder("mixvpr-lite", threads=THREADS)
    shared = _bench_shared_form(encoder, open_vocabulary(encoder.recipe), repeats, on_round)
    return Benchmark("rerank", (*scoring, *shared), ratios)


def _bench_scoring(repeats: int, on_round: OnRound) -> tuple[list[BenchRow], dict[str, float]]:
    query, *candidates = _views(1 + CANDIDATES)
    theirs = _peer(query, candidates)
    ours_ms, theirs_ms, difference = [], [], 0.0
    for _ in range(_WARM_UP + repeats):
        ours, spent_ms = _timed(partial(_score_all, query, candidates, _WEIGHTS))
        ours_ms.append(spent_ms)
        if theirs is not None:
            scores, spent_ms = _timed(theirs)
            theirs_ms.append(spent_ms)
            difference = max(difference, float(np.max(np.abs(np.array(ours) / scores - 1))))
        on_round()
    what = f"score {CANDIDATES} candidates, {len(query.scales[0].vectors)} patches of {_DIM}"
    row = BenchRow.of(f"{what}, one size", ours_ms[_WARM_UP:])
    if not theirs_ms:
        return [row], {}
    peer = BenchRow.of(
        f"patchnetvlad 0.1.8 (storage preset): {what}",
        theirs_ms[_WARM_UP:],
        peer=True,
        largest_relative_difference=difference,
    )
    return [row, peer], {"patchnetvlad / ours, scoring": peer.p50_ms / row.p50_ms}


def _bench_shared_form(
    encoder: Encoder, vocabulary: PatchVocabulary, repeats: int, on_round: OnRound
) -> list[BenchRow]:
    spent: dict[str, list[float]] = {"encode": [], "describe": [], "read": [], "score": []}
    query = _describe(encoder, vocabulary, 0)
    stored = [_describe(encoder, vocabulary, seed).to_bytes() for seed in range(1, 1 + CANDIDATES)]
    for image in _images(_WARM_UP + repeats):
        encoding, encode_ms = _timed(partial(encoder.encode, image))
        assert encoding.feature_map is not None
        _, describe_ms = _timed(partial(describe, encoding.feature_map, vocabulary))
        candidates, read_ms = _timed(lambda: [PatchDescriptors.from_bytes(content) for content in stored])
        _, score_ms = _timed(partial(_score_all, query, candidates, vocabulary.window_weights))
        for name, spent_ms in zip(spent, (encode_ms, describe_ms, read_ms, score_ms), strict=True):
            spent[name].append(spent_ms)
        on_round()
    kept = {name: all_ms[_WARM_UP:] for name, all_ms in spent.items()}
    patches = sum(len(scale.vectors) for scale in query.scales)
    share = float(np.median(kept["describe"]) / np.median(kept["encode"]))
    size = f"{patches} patches of {vocabulary.dim}"
    return [
        BenchRow.of(f"{encoder.recipe.name}, the pass whose map is described", kept["encode"]),
        BenchRow.of(f"describe, shared form, {size}", kept["describe"], share_of_the_pass=share),
        BenchRow.of(f"read {CANDIDATES} candidates from bytes", kept["read"], bytes_a_keyframe=len(stored[0])),
        BenchRow.of(f"score {CANDIDATES} candidates, shared form, {size}", kept["score"]),
    ]


def _score_all(
    query: PatchDescriptors, candidates: Sequence[PatchDescriptors], window_weights: Mapping[int, float]
) -> list[float]:
    return [spatial_score(query, candidate, window_weights).published for candidate in candidates]


def _peer(query: PatchDescriptors, candidates: Sequence[PatchDescriptors]) -> Callable[[], list[float]] | None:
    """Return the authors' scoring of the same arrays, as they would have read them; None without their package."""
    try:
        from vpr_ros.evaluation.peers.patch_netvlad import peer_scoring
    except (ImportError, RuntimeError):
        return None  # a robot has no torch
    vectors = [one.scales[0].vectors for one in candidates]
    return peer_scoring(_SIZE, _ROWS, _COLUMNS, query.scales[0].vectors, vectors)


def _views(count: int) -> list[PatchDescriptors]:
    """Return views of one wall of patches, each shifted and with noise of its own, so that some patches match."""
    rng = np.random.default_rng(0)
    rows, columns = _ROWS - _SIZE + 1, _COLUMNS - _SIZE + 1
    wall = rng.standard_normal((rows, columns + count, _DIM), dtype=np.float32)
    views = []
    for shift in range(count):
        seen = wall[:, shift : shift + columns].reshape(-1, _DIM)
        seen = seen + rng.standard_normal(seen.shape, dtype=np.float32)
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        views.append(PatchDescriptors("0" * 64, (PatchScale(_SIZE, rows, columns, seen),)))
    return views


def _describe(encoder: Encoder, vocabulary: PatchVocabulary, seed: int) -> PatchDescriptors:
    feature_map = encoder.encode(_images(1, seed)[0]).feature_map
    if feature_map is None:
        raise RerankingError(f"'{encoder.recipe.name}' gives no feature map; export it again with 'vpr_ros export'")
    return describe(feature_map, vocabulary)


def _images(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return smooth noise of 640 x 480, each another."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 30, 40, 3), np.uint8)
    return [np.asarray(cv2.resize(one, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8) for one in coarse]


def _timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    began = time.perf_counter()
    result = work()
    return result, 1000 * (time.perf_counter() - began)
