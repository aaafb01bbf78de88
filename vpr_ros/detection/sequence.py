"""Sequence consistency: the keyframes around a query see the places around its match, in an order a robot can drive.

After SeqSLAM (Milford and Wyeth, ICRA 2012): straight lines of several speeds through the matrix of similarities
between consecutive queries and consecutive places. Unlike there, a line is scored against the best distinct rival of
each query, so that the value means the same in a map that looks alike everywhere and in one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Candidate, Keyframe
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.memory import UNSEEN, Memory, Sighting

# Places passed per keyframe: half to double the speed of the earlier drive, either way (a robot may reverse).
_SPEEDS = np.array([-2.0, -1.5, -1.0, -0.75, -0.5, 0.5, 0.75, 1.0, 1.5, 2.0])
# A line may pass one place beside its straight course, because keyframes are not evenly spaced.
_JITTER = np.array([-1, 0, 1])
_STRAIGHT = 1
_SUPPORTERS = 3


@dataclass(frozen=True, slots=True)
class Run:
    """The best line through a candidate.

    Attributes:
        value: Mean margin over the best distinct rivals along the line; -1 where fewer keyframes than asked have come.
        alignment: The same along a line without jitter. Neighbours of the true match reach its value by jitter, but not
            its alignment, so this ranks the candidates of one query.
        is_final: Whether no keyframe still to come can change it.
    """

    value: float
    alignment: float
    is_final: bool


@dataclass(frozen=True, slots=True)
class BestView:
    """Which of the keyframes around a query sees its match best, by the patches of the two images.

    Attributes:
        query_id: That keyframe; the query itself where nothing tells.
        away_m: How far odometry puts it from the query, 0 of the query and the keyframes just beside it.
    """

    query_id: int
    away_m: float


def best_run(candidate: Candidate, memory: Memory, length: int) -> Run:
    """Return the best run of ``length`` consecutive keyframes that includes the query and passes through the match."""
    sightings, centre = memory.sightings_around(candidate.query.id, length - 1)
    is_final = len(sightings) - centre >= length
    if len(sightings) < length:
        return Run(UNSEEN, UNSEEN, is_final)
    margins = _line_margins(candidate.match.id, sightings, centre, memory, length)
    jittered, straight = margins.max(axis=2), margins[..., _STRAIGHT]
    return Run(_best_mean(jittered, centre, length), _best_mean(straight, centre, length), is_final)


def support(candidate: Candidate, memory: Memory, evidence: Evidence, length: int) -> float:
    """Return how well geometry held between the keyframes around the query and the places around the match, in [0, 1].

    The mean of the three best of those that a run of ``length`` keyframes can hold beside the query; one that saw no
    place near the match counts 0.
    """
    query_id, match = candidate.query.id, candidate.match
    strengths = [0.0] * _SUPPORTERS
    for offset in (*range(1 - length, 0), *range(1, length)):
        reach = 2 * abs(offset) + 1
        near = (m.id for m in memory.judged(query_id + offset) if abs(m.id - match.id) <= reach)
        strengths.append(max((evidence.strength(query_id + offset, id_) for id_ in near), default=0.0))
    return sum(sorted(strengths)[-_SUPPORTERS:]) / _SUPPORTERS


def best_view(candidate: Candidate, memory: Memory, evidence: Evidence, length: int) -> BestView:
    """Return which keyframe, of the ``length`` - 1 before the query and as many after it, sees the match best."""
    query, match = candidate.query, candidate.match
    sightings, _ = memory.sightings_around(query.id, length - 1)
    around = [s.query for s in sightings if match.id not in s.excluded]
    scores = {keyframe.id: evidence.rerank_score(keyframe, match) for keyframe in around}
    best = max(around, key=lambda keyframe: (scores[keyframe.id] or 0.0, keyframe is query), default=query)
    # Keyframes lie unevenly: the one just beside the query is no other view.
    if abs(best.id - query.id) <= 1 or best.t_odom_camera is None or query.t_odom_camera is None:
        return BestView(best.id, 0.0)
    return BestView(best.id, best.t_odom_camera.distance_m(query.t_odom_camera))


def astray_m(candidate: Candidate, memory: Memory, evidence: Evidence, length: int) -> float | None:
    """Return how far a pair is from the loop that the keyframes around its query see, by odometry, in metres.

    Each of the ``length`` - 1 keyframes before the query and as many after it stands, by odometry, somewhere from the
    place that geometry holds best with, or from where a metric pose puts it there. Drift hardly changes over so short a
    way, so that this offset is the same for all of one loop; their median is what the pair's own is compared with. None
    where fewer than three can tell.
    """
    offsets = []
    for query_id in range(candidate.query.id - length + 1, candidate.query.id + length):
        query = memory.keyframe(query_id)
        if query is None or query_id == candidate.query.id:
            continue
        strengths = [(evidence.strength(query_id, place.id), place) for place in memory.judged(query_id)]
        strength, place = max(strengths, key=lambda item: item[0], default=(0.0, None))
        if place is not None and strength > 0 and (offset := _offset_m(query, place, evidence)) is not None:
            offsets.append(offset)
    own = _offset_m(candidate.query, candidate.match, evidence)
    if own is None or len(offsets) < _SUPPORTERS:
        return None
    return float(np.linalg.norm(own - np.median(offsets, axis=0)))


def _offset_m(query: Keyframe, place: Keyframe, evidence: Evidence) -> NDArray[np.float64] | None:
    """Return where odometry puts a query, seen from where its loop puts it; None where it can't tell."""
    if query.session != place.session or query.t_odom_camera is None or place.t_odom_camera is None:
        return None
    seen, by_loop = evidence.peek(query.id, place.id), place.t_odom_camera
    if seen is not None and seen.metric and seen.t_match_query is not None:
        by_loop = by_loop @ seen.t_match_query
    offset: NDArray[np.float64] = query.t_odom_camera.translation - by_loop.translation
    return offset


