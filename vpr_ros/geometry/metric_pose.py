"""Relative pose in metres of two calibrated views, of which one or both have depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose
from vpr_ros.geometry.consensus import camera_pose
from vpr_ros.geometry.correspondences import Correspondences, ViewPoints
from vpr_ros.geometry.epipolar import essential_of, sampson
from vpr_ros.geometry.refinement import MetricFit, refine_metric
from vpr_ros.geometry.rules import GeometryRules

# A camera that turns while it reads out shears the image by several pixels; the refinement models it, RANSAC can't.
_RANSAC_WIDENING = 2.0
# Depths of the two views that differ by more than this factor are in different units.
_MOST_DEPTH_RATIO = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class MetricPose:
    """What depth made of a pair.

    Attributes:
        agrees: Which matches agree with the pose, those without depth by their epipolar lines, shape (n,), bool.
        fit: Refined pose, None where there is none.
        reason: Why there is no pose; empty where there is one.
    """

    agrees: NDArray[np.bool_]
    fit: MetricFit | None
    reason: str = ""


def implausible_depth(seen: Correspondences, rules: GeometryRules) -> str:
    """Return what is wrong with the depths of a pair as a clause, empty if nothing is."""
    for name, view in (("query", seen.query), ("match", seen.match)):
        if not view.has_depth.any():
            continue
        median_m = float(np.nanmedian(view.depth_m))
        if not rules.min_depth_m <= median_m <= rules.max_depth_m:
            return (
                f"median depth of the {name} is {median_m:.3g} m, expected {rules.min_depth_m:g} to "
                f"{rules.max_depth_m:g} m: is it in another unit?"
            )
    return ""


def metric_pose(seen: Correspondences, rules: GeometryRules) -> MetricPose:
    """Return the metric pose by PnP from the view with more depth, refined on both views' points and depths."""
    nothing = np.zeros(len(seen), np.bool_)
    has_depth = seen.query.has_depth | seen.match.has_depth
    if has_depth.sum() < rules.min_pose_inliers:
        return MetricPose(nothing, None, f"depth is known at {has_depth.sum()} of {len(seen)} matches")
    start = _ransac(seen, rules)
    if start is None:
        return MetricPose(nothing, None, "no pose fits the points with depth")
    near = seen.chosen(start[1])
    if clause := _disagreeing_depths(near, start[0]):
        return MetricPose(nothing, None, clause)
    fit = refine_metric(seen, start[0], rules)
    with np.errstate(invalid="ignore"):
        agrees = fit.residual_px < rules.inlier_px
    if agrees.sum() < rules.min_pose_inliers:
        return MetricPose(agrees, None, f"{agrees.sum()} matches agree with a metric pose")
    # What is too far for a depth camera is seen all the same.
    return MetricPose(agrees | (~has_depth & _meets_epipolar_lines(seen, fit, rules)), fit)


def _ransac(seen: Correspondences, rules: GeometryRules) -> tuple[Pose, NDArray[np.bool_]] | None:
    from_match = seen.match.has_depth.sum() >= seen.query.has_depth.sum()
    known, other = (seen.match, seen.query) if from_match else (seen.query, seen.match)
    rows = known.has_depth
    tolerance = _RANSAC_WIDENING * rules.inlier_px * float(np.median(other.pixel))
    found = camera_pose(known.points[rows], other.plane[rows], tolerance=tolerance)
    if found is None:
        return None
    rotation, translation, inliers = found
    near = np.zeros(len(seen), np.bool_)
    near[np.flatnonzero(rows)[inliers]] = True
    t_other_known = Pose.from_rotation_translation(rotation, translation)
    return (t_other_known.inverse() if from_match else t_other_known), near


def _meets_epipolar_lines(seen: Correspondences, fit: MetricFit, rules: GeometryRules) -> NDArray[np.bool_]:
    essential = essential_of(fit.t_match_query.rotation, fit.t_match_query.translation[None])
    query, match = (
        _at_middle_row(view, turn) for view, turn in zip((seen.query, seen.match), fit.turn_rad, strict=True)
    )
    off_px, _ = sampson(essential, Correspondences(query, match))
    return np.asarray(np.abs(off_px[0]) < rules.epipolar_px, np.bool_)


def _at_middle_row(view: ViewPoints, turn_rad: NDArray[np.float64]) -> ViewPoints:
    """Return a view's rays as the camera would have seen them, had it not turned while it read out."""
    rays = view.rays - view.readout[:, None] * np.cross(view.rays, turn_rad)
    return replace(view, plane=rays[:, :2] / rays[:, 2:])


def _disagreeing_depths(near: Correspondences, t_match_query: Pose) -> str:
    both = near.query.has_depth & near.match.has_depth
    if both.sum() < 3:
        return ""
    predicted = (t_match_query @ near.query.points[both])[:, 2]
    ratio = float(np.median(predicted / near.match.depth_m[both]))
    if 1 / _MOST_DEPTH_RATIO < ratio < _MOST_DEPTH_RATIO:
        return ""
    return f"the query's depths are {ratio:.3g} times the match's: one of them is in another unit"
