"""How well an encoder stands up to what changes between two visits, on a recording that nobody has labelled."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Keyframe
from vpr_ros.detection.keyframes import KeyframeRules, KeyframeSelector
from vpr_ros.encoders import Encoder
from vpr_ros.evaluation.alterations import ALTERATIONS, Alteration, Image
from vpr_ros.evaluation.retrieval import DEPTH, OnFrame, ranked
from vpr_ros.place_map import PlaceMap
from vpr_ros.scoring import RetrievalFigures, ToleranceTruth, score_retrieval
from vpr_ros.sources import Source

_SEED = 3
# Grain is of pixels, so images are made alike first; no encoder of the table looks at more.
_MOST_PIXELS = 640


@dataclass(frozen=True, slots=True)
class AlteredRetrieval:
    """What came of one run.

    Attributes:
        encoder: Registered name of the encoder.
        images: Keyframes, each a place and a query of every alteration.
        tolerance: Right is the query's own keyframe, or one within this many of it.
        figures: By the alteration's name.
        seconds: Wall clock of the run.
    """

    encoder: str
    images: int
    tolerance: int
    figures: dict[str, RetrievalFigures]
    seconds: float


def retrieve_altered(
    source: Source, encoder: Encoder, rules: KeyframeRules, tolerance: int, on_frame: OnFrame
) -> AlteredRetrieval:
    """Search each keyframe of a recording, altered, among all of them, once for each alteration.

    Args:
        source: Open source.
        encoder: Encoder to run.
        rules: Which frames are keyframes.
        tolerance: Right is the query's own keyframe, or one within this many of it.
        on_frame: Called after each frame, for progress.

    Raises:
        SourceError: The source can't be read.
        TruthError: The tolerance is below 0.
    """
    began = time.perf_counter()
    truth = ToleranceTruth(tolerance)
    selector = KeyframeSelector(rules)
    seen = [_Seen(alteration) for alteration in ALTERATIONS]
    for frame in source.frames():
        if selector.is_keyframe(frame):
            selector.take(frame)
            image = _small(frame.image)
            for each in seen:
                each.add(image, encoder)
        on_frame()
    return AlteredRetrieval(
        encoder=encoder.recipe.name,
        images=len(seen[0].places),
        tolerance=tolerance,
        figures={each.alteration.name: each.figures(encoder, truth) for each in seen},
        seconds=time.perf_counter() - began,
    )


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = _MOST_PIXELS / max(height, width)
    if scale >= 1:
        return image
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


class _Seen:
    """The descriptors of one alteration."""

    def __init__(self, alteration: Alteration) -> None:
        self.alteration = alteration
        self.places: list[NDArray[np.float32]] = []
        self._queries: list[NDArray[np.float32]] = []

    def add(self, image: Image, encoder: Encoder) -> None:
        rng = np.random.default_rng((_SEED, len(self.places)))
        self.places.append(encoder.encode(self.alteration.place_of(image)).descriptor)
        self._queries.append(encoder.encode(self.alteration.query_of(image, rng)).descriptor)

    def figures(self, encoder: Encoder, truth: ToleranceTruth) -> RetrievalFigures:
        positions = np.arange(len(self.places))
        with PlaceMap.in_memory(encoder.recipe) as place_map:
            place_map.start_session()
            for position, descriptor in enumerate(self.places):
                place_map.add(Keyframe(place_map.next_id, place_map.session, position, descriptor, None))
            answers = [place_map.search(descriptor, DEPTH) for descriptor in self._queries]
        return score_retrieval(positions, *ranked(answers, positions), positions, truth)
