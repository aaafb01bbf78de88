"""From an RGB image of any size to a network's input, as PIL's or torch's resize makes it, without either.

A resize is a separable filter: each output row is a weighted mean of a few neighbouring input rows, each output column
one of columns. Both passes are products with a banded matrix; the band is cut into blocks small enough that
hardly any zero is multiplied and large enough that BLAS does the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.core.recipe import Interpolation
from vpr_ros.encoders.errors import EncoderError

# Half width of the filters in input pixels at scale 1 (Pillow, Resample.c).
_SUPPORT: dict[Interpolation, float] = {"bilinear": 1.0, "bicubic": 2.0}
# Pillow's and torch's antialiased bicubic, and torch's (and OpenCV's) without antialiasing.
_CUBIC_A = -0.5
_SAMPLING_CUBIC_A = -0.75
# Outputs a block. From 640 x 480 to 320 x 320, 8 is the fastest of 8 to 320, and its products are so small, to 1920 x
# 1080, that BLAS stays on one thread: BLAS threads keep spinning after their work and would slow the network that runs
# next. Nodes and commands give BLAS one thread from the start.
_BLOCK = 8


class Preprocessing:
    """Resize, channel order and normalisation of one recipe."""

    def __init__(self, recipe: Recipe) -> None:
        """Prepare for a recipe; the filters are made when the first image of a size comes, and kept."""
        self._recipe = recipe
        # (x/255 - mean)/std as one multiplication and one addition a channel.
        self._scale = (1 / (255 * np.array(recipe.std))).astype(np.float32).reshape(3, 1, 1)
        self._offset = (-np.array(recipe.mean) / np.array(recipe.std)).astype(np.float32).reshape(3, 1, 1)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's input, shape (1, 3, height, width), C-contiguous.

        Args:
            image: RGB of any size, shape (rows, columns, 3), uint8.

        Raises:
            EncoderError: The image has another shape or type; names both.
        """
        _check_image(image)
        recipe = self._recipe
        rows, columns = recipe.resized or (recipe.height, recipe.width)
        planes = resize(image, rows, columns, recipe.interpolation, antialias=recipe.antialias)
        if recipe.resized is not None:
            # Halves go to the even number, as torchvision's CenterCrop rounds them.
            top, left = round((rows - recipe.height) / 2), round((columns - recipe.width) / 2)
            planes = planes[:, top : top + recipe.height, left : left + recipe.width]
        if recipe.channel_order == "bgr":
            planes = planes[::-1]
        planes = np.ascontiguousarray(planes)
        planes *= self._scale
        planes += self._offset
        return planes[np.newaxis]


def resize(
    image: NDArray[np.uint8],
    height: int,
    width: int,
    interpolation: Interpolation = "bilinear",
    *,
    antialias: bool = True,
) -> NDArray[np.float32]:
    """Return the image resized, as planes (3, height, width) of grey levels.

    Equals with antialiasing PIL's ``Image.resize`` to its rounding (PIL rounds to whole grey levels after each of its
    two passes), and without it ``torch.nn.functional.interpolate`` of tensors of floats, where bicubic may leave
    [0, 255].
    """
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, list(planes))
    if interpolation == "bicubic" and antialias:
        # Its negative lobes overshoot, which PIL's uint8 clips: after the columns, which come first there, and again.
        wide = np.clip(_with_columns(planes, width, interpolation, antialias), 0, 255)
        return np.clip(_with_rows(wide, height, interpolation, antialias), 0, 255)
    # Where nothing is clipped the order does not matter, and whole rows are faster to take first.
    return _with_columns(_with_rows(planes, height, interpolation, antialias), width, interpolation, antialias)


def _with_rows(
    planes: NDArray[np.uint8] | NDArray[np.float32], height: int, interpolation: Interpolation, antialias: bool
) -> NDArray[np.float32]:
    resized = np.empty((3, height, planes.shape[2]), dtype=np.float32)
    for block in banded_filter(planes.shape[1], height, interpolation, antialias):
        np.matmul(block.weights, planes[:, block.source].astype(np.float32, copy=False), out=resized[:, block.target])
    return resized


