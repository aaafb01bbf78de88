"""Every number of the geometric verification, with unit, source and default."""

from __future__ import annotations

from dataclasses import dataclass

from vpr_ros.core.settings import setting


@dataclass(frozen=True, slots=True)
class GeometryRules:
    """How two views are compared. Pixels are those of the working image, whose longer side has 320 to 640.

    Where the values come from: docs/geometry.md. None was fitted to a recording.
    """

    match_ratio: float = setting(
        0.85,
        "Matching: distance to the nearest descriptor over that to the second nearest (Lowe 2004, section 7.1).",
        low=0.1,
        high=1.0,
    )
    inlier_px: float = setting(
        3.0, "A match agrees with the geometry if it is off by less than this, in working pixels.", low=0.1, high=50.0
    )
    epipolar_px: float = setting(
        1.0,
        "Without depth a match agrees if it is nearer to its epipolar line than this, in working pixels: a line is "
        "easily met by chance, and true matches of SIFT lie within a few tenths.",
        low=0.1,
        high=50.0,
    )
    min_keypoints: int = setting(30, "An image with fewer keypoints is near-blank.", low=8)
    min_pose_inliers: int = setting(
        20,
        "Fewer matches that agree give no pose (RTAB-Map's Vis/MinInliers, and thrice what the unknowns need).",
        low=8,
    )
    plane_share: float = setting(
        0.9,
        "Without depth: one plane, if one homography explains this share of what the epipolar geometry explains.",
        low=0.5,
        high=1.0,
    )
    min_parallax_px: float = setting(
        2.0,
        "Without depth: pure rotation, if a rotation leaves a median of less than this, in working px.",
        low=0.0,
    )
    min_depth_m: float = setting(0.1, "A median depth below this is in another unit.", low=0.0)
    max_depth_m: float = setting(80.0, "A median depth above this is in another unit.", low=1.0)
    depth_noise_m: float = setting(0.005, "Standard deviation of depth at the camera, in m.", low=0.0)
    depth_noise_per_m: float = setting(
        0.003,
        "Its growth with squared depth, in 1/m (Khoshelham and Elberink 2012 measure 0.0014 for a Kinect; twice that).",
        low=0.0,
    )
    readout_turn_rad: float = setting(
        0.015,
        "Rolling shutter: how far a camera turns while an image is read out (standard deviation an axis; 0.5 rad/s "
        "over 30 ms). 0 for a global shutter.",
        low=0.0,
        high=0.5,
    )
    floor_rotation_rad: float = setting(
        0.01, "Smallest standard deviation of rotation an axis: 1 rad/s over 10 ms of exposure and stamp.", low=0.0
    )
    floor_translation_m: float = setting(
        0.01,
        "Smallest standard deviation of translation an axis: 0.5 m/s by 20 ms from colour to depth.",
        low=0.0,
    )
