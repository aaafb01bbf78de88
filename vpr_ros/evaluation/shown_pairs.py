"""The pairs of keyframes that the report shows as pictures: the least sure accepted ones and the best refused ones."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
from markupsafe import Markup

from vpr_ros.core import Decision, LoopClosure
from vpr_ros.evaluation.album import Album
from vpr_ros.evaluation.assessment import Mark
from vpr_ros.evaluation.match_picture import MatchedPair, match_picture
from vpr_ros.evaluation.recording import Recording

# Accepted pairs shown as pictures: at about 40 kB each, more would make a page that a phone does not like.
_MAX_ACCEPTED = 24
# Of them, wrong ones, as long as there are others to see.
_MAX_WRONG = 16
# Refused ones, one a query.
_MAX_REFUSED = 6
_JPEG_QUALITY = 75

Kind: TypeAlias = Mark | Literal["refused"]


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair as a picture and what was said of it.

    Attributes:
        number: Place in its list, from 0.
        kind: What truth says of a closure, or ``refused``.
        query: When the query was seen, in words.
        match: Where the other one is from, in words.
        picture: Both images as a data URI, None where the map has neither.
        geometry: Inliers, or why there are no lines.
        similarity: Cosine of the descriptors.
        probability: That they show one place.
        stage: What refused it; empty for an accepted one.
        reason: Why, for people.
    """

    number: int
    kind: Kind
    query: str
    match: str
    picture: Markup | None
    geometry: str
    similarity: float
    probability: float
    stage: str
    reason: str


def accepted_pairs(recording: Recording, marks: Sequence[Mark], album: Album) -> Iterator[ShownPair]:
    """Yield the worst closures: wrong ones first, then the least probable."""
    decisions = {(d.query_id, d.match_id): d for d in recording.decisions if d.accepted}
    for number in _worst(recording.closures, marks):
        closure = recording.closures[number]
        decision = decisions.get((closure.query_id, closure.match_id))
        yield _shown(recording, closure, album, number, marks[number], reason=decision.reason if decision else "")


def refused_pairs(recording: Recording, album: Album) -> Iterator[ShownPair]:
    """Yield the most probable refused candidates, one a keyframe and only of keyframes that closed no loop."""
    closed = {closure.query_id for closure in recording.closures}
    refused = (d for d in recording.decisions if not d.accepted and d.query_id not in closed)
    best_last = sorted(refused, key=lambda d: (d.probability, d.similarity))
    best_first = list({d.query_id: d for d in best_last}.values())
    best_first.sort(key=lambda d: (d.probability, d.similarity), reverse=True)
    for number, decision in enumerate(best_first[:_MAX_REFUSED]):
        yield _shown(recording, decision, album, number, "refused", stage=decision.stage, reason=decision.reason)


def _worst(closures: Sequence[LoopClosure], marks: Sequence[Mark]) -> list[int]:
    least_sure = sorted(range(len(closures)), key=lambda number: closures[number].probability)
    wrong = [number for number in least_sure if marks[number] == "wrong"]
    others = [number for number in least_sure if marks[number] != "wrong"]
    wrong = wrong[: max(_MAX_WRONG, _MAX_ACCEPTED - len(others))]
    return (wrong + others)[:_MAX_ACCEPTED]


def _shown(
    recording: Recording,
    judged: LoopClosure | Decision,
    album: Album,
    number: int,
    kind: Kind,
    *,
    stage: str = "",
    reason: str = "",
) -> ShownPair:
    pair = album.pair(judged.query_id, judged.match_id)
    return ShownPair(
        number=number,
        kind=kind,
        query=recording.when(recording.query_of(judged)),
        match=recording.where(judged),
        picture=_data_uri(pair) if pair.has_images else None,
        geometry=f"{pair.inliers} inliers" if pair.inliers else f"no lines: {pair.geometry}",
        similarity=judged.similarity,
        probability=judged.probability,
        stage=stage,
        reason=reason,
    )


def _data_uri(pair: MatchedPair) -> Markup:
    picture = cv2.cvtColor(match_picture(pair), cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV encodes every non-empty uint8 image"
    # Base64 has no character that HTML reads, so the text needs no escaping.
    return Markup("data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii"))  # noqa: S704