def _with_columns(
    planes: NDArray[np.uint8] | NDArray[np.float32], width: int, interpolation: Interpolation, antialias: bool
) -> NDArray[np.float32]:
    lines = planes.reshape(-1, planes.shape[2])  # Two axes: three products at a time go by a slower way.
    resized = np.empty((len(lines), width), dtype=np.float32)
    for block in banded_filter(planes.shape[2], width, interpolation, antialias):
        some = lines[:, block.source].astype(np.float32, copy=False)
        np.matmul(some, block.weights.T, out=resized[:, block.target])
    return resized.reshape(3, -1, width)


@dataclass(frozen=True, slots=True, eq=False)
class FilterBlock:
    """A dense piece of a banded filter matrix.

    Attributes:
        target: Outputs of this piece.
        source: Inputs they are made of.
        weights: Shape (outputs, inputs), float32; each row sums to one.
    """

    target: slice
    source: slice
    weights: NDArray[np.float32]


@lru_cache(maxsize=64)
def banded_filter(
    inputs: int, outputs: int, interpolation: Interpolation, antialias: bool = True
) -> tuple[FilterBlock, ...]:
    """Return the filter from ``inputs`` to ``outputs`` samples, in blocks that cover all outputs in order.

    Output i is centred at (i + 0.5) * scale. With antialiasing, Pillow's ``precompute_coeffs``, it weighs the input x
    by the filter at (x + 0.5 - centre) / max(scale, 1), normalised over the inputs that exist; without, as torch does,
    by the filter at x + 0.5 - centre, and beyond the border the last input stands for those that don't.
    """
    return tuple((_averaging if antialias else _sampling)(inputs, outputs, interpolation))


def _averaging(inputs: int, outputs: int, interpolation: Interpolation) -> Iterator[FilterBlock]:
    scale = inputs / outputs
    stretch = max(scale, 1.0)
    reach = _SUPPORT[interpolation] * stretch
    for start in range(0, outputs, _BLOCK):
        centres = (np.arange(start, min(start + _BLOCK, outputs)) + 0.5) * scale
        first = np.maximum((centres - reach + 0.5).astype(int), 0)
        last = np.minimum((centres + reach + 0.5).astype(int), inputs)
        positions = np.arange(first[0], last[-1])
        weights = _filter((positions + 0.5 - centres[:, np.newaxis]) / stretch, interpolation, _CUBIC_A)
        weights[(positions < first[:, np.newaxis]) | (positions >= last[:, np.newaxis])] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        yield FilterBlock(
            slice(start, start + len(centres)), slice(int(first[0]), int(last[-1])), weights.astype(np.float32)
        )


def _sampling(inputs: int, outputs: int, interpolation: Interpolation) -> Iterator[FilterBlock]:
    reach = int(_SUPPORT[interpolation])
    for start in range(0, outputs, _BLOCK):
        centres = (np.arange(start, min(start + _BLOCK, outputs)) + 0.5) * (inputs / outputs)
        taps = np.floor(centres - 0.5).astype(int)[:, np.newaxis] + np.arange(1 - reach, 1 + reach)
        of_taps = _filter(taps + 0.5 - centres[:, np.newaxis], interpolation, _SAMPLING_CUBIC_A)
        taps = taps.clip(0, inputs - 1)
        first = int(taps[0, 0])
        weights = np.zeros((len(centres), int(taps[-1, -1]) + 1 - first))
        np.add.at(weights, (np.arange(len(centres))[:, np.newaxis], taps - first), of_taps)
        yield FilterBlock(
            slice(start, start + len(centres)), slice(first, first + weights.shape[1]), weights.astype(np.float32)
        )


def _filter(distance: NDArray[np.float64], interpolation: Interpolation, cubic_a: float) -> NDArray[np.float64]:
    x = np.abs(distance)
    weights: NDArray[np.float64] = np.maximum(1 - x, 0)
    if interpolation == "bicubic":
        near = ((cubic_a + 2) * x - (cubic_a + 3)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * cubic_a
        weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights


def _check_image(image: NDArray[np.uint8]) -> None:
    if not isinstance(image, np.ndarray):
        raise EncoderError(f"image is a {type(image).__name__}, expected a numpy array (rows, columns, 3) of uint8")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise EncoderError(
            f"image has shape {image.shape} and type {image.dtype}, expected (rows, columns, 3) RGB of uint8; "
            "convert it first (grey: three equal channels)"
        )