def _best_mean(margins: NDArray[np.float32], centre: int, length: int) -> float:
    """Return the highest mean over ``length`` neighbouring columns that include the column ``centre``."""
    sums = np.cumsum(np.pad(margins, ((0, 0), (1, 0))), axis=1)
    means = (sums[:, length:] - sums[:, :-length]) / length
    return float(means[:, max(0, centre - length + 1) : centre + 1].max())


def _line_margins(
    match_id: int, sightings: list[Sighting], centre: int, memory: Memory, length: int
) -> NDArray[np.float32]:
    """Return the margin of each line at each sighting, shape (speeds, sightings, jitters)."""
    reach = int(np.ceil(np.abs(_SPEEDS).max() * (length - 1))) + 1
    block = _similarity_block(match_id, sightings, memory, reach)
    steps = np.arange(len(sightings)) - centre
    columns = reach + np.rint(_SPEEDS[:, None] * steps).astype(np.int64)
    along = block[np.arange(len(sightings))[:, None], columns[..., None] + _JITTER]
    rivals = [memory.best_rival(s, match_id, extra_keyframes=reach).similarity for s in sightings]
    margins: NDArray[np.float32] = along - np.array(rivals, np.float32)[:, None]
    return margins


def _similarity_block(match_id: int, sightings: list[Sighting], memory: Memory, reach: int) -> NDArray[np.float32]:
    """Return the cosines of sightings to the places ``match_id - reach .. match_id + reach``; -1 where none may match.

    Shape (sightings, 2 * reach + 1).
    """
    wanted = np.arange(match_id - reach, match_id + reach + 1)
    there = np.isin(wanted, memory.place_map.ids)
    there[there] = memory.place_map.sessions_of(wanted[there]) == memory.place_map.sessions_of(np.array([match_id]))[0]
    block = np.full((len(sightings), len(wanted)), UNSEEN, np.float32)
    queries = np.stack([s.query.descriptor for s in sightings])
    block[:, there] = queries @ memory.place_map.descriptors(wanted[there]).T
    for row, sighting in zip(block, sightings, strict=True):
        row[np.isin(wanted, sighting.excluded)] = UNSEEN
    return block
