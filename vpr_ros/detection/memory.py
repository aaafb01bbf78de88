"""What the detector remembers while it judges: the map, what the last queries saw, the loops already closed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Candidate, Keyframe, LoopClosure
from vpr_ros.detection.policy import Thresholds
from vpr_ros.place_map import PlaceMap

# Places looked up for each query: the candidates, and the rivals they are measured against.
_POOL_SIZE = 64
# Chains of closures longer than this drift too far along the way to call their ends one place.
_MAX_LINK_HOPS = 3
_RECENT_CLOSURES = 100
UNSEEN = -1.0  # stands for the cosine of what was not seen


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What one query saw.

    Attributes:
        query: The keyframe.
        place_ids: The most similar places outside the recent past, best first, shape (n,), int64.
        similarities: Their cosines, shape (n,), float32.
        excluded: Ids of the recent past, ascending, int64.
    """

    query: Keyframe
    place_ids: NDArray[np.int64]
    similarities: NDArray[np.float32]
    excluded: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rival:
    """The best place that is not the match nor near it.

    Attributes:
        id: Its id; None where the map holds no other place, and ``similarity`` is the background's.
        similarity: Its cosine to the query, at least the background's.
    """

    id: int | None
    similarity: float


class Memory:
    """The last sightings of a session beside the map."""

    def __init__(self, place_map: PlaceMap, thresholds: Thresholds) -> None:
        """Begin a session on a map."""
        self.place_map = place_map
        self._thresholds = thresholds
        # A query waits for at most sequence_length - 1 followers, and looks back as far.
        self._sightings: deque[Sighting] = deque(
            maxlen=max(2 * thresholds.sequence_length, thresholds.agreement_window + 1)
        )
        self._closures = np.empty((0, 2), np.int64)
        self._recent_closures: deque[LoopClosure] = deque(maxlen=_RECENT_CLOSURES)
        self._judged: dict[int, tuple[Keyframe, ...]] = {}

    def look(self, query: Keyframe, excluded: NDArray[np.int64]) -> Sighting:
        """Search the map for ``query``; nothing is remembered yet."""
        matches = self.place_map.search(query.descriptor, _POOL_SIZE, exclude=excluded)
        ids = np.array([match.id for match in matches], np.int64)
        return Sighting(query, ids, np.array([match.similarity for match in matches], np.float32), excluded)

    def note(self, sighting: Sighting) -> None:
        """Remember what a query saw."""
        self._sightings.append(sighting)

    def sighting(self, query_id: int) -> Sighting:
        """Return what a recent query saw."""
        return next(s for s in self._sightings if s.query.id == query_id)

    def sightings_around(self, query_id: int, reach: int) -> tuple[list[Sighting], int]:
        """Return a query's sighting with up to ``reach`` on either side, and its own position among them."""
        sightings = list(self._sightings)
        centre = next(i for i, s in enumerate(sightings) if s.query.id == query_id)
        start = max(0, centre - reach)
        return sightings[start : centre + reach + 1], centre - start

    def keyframe(self, query_id: int) -> Keyframe | None:
        """Return a recent query, None if it is not remembered any more."""
        return next((s.query for s in self._sightings if s.query.id == query_id), None)

    def place(self, place_id: int) -> Keyframe:
        """Return a place of the map."""
        return self.place_map.place(place_id)

    def candidates_of(
        self, sighting: Sighting, most: int, may_match: Callable[[int, float], bool] = lambda *_: True
    ) -> tuple[Candidate, ...]:
        """Return the places most like a query, and remember them as those that are judged.

        Args:
            sighting: What the query saw.
            most: How many at most.
            may_match: Says of a place and its cosine whether it may be one.
        """
        query = sighting.query
        pairs = zip(sighting.place_ids.tolist(), sighting.similarities.tolist(), strict=True)
        allowed = islice((pair for pair in pairs if may_match(*pair)), most)
        candidates = tuple(Candidate(query, self.place(id_), cosine, n) for n, (id_, cosine) in enumerate(allowed))
        self._judged[query.id] = tuple(candidate.match for candidate in candidates)
        for old in [id_ for id_ in self._judged if id_ <= query.id - len(self._sightings)]:
            del self._judged[old]
        return candidates

    def judged(self, query_id: int) -> tuple[Keyframe, ...]:
        """Return which places are judged for a query."""
        return self._judged.get(query_id, ())

    def close(self, closure: LoopClosure) -> None:
        """Note an accepted closure: from now on the two are one place."""
        pair = closure.query_id, closure.match_id
        self._closures = np.vstack([self._closures, [pair, pair[::-1]]])
        self._recent_closures.append(closure)

    def recent_closures(self, query_id: int, window: int) -> list[LoopClosure]:
        """Return the closures of the ``window`` keyframes before a query."""
        return [closure for closure in self._recent_closures if query_id - window <= closure.query_id < query_id]

    def are_near(self, place_id: int, other_id: int, reach: int) -> bool:
        """Say whether two places are neighbours in order or space, or linked by closures."""
        return bool(self._is_same_place(np.array([place_id]), other_id, reach)[0])

    def lies_amid(self, candidate: Candidate, reach: int) -> bool:
        """Say whether the query could have matched the ``reach`` places before its match, and as many behind, as well.

        Those of another session, or of the recent past, it could not.
        """
        match = candidate.match
        around = np.arange(match.id - reach, match.id + reach + 1)
        if around[0] < 0 or around[-1] >= len(self.place_map):
            return False
        is_excluded = np.isin(around, self.sighting(candidate.query.id).excluded)
        return not is_excluded.any() and bool((self.place_map.sessions_of(around) == match.session).all())

    def best_rival(self, sighting: Sighting, match_id: int, extra_keyframes: int = 0) -> Rival:
        """Return the most similar place that is distinct from the match in order and space, and by no closure the same.

        Args:
            sighting: What the query saw.
            match_id: The place that has rivals.
            extra_keyframes: How much wider than ``neighbour_keyframes`` its neighbourhood is taken.
        """
        near = self._is_same_place(sighting.place_ids, match_id, self._thresholds.neighbour_keyframes + extra_keyframes)
        floor = self._thresholds.background_similarity
        rivals = np.flatnonzero(~near)
        if not len(rivals):
            return Rival(None, floor)
        best = rivals[0]
        return Rival(int(sighting.place_ids[best]), max(floor, float(sighting.similarities[best])))

    def similarity_beside(self, sighting: Sighting, match_id: int) -> float:
        """Return the highest cosine to the query of the match and the places just beside it."""
        beside = np.abs(sighting.place_ids - match_id) <= self._thresholds.neighbour_keyframes // 2
        return float(sighting.similarities[beside].max(initial=UNSEEN))

    def _is_same_place(self, ids: NDArray[np.int64], match_id: int, reach: int) -> NDArray[np.bool_]:
        """Say for each id whether it is near the match, or near a place that closures link with it."""
        linked = self._linked_with(match_id, reach)
        near: NDArray[np.bool_] = (np.abs(ids[:, None] - linked) <= reach).any(axis=1)
        positions, here = self.place_map.positions(ids), self.place_map.positions(np.array([match_id]))[0]
        same_session = self.place_map.sessions_of(ids) == self.place_map.sessions_of(np.array([match_id]))[0]
        # NaN, a place without odometry, compares as far.
        near |= same_session & (np.linalg.norm(positions - here, axis=1) <= self._thresholds.neighbour_m)
        return near

    def _linked_with(self, match_id: int, reach: int) -> NDArray[np.int64]:
        linked = np.array([match_id], np.int64)
        for _ in range(_MAX_LINK_HOPS):
            touches = (np.abs(self._closures[:, :1] - linked) <= reach).any(axis=1)
            grown = np.union1d(linked, self._closures[touches, 1])
            if len(grown) == len(linked):
                break
            linked = grown
        return linked
