"""What a robot meets when it comes by again, made of one image: a step aside, nearer, night.

The night is drawn otherwise than the one that training draws (:func:`vpr_ros.training.appearance.night`), so that a
network is not asked about what it has learned by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # RGB, (height, width, 3)

_COLD, _SODIUM = (0.75, 0.8, 1.0), (1.0, 0.8, 0.55)
_LAMP = (1.0, 0.9, 0.7)


@dataclass(frozen=True, slots=True)
class Margins:
    """What is cut away of an image, as shares of its width and height; at least one pixel stays."""

    left: float = 0.0
    right: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    def without(self, image: Image) -> Image:
        """Return what is left."""
        height, width = image.shape[:2]
        rows = slice(*_kept(height, self.top, self.bottom))
        return np.ascontiguousarray(image[rows, slice(*_kept(width, self.left, self.right))])


def _kept(pixels: int, before: float, behind: float) -> tuple[int, int]:
    start = min(round(before * pixels), pixels - 1)
    return start, max(pixels - round(behind * pixels), start + 1)


@dataclass(frozen=True, slots=True)
class Alteration:
    """Two views made of one image, of which the second is to find the first among all first ones.

    Attributes:
        name: What lies between them.
        place: What the first lacks.
        query: What the second lacks.
        night: Whether the second is by night.
    """

    name: str
    place: Margins = Margins()
    query: Margins = Margins()
    night: bool = False

    def place_of(self, image: Image) -> Image:
        """Return the view that is stored."""
        return self.place.without(image)

    def query_of(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the view that asks."""
        return self.query.without(by_night(image, rng) if self.night else image)


def by_night(image: Image, rng: np.random.Generator) -> Image:
    """Return the image in the dark: hardly any colour, pools of light, lamps with halos, grain."""
    shape = image.shape[:2]
    by_day = (image.astype(np.float32) / 255) ** rng.uniform(1.2, 1.8)
    pale = 0.4 * by_day + 0.6 * by_day.mean(axis=2, keepdims=True)
    light = np.full(shape, rng.uniform(0.05, 0.12), np.float32)
    for _ in range(int(rng.integers(2, 5))):
        x, y, radius = rng.uniform(0, 1), rng.uniform(0.4, 1), rng.uniform(0.12, 0.3)
        light += rng.uniform(0.25, 0.6) * _spot(shape, x, y, radius, radius / 1.5)
    tint = np.array(_COLD if rng.random() < 0.5 else _SODIUM, np.float32)
    seen = pale * light[..., np.newaxis] * tint
    for _ in range(int(rng.integers(1, 4))):
        x, y, radius = rng.uniform(0, 1), rng.uniform(0, 0.5), rng.uniform(0.008, 0.03)
        glow = _spot(shape, x, y, radius, radius) + 0.15 * _spot(shape, x, y, 5 * radius, 5 * radius)
        seen += glow[..., np.newaxis] * np.array(_LAMP, np.float32)
    seen *= rng.uniform(1.0, 1.8)
    seen += rng.uniform(0.01, 0.035) * rng.standard_normal(seen.shape, np.float32)
    return np.asarray(np.clip(255 * seen, 0, 255), np.uint8)


def _spot(shape: tuple[int, int], x: float, y: float, radius_x: float, radius_y: float) -> NDArray[np.float32]:
    """Return a bell over an image; where it lies and how wide it is, as shares of height and of width, radii of it."""
    height, width = shape
    columns = np.exp(-(((np.arange(width) + 0.5) / width - x) ** 2) / (2 * radius_x**2))
    rows = np.exp(-((((np.arange(height) + 0.5) - y * height) / width) ** 2) / (2 * radius_y**2))
    return np.outer(rows, columns).astype(np.float32)


_LEFT, _RIGHT = Margins(right=0.15), Margins(left=0.15)

ALTERATIONS = (
    Alteration("8 % aside", Margins(right=0.08), Margins(left=0.08)),
    Alteration("15 % aside", _LEFT, _RIGHT),
    Alteration("25 % aside", Margins(right=0.25), Margins(left=0.25)),
    Alteration("12 % nearer", query=Margins(0.12, 0.12, 0.12, 0.12)),
    Alteration("by night", night=True),
    Alteration("by night, 15 % aside", _LEFT, _RIGHT, night=True),
)
