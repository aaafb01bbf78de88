"""Two views in, one answer out: do they show the same rigid scene, and where did the camera stand?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose, Turn
from vpr_ros.geometry.consensus import fundamental_matrix, homography
from vpr_ros.geometry.correspondences import Correspondences, correspondences
from vpr_ros.geometry.matching import match_features
from vpr_ros.geometry.metric_pose import implausible_depth, metric_pose
from vpr_ros.geometry.rules import GeometryRules
from vpr_ros.geometry.two_view import two_view_fit
from vpr_ros.geometry.view import Degeneracy, Kind, Verification, View, coverage, zoom

# Two copies of one image give the same keypoints; two exposures of one standing camera differ by hundredths of a pixel.
_SAME_PIXEL, _SAME_SHARE = 1e-3, 0.9


def verify(query: View, match: View, rules: GeometryRules = GeometryRules()) -> Verification:  # noqa: B008 frozen
    """Return what two views say about each other.

    With depth in either view the pose is metric, without it up to scale, without calibration there is none. What can't
    be told is named in ``degeneracy`` and ``reason``, and not guessed.

    Args:
        query: The view just seen.
        match: The view remembered; its camera and image size may differ.
        rules: Thresholds and noise.

    Raises:
        GeometryError: The features of the two views were found by different extractors.
    """
    timing_ms: dict[str, float] = {}
    with _timed(timing_ms, "matching"):
        pairs = match_features(query.features, match.features, ratio=rules.match_ratio)
    with _timed(timing_ms, "pose"):
        verification = _judged(query, match, pairs, rules)
    return replace(verification, timing_ms=timing_ms)


def _judged(query: View, match: View, pairs: NDArray[np.int64], rules: GeometryRules) -> Verification:
    fewest = min(len(query.features), len(match.features))
    if fewest < rules.min_keypoints:
        reason = f"near-blank image: {fewest} keypoints, expected {rules.min_keypoints}"
        return _nothing(query, match, pairs, Degeneracy.NEAR_BLANK, reason)
    if _are_identical(query, match, pairs):
        return _identity(query, match, pairs, rules)
    if len(pairs) < rules.min_pose_inliers:
        reason = f"too few points: {len(pairs)} matches, expected {rules.min_pose_inliers}"
        return _nothing(query, match, pairs, Degeneracy.TOO_FEW_POINTS, reason)
    if not (query.is_calibrated and match.is_calibrated):
        return _uncalibrated(query, match, pairs, rules)
    return _calibrated(query, match, pairs, rules)


def _calibrated(query: View, match: View, pairs: NDArray[np.int64], rules: GeometryRules) -> Verification:
    seen, has_ray = correspondences(query, match, pairs)
    pairs = pairs[has_ray]
    if clause := implausible_depth(seen, rules):
        answer = _up_to_scale(query, match, pairs, seen, clause, rules)
        return replace(answer, degeneracy=Degeneracy.IMPLAUSIBLE_DEPTH)
    if not (seen.query.has_depth.any() or seen.match.has_depth.any()):
        return _up_to_scale(query, match, pairs, seen, "no depth", rules)
    found = metric_pose(seen, rules)
    if found.fit is None:
        answer = _up_to_scale(query, match, pairs, seen, found.reason, rules)
        wrong_unit = "unit" in found.reason
        return replace(answer, degeneracy=Degeneracy.IMPLAUSIBLE_DEPTH) if wrong_unit else answer
    floor = np.repeat((rules.floor_translation_m, rules.floor_rotation_rad), 3) ** 2
    return _answer(
        query,
        match,
        pairs,
        found.agrees,
        kind=Kind.METRIC,
        reason=f"{found.agrees.sum()} of {len(pairs)} matches agree with a metric pose",
        t_match_query=found.fit.t_match_query,
        covariance=found.fit.covariance + np.diag(floor),
        residual_px=found.fit.residual_px,
    )


def _up_to_scale(
    query: View, match: View, pairs: NDArray[np.int64], seen: Correspondences, why_no_scale: str, rules: GeometryRules
) -> Verification:
    fit = two_view_fit(seen, rules)
    agrees, of_matches = fit.agrees, f"{fit.agrees.sum()} of {len(pairs)} matches agree"
    if fit.t_match_query is None or fit.covariance is None:
        reason = f"{fit.degeneracy.value} ({why_no_scale}): {of_matches}, but fix no pose"
        answer = _answer(
            query, match, pairs, agrees, kind=Kind.NONE, reason=reason, degeneracy=fit.degeneracy,
            residual_px=np.abs(fit.residual_px),
        )  # fmt: skip
        if fit.turn is None:
            return answer
        floor = np.eye(3) * rules.floor_rotation_rad**2
        return replace(answer, turn=Turn(fit.turn.rotation, fit.turn.covariance + floor))
    # Turning by the floor turns the direction of the translation as well.
    floor = np.full(6, rules.floor_rotation_rad**2)
    return _answer(
        query,
        match,
        pairs,
        agrees,
        kind=Kind.UP_TO_SCALE,
        reason=f"{of_matches} with a pose up to scale ({why_no_scale})",
        t_match_query=fit.t_match_query,
        covariance=fit.covariance + np.diag(floor),
        residual_px=fit.residual_px,
    )


def _uncalibrated(query: View, match: View, pairs: NDArray[np.int64], rules: GeometryRules) -> Verification:
    pixels = _pixels(query, match, pairs)
    # MAGSAC measures in pixels; where the two images differ in size, the coarser one decides.
    tolerance = rules.inlier_px * max(query.features.working_pixel, match.features.working_pixel)
    epipolar = fundamental_matrix(pixels[:, :2], pixels[:, 2:], tolerance=tolerance)
    plane = homography(pixels[:, :2], pixels[:, 2:], tolerance=tolerance)
    masks = [model[1] for model in (epipolar, plane) if model is not None]
    agrees = max(masks, key=np.sum, default=np.zeros(len(pairs), np.bool_))
    reason = f"{_why_uncalibrated(query, match)}: {agrees.sum()} of {len(pairs)} matches agree with two views, no pose"
    if agrees.sum() < rules.min_pose_inliers:
        return _answer(query, match, pairs, agrees, kind=Kind.NONE, reason=reason, degeneracy=Degeneracy.TOO_FEW_POINTS)
    return _answer(query, match, pairs, agrees, kind=Kind.UNCALIBRATED, reason=reason)


def _why_uncalibrated(query: View, match: View) -> str:
    for name, view in (("query", query), ("match", match)):
        if view.camera is not None and not view.is_calibrated:
            return (
                f"calibration of the {name} is for {view.camera.width} x {view.camera.height}, its image has "
                f"{view.features.width} x {view.features.height}"
            )
    return "no calibration"


def _are_identical(query: View, match: View, pairs: NDArray[np.int64]) -> bool:
    if (query.features.width, query.features.height) != (match.features.width, match.features.height):
        return False
    pixels = _pixels(query, match, pairs)
    still = (np.abs(pixels[:, :2] - pixels[:, 2:]) < _SAME_PIXEL).all(axis=1)
    # Keypoints at one place with two orientations fail the ratio test, so ask of the matches and of half the keypoints.
    return bool(
        len(pairs) >= 0.5 * min(len(query.features), len(match.features)) and still.sum() >= _SAME_SHARE * len(pairs)
    )


def _identity(query: View, match: View, pairs: NDArray[np.int64], rules: GeometryRules) -> Verification:
    """Say that the images are copies: the camera stood still, which is metric whatever the scale."""
    floor = np.repeat((rules.floor_translation_m, rules.floor_rotation_rad), 3) ** 2
    return _answer(
        query,
        match,
        pairs,
        np.ones(len(pairs), np.bool_),
        kind=Kind.METRIC,
        reason="identical images: the same image twice, or a camera that sends the same image again",
        degeneracy=Degeneracy.IDENTICAL_IMAGES,
        t_match_query=Pose.identity(),
        covariance=np.diag(floor),
        residual_px=np.zeros(len(pairs)),
    )


def _nothing(query: View, match: View, pairs: NDArray[np.int64], degeneracy: Degeneracy, reason: str) -> Verification:
    agrees = np.zeros(len(pairs), np.bool_)
    return _answer(query, match, pairs, agrees, kind=Kind.NONE, reason=reason, degeneracy=degeneracy)


def _answer(
    query: View,
    match: View,
    pairs: NDArray[np.int64],
    agrees: NDArray[np.bool_],
    *,
    kind: Kind,
    reason: str,
    degeneracy: Degeneracy = Degeneracy.NO,
    t_match_query: Pose | None = None,
    covariance: NDArray[np.float64] | None = None,
    residual_px: NDArray[np.float64] | None = None,
) -> Verification:
    pixels = _pixels(query, match, pairs)
    sides = ((query.features, pixels[agrees, :2]), (match.features, pixels[agrees, 2:]))
    return Verification(
        kind=kind,
        reason=reason,
        matches=pixels,
        agrees=agrees,
        degeneracy=degeneracy,
        t_match_query=t_match_query,
        covariance=covariance,
        coverage=min(coverage(points, width=features.width, height=features.height) for features, points in sides),
        zoom=_zoom(query, match, pixels[agrees]),
        residual_px=float(np.median(residual_px[agrees])) if residual_px is not None and agrees.any() else float("nan"),
    )


def _zoom(query: View, match: View, pixels: NDArray[np.float32]) -> float:
    units: tuple[float, float] = query.features.width, match.features.width
    if query.camera is not None and match.camera is not None and query.is_calibrated and match.is_calibrated:
        units = query.camera.fx, match.camera.fx
    return zoom(pixels[:, :2] / np.float32(units[0]), pixels[:, 2:] / np.float32(units[1]))


def _pixels(query: View, match: View, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate((query.features.keypoints[pairs[:, 0]], match.features.keypoints[pairs[:, 1]]), axis=1)


@contextmanager
def _timed(timing_ms: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timing_ms[step] = 1000 * (time.perf_counter() - start)
