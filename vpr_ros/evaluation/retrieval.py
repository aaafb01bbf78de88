"""Plain retrieval: which images of a database look most like each query, without a decision about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vpr_ros.core import Frame, Keyframe
from vpr_ros.detection import Settings
from vpr_ros.detection.keyframes import KeyframeSelector
from vpr_ros.detection.recent_past import RecentPast
from vpr_ros.encoders import Encoder
from vpr_ros.place_map import PlaceMap
from vpr_ros.sources import Source

# Recall is told at 1, 5 and 10.
DEPTH = 10

OnFrame = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best answers to one query.

    Attributes:
        query: Frame index in the queries' source.
        matches: Frame indexes in the database's source, the most similar first.
        similarities: Cosine of the two global descriptors, one a match.
    """

    query: int
    matches: tuple[int, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """All answers of one run.

    Attributes:
        encoder: Registered name of the encoder.
        rankings: One a query, in the queries' order.
        database: Images searched.
        seconds: Wall clock of the run.
    """

    encoder: str
    rankings: tuple[Ranking, ...]
    database: int
    seconds: float


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
    with PlaceMap.in_memory(encoder.recipe) as place_map:
        place_map.start_session()
        frame_of = []
        for frame in database.frames():
            place_map.add(_keyframe(place_map, frame, encoder))
            frame_of.append(frame.index)
            on_frame()
        rankings = []
        for frame in queries.frames():
            found = place_map.search(encoder.encode(frame.image).descriptor, DEPTH)
            rankings.append(_ranking(frame.index, ((frame_of[m.id], m.similarity) for m in found)))
            on_frame()
    return Retrieval(encoder.recipe.name, tuple(rankings), len(frame_of), time.perf_counter() - began)


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
    selector, recent_past = KeyframeSelector(settings.keyframes), RecentPast(settings.thresholds)
    with PlaceMap.in_memory(encoder.recipe) as place_map:
        place_map.start_session()
        frame_of: list[int] = []
        rankings = []
        for frame in source.frames():
            on_frame()
            if not selector.is_keyframe(frame):
                continue
            keyframe = _keyframe(place_map, frame, encoder)
            found = place_map.search(keyframe.descriptor, DEPTH, exclude=recent_past.excluded(keyframe))
            rankings.append(_ranking(frame.index, ((frame_of[m.id], m.similarity) for m in found)))
            place_map.add(keyframe)
            recent_past.remember(keyframe)
            frame_of.append(frame.index)
    return Retrieval(encoder.recipe.name, tuple(rankings), len(frame_of), time.perf_counter() - began)


def _keyframe(place_map: PlaceMap, frame: Frame, encoder: Encoder) -> Keyframe:
    return Keyframe(
        id=place_map.next_id,
        session=place_map.session,
        stamp_ns=frame.stamp_ns,
        descriptor=encoder.encode(frame.image).descriptor,
        t_odom_camera=frame.t_odom_camera,
        timed=frame.timed,
    )


def _ranking(query: int, found: Iterator[tuple[int, float]]) -> Ranking:
    pairs = tuple(found)
    return Ranking(query, tuple(match for match, _ in pairs), tuple(similarity for _, similarity in pairs))
