"""From two keyframe ids to what is shown of them: images out of the map, and what geometry says of the pair."""

from __future__ import annotations

from collections.abc import Mapping

from vpr_ros.core import Keyframe
from vpr_ros.detection.evidence import Evidence
from vpr_ros.evaluation.match_picture import MatchedPair, Side
from vpr_ros.geometry import FeatureSet, GeometryRules
from vpr_ros.place_map import PlaceMap


class Album:
    """Looks up pairs of keyframes and verifies them again, by what a map keeps of each."""

    def __init__(self, place_map: PlaceMap, rules: GeometryRules) -> None:
        """Begin with a map and the rules that its closures were verified by."""
        self._place_map = place_map
        self._evidence = Evidence(place_map.recipe, place_map, rules, patches=False, features=True)

    def pair(self, query_id: int, match_id: int, recent: Mapping[int, Keyframe] | None = None) -> MatchedPair:
        """Return two keyframes side by side.

        Args:
            query_id: The one just seen.
            match_id: The remembered one.
            recent: Keyframes at hand, by id; the others come from the map. What is in neither (``mode: localization``
                stores none) is a side without an image.

        Raises:
            MapError: The disk is broken.
        """
        at_hand = recent or {}
        query, match = self._keyframe(query_id, at_hand), self._keyframe(match_id, at_hand)
        if query is None or match is None:
            return MatchedPair(self._side(query), self._side(match), why_not="one of the two was not stored")
        verification = self._evidence.verification(query, match)
        if verification is None:
            why_not = self._evidence.why_no_verification(query, match)
            return MatchedPair(self._side(query), self._side(match), why_not=why_not)
        return MatchedPair(self._sized_side(query), self._sized_side(match), verification)

    def _keyframe(self, keyframe_id: int, at_hand: Mapping[int, Keyframe]) -> Keyframe | None:
        is_stored = keyframe_id < len(self._place_map)
        return at_hand.get(keyframe_id) or (self._place_map.place(keyframe_id) if is_stored else None)

    def _side(self, keyframe: Keyframe | None) -> Side:
        if keyframe is None:
            return Side()
        is_stored = keyframe.id < len(self._place_map)
        return Side(keyframe.thumbnail or (self._place_map.thumbnail(keyframe.id) if is_stored else None))

    def _sized_side(self, keyframe: Keyframe) -> Side:
        """Return a side that was verified: its features are there and sound."""
        content = keyframe.features or self._place_map.features(keyframe.id)
        assert content, "what was verified has features"
        features = FeatureSet.from_bytes(content)
        return Side(self._side(keyframe).jpeg, (features.width, features.height))
