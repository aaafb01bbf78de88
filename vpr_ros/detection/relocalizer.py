"""Where is the camera? One image against the whole map, without any hint of a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Keyframe, Relocalization
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.policy import probability
from vpr_ros.detection.settings import Settings
from vpr_ros.encoders import Encoder
from vpr_ros.place_map import PlaceMap

_NOTHING_EXCLUDED = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class RelocalizationAnswer:
    """The places an image may show.

    Attributes:
        known: Whether the best one is sure enough; otherwise the place is unknown and there are no hypotheses.
        reason: One sentence for people.
        hypotheses: Best first; empty where the place is unknown.
    """

    known: bool
    reason: str
    hypotheses: tuple[Relocalization, ...] = ()


class Relocalizer:
    """Answers with places of the map, or with "unknown place".

    A single image has no sequence to confirm it, so its margin over the best distinct rival must reach what the
    sequence stage asks of a run.
    """

    def __init__(self, encoder: Encoder, place_map: PlaceMap, settings: Settings) -> None:
        """Answer from a map with an encoder of the same recipe."""
        self._encoder = encoder
        self._memory = Memory(place_map, settings.thresholds)
        self._thresholds = settings.thresholds

    def locate(self, image: NDArray[np.uint8], max_hypotheses: int = 1) -> RelocalizationAnswer:
        """Say which places an RGB image (height, width, 3) shows.

        Raises:
            EncoderError: The image can't be encoded.
        """
        place_map = self._memory.place_map
        if not len(place_map):
            return RelocalizationAnswer(known=False, reason="unknown place: the map is empty")
        descriptor = self._encoder.encode(image).descriptor
        query = Keyframe(id=place_map.next_id, session=place_map.session, stamp_ns=0, descriptor=descriptor)
        sighting = self._memory.look(query, _NOTHING_EXCLUDED)
        best_id, similarity = int(sighting.place_ids[0]), float(sighting.similarities[0])
        margin = similarity - self._memory.best_rival(sighting, best_id).similarity
        seen = f"keyframe {best_id} is most alike with similarity {similarity:.3f} and margin {margin:.3f}"
        asked = self._thresholds
        if similarity < asked.min_similarity or margin < asked.min_sequence_margin:
            wanted = f"asked {asked.min_similarity:.3f} and {asked.min_sequence_margin:.3f}"
            return RelocalizationAnswer(known=False, reason=f"unknown place: {seen}, {wanted}")
        pairs = zip(sighting.place_ids.tolist(), sighting.similarities.tolist(), strict=True)
        hypotheses = tuple(
            Relocalization(
                match_id=place_id,
                match_stamp_ns=place_map.place(place_id).stamp_ns,
                similarity=cosine,
                probability=probability(similarity=cosine, sequence_margin=margin - (similarity - cosine)),
            )
            for _, (place_id, cosine) in zip(range(max(1, max_hypotheses)), pairs, strict=False)
        )
        return RelocalizationAnswer(known=True, reason=seen, hypotheses=hypotheses)
