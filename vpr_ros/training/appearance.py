"""Other looks of one view: another light, season, weather, stand and something in the way. All on whole arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.training.errors import TrainingError

Image = NDArray[np.float32]  # RGB, (height, width, 3), in [0, 1] up to what a step overshoots

_ABOUT_HORIZON = 0.35  # Share of the height above which a step to the side moves nothing.
_GREEN_HUE, _GREEN_WIDTH = 45.0, 20.0  # OpenCV's half degrees: where leaves are, and how far they reach


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """How often and how much a view is varied; shares are probabilities.

    Attributes:
        crop: Smallest share of width and height that is kept.
        homography: How far corners move, as a share of the half width.
        rotation_deg: Largest turn about the optical axis.
        sideways: Share of views seen from a step aside: near things move, far ones stay.
        sideways_shift: How far the nearest move, as a share of the width.
        grey: Share without colour.
        night: Share by night: dark, yellow lamps, noise.
        sun: Share with sun or shade over a part.
        haze: Share with little contrast.
        season: Share with leaves turned or snowed under.
        rain: Share with streaks.
        blur: Share out of focus.
        motion: Share moved while exposed.
        occlusion: Share with something in the way.
        colour: How far each channel's gain goes.
    """

    crop: float = 1.0
    homography: float = 0.0
    rotation_deg: float = 0.0
    sideways: float = 0.4
    sideways_shift: float = 0.18
    grey: float = 0.15
    night: float = 0.25
    sun: float = 0.22
    haze: float = 0.12
    season: float = 0.1
    rain: float = 0.05
    blur: float = 0.3
    motion: float = 0.1
    occlusion: float = 0.25
    colour: float = 0.12

    def __post_init__(self) -> None:
        """Check the values once."""
        for each in fields(self):
            value = getattr(self, each.name)
            limit = 90.0 if each.name == "rotation_deg" else 1.0
            if not 0 <= value <= limit or (each.name == "crop" and value == 0):
                raise TrainingError(f"views.{each.name} is {value:g}, expected 0 to {limit:g}")


# For photographs of which there is one a place, and for rooms of one image a place.
STRONG = ViewSettings(crop=0.6, homography=0.2, rotation_deg=8, rain=0.1, season=0.2, occlusion=0.35)
# For photographs of which there are several a place.
MILD = ViewSettings(crop=0.75, homography=0.12, rotation_deg=4)


def vary(image: NDArray[np.uint8], settings: ViewSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return another view of the same place, of the same shape."""
    moved = _moved(image, settings, rng)
    x: Image = moved.astype(np.float32) / np.float32(255)
    if rng.random() < settings.season:
        x = season(x, rng)
    if rng.random() < settings.grey:
        x = np.asarray(np.repeat(x.mean(axis=2, keepdims=True), 3, axis=2), np.float32)
    if rng.random() < settings.night:
        x, noise = night(x, rng), rng.uniform(0.01, 0.05)
    else:
        x, noise = _by_day(x, settings, rng), rng.uniform(0, 0.025)
    if rng.random() < settings.rain:
        x = rain(x, rng)
    if rng.random() < settings.occlusion:
        x = occlude(x, rng)
    if rng.random() < settings.blur:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), rng.uniform(0.5, 1.6)), np.float32)
    if rng.random() < settings.motion:
        x = np.asarray(cv2.blur(x, (int(rng.integers(3, 9)), 1)), np.float32)
    noisy = x + noise * rng.standard_normal(x.shape, np.float32)
    return np.asarray(np.clip(255 * noisy, 0, 255), np.uint8)


