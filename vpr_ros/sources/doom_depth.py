"""How far away everything is that a camera in a Doom level sees, by the level's own walls, floors and ceilings.

The engine's depth buffer has 8 bits, a quarter of a metre each; the level's geometry is exact. A level is a plan of
lines between sectors, each with one floor and one ceiling height: what one image column shows is, wall by wall from the
nearest on, the floor and the ceiling before it and the steps at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Camera
from vpr_ros.sources.doom_level import FloorPlan

_NEAREST_M = 0.05  # what is nearer than this is behind the camera, or it could not stand there
_FAR_ROW = 1e6  # beyond any image


@dataclass(frozen=True, slots=True, eq=False)
class _Walls:
    """The walls that each column's ray meets, nearest first; arrays of shape (columns, most walls of a column).

    Attributes:
        depth_m: Along the optical axis; infinite where a column has fewer walls.
        near: Sector on the camera's side.
        far: Sector behind; -1 behind a wall that ends the view.
    """

    depth_m: NDArray[np.float64]
    near: NDArray[np.int64]
    far: NDArray[np.int64]


class LevelDepth:
    """Depth images of a level. Decoration and bars, which are pictures without a body, are not in it."""

    def __init__(self, plan: FloorPlan, camera: Camera) -> None:
        """Take a plan and an upright pinhole camera that looks level."""
        self._plan = plan
        self._camera = camera

    def seen_from(self, eye_m: NDArray[np.float64], yaw_rad: float) -> NDArray[np.float32]:
        """Return the depth along the optical axis, shape (height, width), metres; NaN where there is sky.

        Args:
            eye_m: Position of the camera: east, north, up.
            yaw_rad: Counter-clockwise from east.
        """
        return self._painted(self._walls(eye_m[:2], yaw_rad), float(eye_m[2]))

    def _walls(self, eye_m: NDArray[np.float64], yaw_rad: float) -> _Walls:
        """Cut the ray of each column with each line of the plan."""
        plan, camera = self._plan, self._camera
        forward = np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
        rightward = np.array([forward[1], -forward[0]])
        starts, ends = plan.starts_m - eye_m, plan.ends_m - eye_m
        slopes = (np.arange(camera.width)[:, None] - camera.cx) / camera.fx
        # How far each end lies to the right of each column's ray: the ray passes between ends of different sign.
        start_aside = starts @ rightward - slopes * (starts @ forward)
        end_aside = ends @ rightward - slopes * (ends @ forward)
        columns, lines = np.nonzero((start_aside < 0) != (end_aside < 0))
        share = start_aside[columns, lines] / (start_aside[columns, lines] - end_aside[columns, lines])
        depth_m = (starts @ forward)[lines] * (1 - share) + (ends @ forward)[lines] * share
        order = np.lexsort((depth_m, columns))
        order = order[depth_m[order] > _NEAREST_M]
        columns, lines, depth_m = columns[order], lines[order], depth_m[order]

        ranks = np.arange(len(columns)) - np.searchsorted(columns, columns)
        shape = (camera.width, int(ranks.max(initial=0)) + 1)
        along = ends - starts
        from_right = (along[:, 0] * starts[:, 1] - along[:, 1] * starts[:, 0] > 0)[lines]
        right, left = plan.right[lines], plan.left[lines]
        walls = _Walls(np.full(shape, np.inf), np.full(shape, -1), np.full(shape, -1))
        walls.depth_m[columns, ranks] = depth_m
        walls.near[columns, ranks] = np.where(from_right, right, left)
        walls.far[columns, ranks] = np.where(from_right, left, right)
        return walls

    def _painted(self, walls: _Walls, eye_z_m: float) -> NDArray[np.float32]:
        """Fill each column from its ends towards the middle: floor and ceiling before a wall, then the steps at it."""
        plan, camera = self._plan, self._camera
        floor, ceiling = plan.floor_m[walls.near], plan.ceiling_m[walls.near]
        is_last = walls.far < 0
        to_floor = self._rows(floor, eye_z_m, walls.depth_m)
        to_ceiling = self._rows(ceiling, eye_z_m, walls.depth_m)
        to_step = np.where(is_last, -_FAR_ROW, self._rows(plan.floor_m[walls.far], eye_z_m, walls.depth_m))
        to_lintel = np.where(is_last, -_FAR_ROW, self._rows(plan.ceiling_m[walls.far], eye_z_m, walls.depth_m))

        # What is still open of each column before each wall: rows from top on, below bottom.
        bottom = np.minimum.accumulate(np.minimum(to_floor, to_step), axis=1)
        top = np.maximum.accumulate(np.maximum(to_ceiling, to_lintel), axis=1)
        bottom = np.minimum(np.insert(bottom[:, :-1], 0, _FAR_ROW, axis=1), camera.height)
        top = np.maximum(np.insert(top[:, :-1], 0, -_FAR_ROW, axis=1), 0)
        floor_from = np.clip(to_floor, top, np.maximum(top, bottom))
        ceiling_to = np.clip(to_ceiling, top, np.maximum(top, floor_from))
        step_from = np.clip(to_step, ceiling_to, np.maximum(ceiling_to, floor_from))
        lintel_to = np.clip(to_lintel, ceiling_to, np.maximum(ceiling_to, step_from))

        is_sky = plan.sky[walls.near]
        between_skies = is_sky & plan.sky[walls.far] & ~is_last
        nothing = np.full(walls.depth_m.shape, np.nan)
        spans = (  # first row, row after the last, height of the plane or NaN, depth of the wall or NaN
            (floor_from, bottom, floor, nothing),
            (step_from, floor_from, nothing, walls.depth_m),
            (top, ceiling_to, np.where(is_sky, np.nan, ceiling), nothing),
            (ceiling_to, lintel_to, nothing, np.where(between_skies, np.nan, walls.depth_m)),
        )
        first, end, height_m, depth_m = (np.stack(parts) for parts in zip(*spans, strict=True))
        kind, column, wall = np.nonzero(end > first)
        first, end, height_m, depth_m = (part[kind, column, wall] for part in (first, end, height_m, depth_m))
        lengths = (end - first).astype(np.int64)
        pixels = np.repeat(first.astype(np.int64) - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        down = (pixels - camera.cy) / camera.fy
        depth_m, height_m = np.repeat(depth_m, lengths), np.repeat(height_m, lengths)
        with np.errstate(divide="ignore"):
            of_plane = (eye_z_m - height_m) / down
        image = np.full((camera.height, camera.width), np.nan, np.float32)
        image[pixels, np.repeat(column, lengths)] = np.where(np.isnan(depth_m), of_plane, depth_m)
        return image

    def _rows(
        self, heights_m: NDArray[np.float64], eye_z_m: float, depth_m: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the first whole row at or below where something of these heights and depths appears."""
        return np.ceil(self._camera.cy + self._camera.fy * (eye_z_m - heights_m) / depth_m)
