"""The usual way from image to descriptor on robots: OpenCV's resize, numpy's arithmetic, ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders.engines.onnx_runtime import OnnxRuntime


class OpenCvEncoder:
    """The same ONNX file behind ``cv2.resize``, which is not antialiased: it is faster and sees another image."""

    def __init__(self, onnx: Path, recipe: Recipe, threads: int) -> None:
        """Load the network; the number of OpenCV's threads is set for the whole process."""
        self._engine = OnnxRuntime(onnx, threads=threads)
        self._recipe = recipe
        cv2.setNumThreads(threads)

    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the descriptor of one RGB image, shape (dim,)."""
        recipe = self._recipe
        small = cv2.resize(image, (recipe.width, recipe.height), interpolation=cv2.INTER_LINEAR)
        mean, std = np.array(recipe.mean, np.float32), np.array(recipe.std, np.float32)
        normalised = (small.astype(np.float32) / 255 - mean) / std
        return self._engine.run(np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])).descriptor
