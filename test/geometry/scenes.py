"""Made-up scenes: points and cameras whose geometry is known exactly."""

from dataclasses import dataclass, replace

import numpy as np

from vpr_ros.core import Camera, Pose
from vpr_ros.core.pose import rotation_exp, rotation_log
from vpr_ros.geometry import FeatureSet, GeometryRules, View
from vpr_ros.geometry.lens import distort

CAMERA = Camera(640, 480, 500.0, 505.0, 322.0, 238.0)
# Nothing but the residuals, so that the covariance can be judged.
BARE = GeometryRules(floor_rotation_rad=0.0, floor_translation_m=0.0, readout_turn_rad=0.0)


@dataclass(frozen=True)
class Scene:
    """Points in the match camera, and how the two cameras see them."""

    points: np.ndarray  # (n, 3), metres, in the match camera
    t_match_query: Pose
    query_camera: Camera = CAMERA
    match_camera: Camera = CAMERA

    def views(self, *, noise_px=0.0, depth_noise_m=0.0, depth="both", outliers=0, seed=0):
        """Return query and match; each point has a descriptor of its own, so that matching is certain."""
        randomness = np.random.default_rng(seed)
        in_query = self.t_match_query.inverse() @ self.points
        sides = ((in_query, self.query_camera), (self.points, self.match_camera))
        pixels = [distort(points[:, :2] / points[:, 2:], camera) for points, camera in sides]
        pixels = [p + randomness.normal(0, noise_px, p.shape) if noise_px else p for p in pixels]
        inside = np.all([_inside(p, camera) for p, (_, camera) in zip(pixels, sides, strict=True)], axis=0)
        inside &= (in_query[:, 2] > 0.2) & (self.points[:, 2] > 0.2)
        descriptors = distinct_descriptors(int(inside.sum()))
        views = []
        for name, p, (points, camera) in zip(("query", "match"), pixels, sides, strict=True):
            keypoints, z = p[inside].astype(np.float32), points[inside, 2].copy()
            if outliers and name == "query":
                keypoints[:outliers] = randomness.uniform((0, 0), (camera.width, camera.height), (outliers, 2))
            z += randomness.normal(0, depth_noise_m, z.shape) if depth_noise_m else 0
            known = z if depth in (name, "both") else np.full_like(z, np.nan)
            views.append(
                View(
                    FeatureSet("made up", camera.width, camera.height, keypoints, descriptors, known.astype("f4")),
                    camera,
                )
            )
        return tuple(views)


def room(seed=0, count=150, t_match_query=None):
    """Points in a box in front of the camera, 1.5 to 6 m away."""
    randomness = np.random.default_rng(seed)
    z = randomness.uniform(1.5, 6, count)
    points = np.column_stack((randomness.uniform(-0.5, 0.5, count) * z, randomness.uniform(-0.4, 0.4, count) * z, z))
    return Scene(points, pose(0.3, -0.1, 0.15, turn=(0.05, -0.12, 0.03)) if t_match_query is None else t_match_query)


def wall(seed=0, **changes):
    """Points on one slanted plane."""
    scene = room(seed, **changes)
    x, y, _ = scene.points.T
    return replace(scene, points=np.column_stack((x, y, 3 + 0.3 * x + 0.1 * y)))


def pose(x, y, z, turn=(0.0, 0.0, 0.0)):
    """Return a pose of a translation and a rotation vector."""
    return Pose.from_rotation_translation(rotation_exp(np.array(turn)), (x, y, z))


def distinct_descriptors(count):
    """Return descriptors that are all far from each other: random histograms."""
    randomness = np.random.default_rng(7)
    return (randomness.gamma(0.3, 60, (count, 128)).clip(0, 255)).astype(np.uint8)


def error_of(said, true):
    """Return (t_true - t_said, log(R_true R_said^T)), the error a covariance speaks of."""
    return np.concatenate((true.translation - said.translation, rotation_log(true.rotation @ said.rotation.T)))


def nees(verification, true):
    """Return the normalised squared error of a pose."""
    error = error_of(verification.t_match_query, true)
    return float(error @ np.linalg.solve(verification.covariance, error))


def _inside(pixels, camera):
    return np.all((pixels >= 0) & (pixels <= (camera.width - 1, camera.height - 1)), axis=1)