def _moved(image: NDArray[np.uint8], settings: ViewSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    moved = image
    if settings.crop < 1 or settings.homography or settings.rotation_deg:
        moved = warp(moved, settings, rng)
    if rng.random() < settings.sideways:
        moved = step_aside(moved, settings.sideways_shift, rng)
    return moved


def warp(image: NDArray[np.uint8], settings: ViewSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a cut of the image, turned and with its corners moved, at the image's size."""
    height, width = image.shape[:2]
    share = rng.uniform(settings.crop, 1)
    size = share * np.array((width, height))
    centre = rng.uniform(size / 2, np.array((width, height)) - size / 2)
    corners = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1))) * size / 2
    angle = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    turn = np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
    corners = corners @ turn.T + centre + rng.uniform(-1, 1, (4, 2)) * settings.homography * size / 2
    whole = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), whole)
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def step_aside(image: NDArray[np.uint8], reach: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return what a step to the side does, if things are near at the bottom and far above the horizon."""
    height, width = image.shape[:2]
    nearness = np.clip((np.arange(height) / height - _ABOUT_HORIZON) / (1 - _ABOUT_HORIZON), 0, 1)
    shift = width * (rng.uniform(-reach, reach) * nearness + rng.uniform(-reach, reach) * 0.3)
    columns = (np.arange(width) + shift[:, np.newaxis]).astype(np.float32)
    rows = np.repeat(np.arange(height, dtype=np.float32)[:, np.newaxis], width, axis=1)
    return np.asarray(cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def night(x: Image, rng: np.random.Generator) -> Image:
    """Return the view in the dark: little light, a few lamps, the yellow of sodium."""
    light = np.full(x.shape[:2], rng.uniform(0.25, 0.7), np.float32)
    for _ in range(int(rng.integers(0, 4))):  # lamps, not pixels
        light += _glow(x, rng)
    cast = np.array((1, rng.uniform(0.75, 1), rng.uniform(0.5, 1)), np.float32)
    return np.asarray(np.clip(x, 0, 1) ** rng.uniform(1.3, 2.6) * light[..., np.newaxis] * cast, np.float32)


def _glow(x: Image, rng: np.random.Generator) -> Image:
    height, width = x.shape[:2]
    radius = rng.uniform(0.1, 0.4) * width
    across = np.exp(-((np.arange(width) - rng.uniform(0, width)) ** 2) / (2 * radius**2))
    down = np.exp(-((np.arange(height) - rng.uniform(0, height)) ** 2) / (2 * radius**2))
    return np.asarray(rng.uniform(0.2, 0.8) * np.outer(down, across), np.float32)


def _by_day(x: Image, settings: ViewSettings, rng: np.random.Generator) -> Image:
    gains = rng.uniform(0.6, 1.3) * rng.uniform(1 - settings.colour, 1 + settings.colour, 3)
    x = (np.clip(x, 0, 1) ** rng.uniform(0.6, 1.6) * gains).astype(np.float32)
    if rng.random() < settings.sun:
        x = sun_and_shade(x, rng)
    if rng.random() < settings.haze:
        x = haze(x, rng)
    return x


def sun_and_shade(x: Image, rng: np.random.Generator) -> Image:
    """Return the view with one side of a line lighter than the other."""
    height, width = x.shape[:2]
    angle = rng.uniform(0, 2 * math.pi)
    across = math.cos(angle) * (np.arange(width) / width - 0.5)
    down = math.sin(angle) * (np.arange(height) / height - 0.5)
    beyond = across + down[:, np.newaxis] - rng.uniform(-0.3, 0.3)
    edge = 1 + rng.uniform(-0.5, 0.5) / (1 + np.exp(-beyond * rng.uniform(5, 40)))
    return np.asarray(x * edge[..., np.newaxis], np.float32)


def haze(x: Image, rng: np.random.Generator) -> Image:
    """Return the view with less contrast, and lighter."""
    mean = x.mean()
    return np.asarray(mean + (x - mean) * rng.uniform(0.35, 0.8) + rng.uniform(0, 0.15), np.float32)


def season(x: Image, rng: np.random.Generator) -> Image:
    """Return the view with what is green turned to autumn's colours, or paled as under snow."""
    hsv = cv2.cvtColor(np.clip(255 * x, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV).astype(np.float32)
    green = np.clip(1 - np.abs(hsv[..., 0] - _GREEN_HUE) / _GREEN_WIDTH, 0, 1)
    if rng.random() < 0.5:
        hsv[..., 0] -= green * rng.uniform(15, 30)
    else:
        hsv[..., 1] *= 1 - green * rng.uniform(0.5, 0.95)
        hsv[..., 2] += green * rng.uniform(20, 90)
    turned = np.clip(hsv, 0, (179, 255, 255)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB) / 255, np.float32)


def rain(x: Image, rng: np.random.Generator) -> Image:
    """Return the view through slanted streaks."""
    drops = (rng.random(x.shape[:2], np.float32) > 1 - rng.uniform(0.002, 0.01)).astype(np.float32)
    length = int(rng.integers(7, 19))
    streak = np.zeros((length, length), np.float32)
    slant = rng.uniform(-0.3, 0.3) * length
    cv2.line(streak, (int(length / 2 - slant), 0), (int(length / 2 + slant), length - 1), 1.0)
    streaks = np.clip(cv2.filter2D(drops, -1, streak), 0, 1)
    return np.asarray(x * 0.9 + 0.35 * streaks[..., np.newaxis], np.float32)


def occlude(x: Image, rng: np.random.Generator) -> Image:
    """Return the view with one or two blocks, such as people and cars, standing in it."""
    height, width = x.shape[:2]
    x = x.copy()
    for _ in range(int(rng.integers(1, 3))):  # blocks, not pixels
        wide, high = int(width * rng.uniform(0.06, 0.25)), int(height * rng.uniform(0.15, 0.5))
        left, top = int(rng.integers(0, width - wide)), int(rng.integers(height // 4, height - high // 2))
        block = x[top : top + high, left : left + wide]
        block *= 0.1
        block += rng.uniform(0, 0.9, 3).astype(np.float32)
    return x
