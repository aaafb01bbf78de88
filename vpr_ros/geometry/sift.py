"""SIFT (Lowe 2004), the local feature of the house; why it and not another: docs/geometry.md."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.geometry.depth import depth_at
from vpr_ros.geometry.errors import GeometryError
from vpr_ros.geometry.features import FeatureSet, working_size

# 450 * (128 + 8 + 2) bytes stay below 64 KiB a keyframe.
_MOST_KEYPOINTS = 450
# Far below OpenCV's 0.04: bare walls, blur and night still give points (docs/geometry.md), and the strongest are kept
# anyway.
_CONTRAST_THRESHOLD = 0.006
_DIM = 128


class SiftFeatures:
    """OpenCV's SIFT on the grey working image, the strongest keypoints only.

    Attributes:
        name: ``sift``.
    """

    name = "sift"

    def __init__(self, most_keypoints: int = _MOST_KEYPOINTS) -> None:
        """Set how many keypoints are kept."""
        self._most_keypoints = most_keypoints
        self._sift = cv2.SIFT.create(nfeatures=most_keypoints, contrastThreshold=_CONTRAST_THRESHOLD)

    def extract(self, image: NDArray[np.uint8], depth_m: NDArray[np.float32] | None = None) -> FeatureSet:
        """Return the features of an image; see :class:`~vpr_ros.geometry.features.LocalFeatures`."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise GeometryError(
                f"image has shape {image.shape} and type {image.dtype}, expected RGB (height, width, 3) uint8"
            )
        height, width = image.shape[:2]
        grey = _working_image(image)
        keypoints, descriptors = self._detect(grey)
        scale = np.array([width / grey.shape[1], height / grey.shape[0]])
        keypoints = ((keypoints + 0.5) * scale - 0.5).astype(np.float32)
        unknown = np.full(len(keypoints), np.nan, np.float32)
        depth = unknown if depth_m is None else depth_at(keypoints, depth_m, width=width, height=height)
        return FeatureSet(self.name, width, height, keypoints, descriptors, depth)

    def _detect(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        found, descriptors = self._sift.detectAndCompute(grey, None)
        if descriptors is None:
            return np.zeros((0, 2), np.float32), np.zeros((0, _DIM), np.uint8)
        # OpenCV keeps ties at the last response, so it may give a few more than asked.
        keypoints = np.asarray(cv2.KeyPoint.convert(found[: self._most_keypoints]), np.float32)
        return keypoints.reshape(-1, 2), descriptors[: self._most_keypoints].astype(np.uint8)


def _working_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    size = working_size(width, height)
    if size == (width, height):
        return np.asarray(grey)
    shrinks = size[0] < width
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
