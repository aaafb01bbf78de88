"""Plain retrieval: which images of a database look most like each query, without a decision about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Frame, Keyframe
from vpr_ros.detection import Settings
from vpr_ros.detection.keyframes import KeyframeSelector
from vpr_ros.detection.recent_past import RecentPast
from vpr_ros.encoders import Encoder
from vpr_ros.evaluation.recording import SeenFrames
from vpr_ros.place_map import Match, PlaceMap
from vpr_ros.scoring import RetrievalFigures, Truth, score_retrieval
from vpr_ros.sources import Source

# Recall is told at 1, 5 and 10; more are ranked, because those that truth leaves open are taken out.
DEPTH = 50
_NO_MATCH = -1

OnFrame = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """All answers of one run.

    Attributes:
        encoder: Registered name of the encoder.
        queries: Frames that asked, n of them.
        database: Frames that could be found.
        matches: Frames of the database, the most similar first, shape (n, k), int64; -1 where there are fewer.
        similarities: Cosine of the two global descriptors, shape (n, k), float64.
        is_sequence: Whether queries and database are one recording, searched backwards in time.
        seconds: Wall clock of the run.
    """

    encoder: str
    queries: SeenFrames
    database: SeenFrames
    matches: NDArray[np.int64]
    similarities: NDArray[np.float64]
    is_sequence: bool
    seconds: float

    def figures(self, truth: Truth) -> RetrievalFigures:
        """Return what truth says of the answers."""
        return score_retrieval(
            self.queries.frames,
            self.matches,
            self.similarities,
            self.database.frames,
            truth,
            only_earlier=self.is_sequence,
        )


def retrieve(database: Source, queries: Source, encoder: Encoder, on_frame: OnFrame) -> Retrieval:
    """Rank all images of a database for each query image.

    Args:
        database: Open source; every frame is a place.
        queries: Open source; every frame is a query.
        encoder: Encoder to run.
        on_frame: Called after each frame of both, for progress.

    Raises:
        SourceError: A source can't be read.
    """
    began = time.perf_counter()
    places, asked = _Seen(), _Seen()
    with PlaceMap.in_memory(encoder.recipe) as place_map:
        place_map.start_session()
        for frame in database.frames():
            place_map.add(_keyframe(place_map, frame, encoder))
            places.add(frame)
            on_frame()
        answers = []
        for frame in queries.frames():
            answers.append(place_map.search(encoder.encode(frame.image).descriptor, DEPTH))
            asked.add(frame)
            on_frame()
    return _retrieval(encoder, asked, places, answers, began, is_sequence=False)


def retrieve_sequence(source: Source, encoder: Encoder, settings: Settings, on_frame: OnFrame) -> Retrieval:
    """Rank, for each keyframe, the earlier keyframes outside its recent past.

    Args:
        source: Open source.
        encoder: Encoder to run.
        settings: Which frames are keyframes, and what the recent past is.
        on_frame: Called after each frame, for progress.

    Raises:
        SourceError: The source can't be read.
    """
    began = time.perf_counter()
    selector, recent_past = (
        KeyframeSelector(settings.keyframes),
        RecentPast(settings.of_encoder(encoder.recipe).thresholds),
    )
    seen = _Seen()
    answers = []
    with PlaceMap.in_memory(encoder.recipe) as place_map:
        place_map.start_session()
        for frame in source.frames():
            if selector.is_keyframe(frame):
                selector.take(frame)
                keyframe = _keyframe(place_map, frame, encoder)
                answers.append(place_map.search(keyframe.descriptor, DEPTH, exclude=recent_past.excluded(keyframe)))
                place_map.add(keyframe)
                recent_past.remember(keyframe)
                seen.add(frame)
            on_frame()
    return _retrieval(encoder, seen, seen, answers, began, is_sequence=True)


def ranked(
    answers: Sequence[Sequence[Match]], frames: Sequence[int] | NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the found frames and their similarities, shape (n, ``DEPTH``) each; -1 where there are fewer.

    Args:
        answers: Of each query, the places found, the most similar first.
        frames: Of each place, in the order of ids from 0 on.
    """
    matches = np.full((len(answers), DEPTH), _NO_MATCH, np.int64)
    similarities = np.full(matches.shape, -1.0)
    for row, found in enumerate(answers):
        matches[row, : len(found)] = [frames[match.id] for match in found]
        similarities[row, : len(found)] = [match.similarity for match in found]
    return matches, similarities


@dataclass(slots=True)
class _Seen:
    """Frames taken so far."""

    frames: list[int] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    timed: bool = True

    def add(self, frame: Frame) -> None:
        self.frames.append(frame.index)
        self.stamps_ns.append(frame.stamp_ns)
        self.timed &= frame.timed

    def as_arrays(self) -> SeenFrames:
        return SeenFrames(np.array(self.frames, np.int64), np.array(self.stamps_ns, np.int64), self.timed)


def _keyframe(place_map: PlaceMap, frame: Frame, encoder: Encoder) -> Keyframe:
    return Keyframe(
        id=place_map.next_id,
        session=place_map.session,
        stamp_ns=frame.stamp_ns,
        descriptor=encoder.encode(frame.image).descriptor,
        t_odom_camera=frame.t_odom_camera,
        timed=frame.timed,
    )


def _retrieval(
    encoder: Encoder, asked: _Seen, places: _Seen, answers: list[list[Match]], began: float, *, is_sequence: bool
) -> Retrieval:
    matches, similarities = ranked(answers, places.frames)
    return Retrieval(
        encoder=encoder.recipe.name,
        queries=asked.as_arrays(),
        database=places.as_arrays(),
        matches=matches,
        similarities=similarities,
        is_sequence=is_sequence,
        seconds=time.perf_counter() - began,
    )
