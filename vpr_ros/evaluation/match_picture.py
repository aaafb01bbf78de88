"""A pair of keyframes as one picture: both images side by side, what geometry matched between them, and a caption."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Decision, LoopClosure
from vpr_ros.geometry import Verification

_HEIGHT, _GAP = 240, 6
# More lines than this hide the images.
_MOST_LINES = 60
_DOT_RADIUS = 2
# Pixels; a letter of this font is 8 wide on average, seldom more than 9.
_LINE_HEIGHT, _MARGIN, _LETTER_WIDTH, _FONT_SCALE = 20, 6, 9, 0.45
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GREY, _WHITE = 128, (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two images of a pair.

    Attributes:
        jpeg: The image or a thumbnail of it, None where none was kept.
        size: Width and height of the full image in pixels, which the verification's pixels are in; None where nothing
            was verified.
    """

    jpeg: bytes | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MatchedPair:
    """What is shown of two keyframes.

    Attributes:
        query: The image just seen.
        match: The remembered one.
        verification: What geometry says of the two, None where it says nothing.
        why_not: Why it says nothing, one clause for people.
    """

    query: Side
    match: Side
    verification: Verification | None = None
    why_not: str = ""

    @property
    def has_images(self) -> bool:
        """Whether at least one image was kept."""
        return bool(self.query.jpeg or self.match.jpeg)

    @property
    def inliers(self) -> int:
        """Number of matches that agree with the geometry, 0 where it says nothing."""
        return 0 if self.verification is None else self.verification.inliers

    @property
    def geometry(self) -> str:
        """What geometry says, one clause for people."""
        return self.why_not if self.verification is None else self.verification.reason


def caption_of(judged: LoopClosure | Decision, pair: MatchedPair) -> str:
    """Return what is written below a pair: similarity, inliers, probability, and why no line is drawn if none is."""
    figures = (
        f"keyframes {judged.query_id} and {judged.match_id}: similarity {judged.similarity:.2f}, "
        f"{pair.inliers} inliers, probability {judged.probability:.2f}"
    )
    return figures if pair.inliers else f"{figures}\nno lines: {pair.geometry}"


def match_picture(pair: MatchedPair, caption: str = "") -> NDArray[np.uint8]:
    """Return query (left) and match with lines between the features that agree, the caption below.

    Args:
        pair: What is shown; an image that is absent or can't be read is a grey box that says so.
        caption: Lines between newlines, wrapped where they are too long; without a caption there is no strip for it.

    Returns:
        RGB, shape (height, width, 3), uint8.
    """
    left, right = _panel(pair.query), _panel(pair.match)
    picture = np.hstack((left, np.zeros((_HEIGHT, _GAP, 3), np.uint8), right))
    if pair.verification is not None and pair.query.size and pair.match.size:
        inliers = pair.verification.matches[pair.verification.agrees]
        starts = _on_panel(inliers[:, :2], pair.query.size, left.shape[1])
        ends = _on_panel(inliers[:, 2:], pair.match.size, right.shape[1])
        ends[:, 0] += left.shape[1] + _GAP
        _draw_lines(picture, starts, ends)
    strips = (_strip(line, picture.shape[1]) for line in _lines(caption, picture.shape[1]))
    return np.vstack((picture, *strips))


def _panel(side: Side) -> NDArray[np.uint8]:
    """Return one image, all of one height."""
    image = None if not side.jpeg else cv2.imdecode(np.frombuffer(side.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return _grey_panel(side.size)
    panel = cv2.resize(image, _panel_size(image.shape[1], image.shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(panel, cv2.COLOR_BGR2RGB), np.uint8)


def _grey_panel(size: tuple[int, int] | None) -> NDArray[np.uint8]:
    width, height = _panel_size(*(size or (4, 3)))
    panel = np.full((height, width, 3), _GREY, np.uint8)
    cv2.putText(panel, "no image kept", (_MARGIN, _LINE_HEIGHT), _FONT, _FONT_SCALE, _WHITE, 1, cv2.LINE_AA)
    return panel


def _panel_size(width: int, height: int) -> tuple[int, int]:
    return max(1, round(width * _HEIGHT / height)), _HEIGHT


def _on_panel(pixels: NDArray[np.float32], size: tuple[int, int], panel_width: int) -> NDArray[np.int64]:
    """Return where pixels of a full image lie on its panel, shape (n, 2); the first pixel's centre is 0, 0."""
    scale = np.array((panel_width, _HEIGHT)) / size
    return np.rint((pixels + 0.5) * scale - 0.5).astype(np.int64)


def _draw_lines(picture: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    """Draw some of the lines, evenly from left to right, each in a hue of its own so that the eye can follow it."""
    count = min(len(starts), _MOST_LINES)
    order = np.argsort(starts[:, 0], kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)]
    lines = list(zip(starts[chosen].tolist(), ends[chosen].tolist(), _hues(count), strict=True))
    for start, end, color in lines:  # a bounded number, and OpenCV draws one colour a call
        cv2.line(picture, start, end, color, 1, cv2.LINE_AA)
    for start, end, color in lines:
        for point in (start, end):
            cv2.circle(picture, point, _DOT_RADIUS, color, cv2.FILLED)


def _hues(count: int) -> list[tuple[int, int, int]]:
    """Return so many bright colours, RGB, from red over green to violet."""
    bright = np.full((1, count, 3), 255, np.uint8)
    bright[0, :, 0] = np.linspace(0, 150, count)  # OpenCV's hue in steps of 2 degrees
    return [(r, g, b) for r, g, b in cv2.cvtColor(bright, cv2.COLOR_HSV2RGB)[0].tolist()] if count else []


def _lines(caption: str, width: int) -> list[str]:
    """Return the caption in lines that fit into a width in pixels."""
    most = max(1, (width - 2 * _MARGIN) // _LETTER_WIDTH)
    return [part for line in caption.splitlines() for part in textwrap.wrap(line, most)]


def _strip(line: str, width: int) -> NDArray[np.uint8]:
    strip = np.zeros((_LINE_HEIGHT, width, 3), np.uint8)
    cv2.putText(strip, line, (_MARGIN, _LINE_HEIGHT - _MARGIN), _FONT, _FONT_SCALE, _WHITE, 1, cv2.LINE_AA)
    return strip
