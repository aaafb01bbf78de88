"""How fast the whole path is, from image to decision, and what the plain way costs on the same images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Frame
from vpr_ros.detection import LoopDetector, Observation, Settings
from vpr_ros.encoders import Encoder
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.evaluation.run import run_recording
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import Source

# What a first loop check in OpenCV usually asks for: Rublee et al. 2011 (ORB), Lowe's ratio test of 2004.
_ORB_FEATURES = 500
_LOWE_RATIO = 0.75

OnFrame = Callable[[], None]


def bench_pipeline(source: Source, encoder: Encoder, settings: Settings, on_frame: OnFrame) -> Benchmark:
    """Measure the detector on a source, and ORB features matched by brute force against every earlier keyframe.

    Args:
        source: Open source.
        encoder: Encoder to run.
        settings: As for ``vpr_ros loops``; the map is kept in memory.
        on_frame: Called after each frame, for progress.

    Raises:
        SourceError: The source can't be read.
    """
    keyframes: list[NDArray[np.uint8]] = []
    with PlaceMap.in_memory(encoder.recipe) as place_map:

        def keep(frame: Frame, observation: Observation) -> None:
            if observation.keyframe is not None:
                keyframes.append(frame.image)
                spent_ms.append(sum(observation.timing_ms.values()))
            on_frame()

        spent_ms: list[float] = []
        recording = run_recording(source, LoopDetector(encoder, place_map, settings), keep)
    ours = BenchRow.of(
        "whole path, a keyframe", spent_ms, keyframes=len(keyframes), frames_per_s=recording.frames / recording.seconds
    )
    stages = tuple(
        BenchRow(f"  {stage}", peer=False, p50_ms=timing.p50_ms, p95_ms=timing.p95_ms)
        for stage, timing in recording.timing.items()
    )
    peer = BenchRow.of(
        f"ORB {_ORB_FEATURES} + brute-force matching, a keyframe", list(_orb_by_brute_force(keyframes)), peer=True
    )
    return Benchmark("pipeline", (ours, *stages, peer), {"ORB brute force / whole path": peer.p50_ms / ours.p50_ms})


def _orb_by_brute_force(images: Iterable[NDArray[np.uint8]]) -> Iterable[float]:
    """Yield the ms that each image takes: features, then a match against every image before it."""
    orb, matcher = cv2.ORB_create(_ORB_FEATURES), cv2.BFMatcher(cv2.NORM_HAMMING)  # type: ignore[attr-defined]
    earlier: list[NDArray[np.uint8]] = []
    for image in images:
        began = time.perf_counter()
        _, descriptors = orb.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
        if descriptors is not None and len(descriptors) > 1:
            for others in earlier:
                _good_matches(matcher, descriptors, others)
            earlier.append(descriptors)
        yield 1000 * (time.perf_counter() - began)


def _good_matches(matcher: cv2.BFMatcher, ours: NDArray[np.uint8], others: NDArray[np.uint8]) -> int:
    pairs = matcher.knnMatch(ours, others, k=2)
    return sum(best.distance < _LOWE_RATIO * second.distance for best, second in pairs)
