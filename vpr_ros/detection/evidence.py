"""What two images say about each other, pixel by pixel: patches and local features, kept small and looked at once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Literal, TypeAlias, TypeVar

from vpr_ros.core import Frame, Keyframe, Recipe, VprError
from vpr_ros.encoders import Encoding
from vpr_ros.encoders.weights import user_folder
from vpr_ros.geometry import FeatureSet, GeometryRules, SiftFeatures, Verification, View, verify
from vpr_ros.place_map import PlaceMap
from vpr_ros.reranking import PatchDescriptors, PatchVocabulary, describe, open_vocabulary, spatial_score
from vpr_ros.reranking.errors import RerankingError

# Keyframes whose patches (250 KiB each) and features (70 KiB) stay in memory, and pairs whose outcome does.
_KEPT_KEYFRAMES = 128
_KEPT_PAIRS = 1024

_LOG = logging.getLogger(__name__)
Value = TypeVar("Value")
Key = TypeVar("Key")
_Column: TypeAlias = Literal["patches", "features"]


class Evidence:
    """Takes patches and features from frames, and compares pairs of keyframes by them.

    What the map holds of a place and can't be read or compared counts as absent, and is told: one damaged place must
    not cost the frames that look like it.

    Attributes:
        no_patches: Why nothing can be re-ranked, empty where it can.
    """

    def __init__(
        self, recipe: Recipe, place_map: PlaceMap, rules: GeometryRules, *, patches: bool, features: bool
    ) -> None:
        """Begin with what the encoder's vocabulary and the map give.

        Args:
            recipe: Of the encoder whose feature maps come.
            place_map: Where patches and features of earlier keyframes lie.
            rules: Of geometric verification.
            patches: Whether patch descriptors are made and compared.
            features: Whether local features are.
        """
        self._place_map = place_map
        self._rules = rules
        self._vocabulary: PatchVocabulary | None = None
        self.no_patches = "" if patches else "switched off"
        if patches:
            try:
                self._vocabulary = open_vocabulary(recipe, (user_folder(),))
            except RerankingError as error:
                self.no_patches = str(error)
        self._extractor = SiftFeatures() if features else None
        self._patches: _Kept[int, PatchDescriptors | None] = _Kept(_KEPT_KEYFRAMES)
        self._features: _Kept[int, FeatureSet | None] = _Kept(_KEPT_KEYFRAMES)
        self._scores: _Kept[tuple[int, int], float | None] = _Kept(_KEPT_PAIRS)
        self._verifications: _Kept[tuple[int, int], Verification | None] = _Kept(_KEPT_PAIRS)
        self._damage: dict[tuple[_Column, int], str] = {}
        self._untold: list[str] = []

    def patches_of(self, encoding: Encoding) -> PatchDescriptors | None:
        """Return the patch descriptors of an image, None where nothing can be re-ranked."""
        if self._vocabulary is None or encoding.feature_map is None:
            return None
        return describe(encoding.feature_map, self._vocabulary)

    def features_of(self, frame: Frame) -> FeatureSet | None:
        """Return the local features of a frame, None where geometry is switched off."""
        return None if self._extractor is None else self._extractor.extract(frame.image, frame.depth_m)

    def rerank_score(self, query: Keyframe, match: Keyframe) -> float | None:
        """Return how well the patches of two keyframes agree, in [0, 1]; None as ``why_no_score`` says."""
        return self._scores.get((query.id, match.id), lambda: self._score(query, match))

    def verification(self, query: Keyframe, match: Keyframe) -> Verification | None:
        """Return what geometry says of two keyframes; None as ``why_no_verification`` says."""
        return self._verifications.get((query.id, match.id), lambda: self._verify(query, match))

    def why_no_score(self, query: Keyframe, match: Keyframe) -> str:
        """Return why two keyframes can't be re-ranked, one clause for people."""
        return self.no_patches or self._why_absent("patches", query, match)

    def why_no_verification(self, query: Keyframe, match: Keyframe) -> str:
        """Return why two keyframes can't be verified, one clause for people."""
        return "switched off" if self._extractor is None else self._why_absent("features", query, match)

    def new_damage(self) -> tuple[str, ...]:
        """Return a sentence for each place that turned out to be damaged since this was asked last."""
        told, self._untold = tuple(self._untold), []
        return told

    def peek(self, query_id: int, match_id: int) -> Verification | None:
        """Return what geometry said of a pair; None for one that was not looked at: nothing is computed for it."""
        return self._verifications.peek((query_id, match_id))

    def strength(self, query_id: int, match_id: int) -> float:
        """Return how well geometry held for a pair: share of inliers times coverage; 0 if it was not looked at."""
        seen = self.peek(query_id, match_id)
        return 0.0 if seen is None else seen.inlier_ratio * seen.coverage

    def _score(self, query: Keyframe, match: Keyframe) -> float | None:
        ours, theirs = self._patches_of(query), self._patches_of(match)
        if ours is None or theirs is None or self._vocabulary is None:
            return None
        weights = self._vocabulary.window_weights
        return self._unless_damaged("patches", match.id, lambda: spatial_score(ours, theirs, weights).score)

    def _verify(self, query: Keyframe, match: Keyframe) -> Verification | None:
        ours, theirs = self._features_of(query), self._features_of(match)
        if ours is None or theirs is None or self._extractor is None:
            return None
        views = View(ours, query.camera), View(theirs, match.camera)
        return self._unless_damaged("features", match.id, lambda: verify(*views, self._rules))

    def _patches_of(self, keyframe: Keyframe) -> PatchDescriptors | None:
        def read() -> PatchDescriptors | None:
            content = keyframe.patches or self._stored(keyframe.id, self._place_map.patches)
            return PatchDescriptors.from_bytes(content) if content else None

        return self._patches.get(keyframe.id, lambda: self._unless_damaged("patches", keyframe.id, read))

    def _features_of(self, keyframe: Keyframe) -> FeatureSet | None:
        def read() -> FeatureSet | None:
            content = keyframe.features or self._stored(keyframe.id, self._place_map.features)
            return FeatureSet.from_bytes(content) if content else None

        return self._features.get(keyframe.id, lambda: self._unless_damaged("features", keyframe.id, read))

    def _stored(self, place_id: int, column: Callable[[int], bytes | None]) -> bytes | None:
        return column(place_id) if place_id < len(self._place_map) else None

    def _unless_damaged(self, column: _Column, place_id: int, read: Callable[[], Value]) -> Value | None:
        """Return what is read of a place; None where it can't be, which is noted and warned of once."""
        try:
            return read()
        except VprError as error:
            if (column, place_id) not in self._damage:
                self._damage[column, place_id] = f"keyframe {place_id}: {error}"
                self._untold.append(f"{column} can't be used, {self._damage[column, place_id]}")
                _LOG.warning("%s", self._untold[-1])
            return None

    def _why_absent(self, column: _Column, query: Keyframe, match: Keyframe) -> str:
        noted = (self._damage.get((column, keyframe.id)) for keyframe in (match, query))
        return next((why for why in noted if why), f"one of the two was stored without {column}")


class _Kept(Generic[Key, Value]):
    """The values used last, a bounded number of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def peek(self, key: Key) -> Value | None:
        """Return the value of a key, None if it is not here."""
        return self._values.get(key)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made if it is not here."""
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]
