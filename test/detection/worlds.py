"""Worlds small enough to reason about: each image names a spot, and an encoder gives it a descriptor of known likeness.

The encoder stands for a perfect network, so that a test knows every cosine; everything behind it is the real thing.
"""

import numpy as np

from vpr_ros.core import NS_PER_S, Frame, Pose
from vpr_ros.core.recipe import Recipe
from vpr_ros.detection import LoopDetector, Settings
from vpr_ros.encoders import Encoding
from vpr_ros.place_map import PlaceMap

DIM = 256


class World:
    """Spots with unit descriptors; ``alike[i, j]`` is the cosine of spots i and j, give or take the noise of a view."""

    def __init__(self, alike, noise=0.02, seed=0):
        """Take the wanted cosines, shape (n, n), positive semi-definite."""
        values, vectors = np.linalg.eigh(np.asarray(alike, float))
        spots = vectors * np.sqrt(np.clip(values, 0, None))
        self._spots = np.pad(spots, ((0, 0), (0, DIM - spots.shape[1])))
        self._noise = noise
        self._seed = seed
        self.engine = "table"
        self.recipe = Recipe("table", 8, 8, "bilinear", (0, 0, 0), (1, 1, 1), DIM, "0" * 64, "none")

    def encode(self, image):
        """Return the spot's descriptor with the noise of this view."""
        spot, view = int(image[0, 0, 0]), int(image[0, 0, 1]) * 256 + int(image[0, 0, 2])
        noise = np.random.default_rng((self._seed, view)).normal(size=DIM)
        noisy = self._spots[spot] + self._noise * noise / np.linalg.norm(noise)
        return Encoding((noisy / np.linalg.norm(noisy)).astype(np.float32))


def street(length, reach=1.5, background=0.3):
    """Cosines along a street: 1 at a spot, falling to ``background`` some ``reach`` spots on."""
    spot = np.arange(length)
    return background + (1 - background) * np.exp(-(((spot[:, None] - spot) / reach) ** 2))


def drive(spots, interval_s=1.0, start_s=100.0, t_odom_cameras=None, timed=True):
    """Yield one frame a spot, a fresh view each."""
    for index, spot in enumerate(spots):
        image = np.full((8, 8, 3), (spot, index // 256, index % 256), np.uint8)
        stamp_ns = int((start_s + index * interval_s) * NS_PER_S)
        pose = None if t_odom_cameras is None else t_odom_cameras[index]
        yield Frame(index, stamp_ns, image, t_odom_camera=pose, timed=timed)


def along_x(metres):
    """Poses along x."""
    return [Pose.from_xyz_quaternion([x, 0, 0, 0, 0, 0, 1]) for x in metres]


# A world's images are blank: what there is to see in them, the tests of geometry see in real ones.
BLANK = ("geometry",)


def detector_for(world, place_map=None, without=BLANK, **settings):
    """A detector on a map in memory, with settings put over the defaults."""
    return LoopDetector(world, place_map or PlaceMap.in_memory(world.recipe), Settings.from_values(settings), without)


def run(detector, frames):
    """Return all decisions and closures of a drive."""
    observations = [detector.observe(frame) for frame in frames] + [detector.finish()]
    return [d for o in observations for d in o.decisions], [c for o in observations for c in o.closures]
