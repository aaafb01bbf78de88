"""3x3 convolutions with a quarter of the multiplications, in operations that OpenVINO's CPU plugin runs well.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016,
section 4.3): of each tile of 6 x 6 inputs come 4 x 4 outputs, by one product of its 36 transformed values with the
36 transformed weights, where the plain sum takes 144. On x86 the plugin has no such convolution of its own.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino

# Below it, transforming takes what the products save; on smaller maps, reading four times the weights does, and they
# stay in memory (docs/engines.md).
_LEAST_CHANNELS = 128
_LEAST_SIDE = 17
_TILE_IN = 6
_TILE_OUT = 4
# The paper's B^T, G and A^T: outputs are A^T [(G g G^T) * (B^T d B)] A of the weights g and the inputs d.
_OF_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_OF_WEIGHTS = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]],
    np.float32,
) / np.float32(24)
_OF_OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32)


def use_winograd(model: openvino.Model) -> int:
    """Replace the convolutions of a model, in place, that are worth it; return how many were.

    Those of 3 x 3, stride 1 and one image, that keep the map's size, 17 x 17 or more, with weights in fp32 or stored in
    half, and 128 channels or more in and out. What the model gives differs from before by rounding.
    """
    worth_it = [node for node in model.get_ordered_ops() if _is_worth_it(node)]
    for node in worth_it:
        image, weights = node.input_value(0), _constant(node)
        assert weights is not None, "it was worth it"
        _, _, height, width = image.get_shape()
        kernel = weights.data.astype(np.float32, copy=False)
        node.output(0).replace(_convolution(image, kernel, height, width))
    return len(worth_it)


def _is_worth_it(node: openvino.Node) -> bool:
    if node.get_type_name() != "Convolution":
        return False
    said = node.get_attributes()
    weights, image = _constant(node), node.input_value(0).get_partial_shape()
    return (
        weights is not None
        and tuple(weights.shape)[2:] == (3, 3)
        and min(tuple(weights.shape)[:2]) >= _LEAST_CHANNELS
        and all(list(said[key]) == [1, 1] for key in ("strides", "dilations", "pads_begin", "pads_end"))
        and image.is_static
        and image[0].get_length() == 1
        and min(image[2].get_length(), image[3].get_length()) >= _LEAST_SIDE
    )


def _constant(convolution: openvino.Node) -> openvino.Node | None:
    """Return the node that holds a convolution's weights in fp32, or in fp16 with a conversion behind it."""
    source = convolution.input_value(1).get_node()
    if source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    is_float = source.get_element_type().get_type_name() in ("f32", "f16")
    return source if source.get_type_name() == "Constant" and is_float else None


def _tiles(pixels: int) -> int:
    return -(-pixels // _TILE_OUT)


def _convolution(image: openvino.Output, weights: NDArray[np.float32], height: int, width: int) -> openvino.Output:
    """Return the convolution's output, shape (1, filters, height, width).

    Channels last on the way, so that each step moves or multiplies whole rows of channels.
    """
    ops = _operations()

    filters, channels = weights.shape[:2]
    rows, columns = _tiles(height), _tiles(width)
    positions, tiles = _TILE_IN**2, rows * columns

    pixels = _reshaped(ops.transpose(image, np.array([0, 2, 3, 1])), height * width, channels)
    tiled = ops.gather(pixels, _pixels_of_tiles(height, width), 0)
    tiled = ops.matmul(_kron(_OF_INPUT), _reshaped(tiled, positions, tiles * channels), False, False)
    tiled = ops.matmul(
        _reshaped(tiled, positions, tiles, channels),
        ops.constant(_transformed(weights), shared_memory=True),
        False,
        False,
    )
    tiled = ops.matmul(_kron(_OF_OUTPUT), _reshaped(tiled, positions, tiles * filters), False, False)
    # (row in tile, column in tile, tile row, tile column, filter) to rows and columns of the map.
    tiled = ops.transpose(_reshaped(tiled, _TILE_OUT, _TILE_OUT, rows, columns, filters), np.array([2, 0, 3, 1, 4]))
    whole = _reshaped(tiled, 1, rows * _TILE_OUT, columns * _TILE_OUT, filters)
    if height % _TILE_OUT or width % _TILE_OUT:
        whole = ops.slice(whole, [0, 0], [height, width], [1, 1], [1, 2])
    return ops.transpose(whole, np.array([0, 3, 1, 2])).output(0)


def _pixels_of_tiles(height: int, width: int) -> NDArray[np.int32]:
    """Return where each tile's inputs lie among the pixels, shape (36, tiles).

    Beyond the border that is after the last pixel, of which Gather-8 says that it is filled with zeros.
    """
    row = np.arange(_TILE_IN)[:, np.newaxis] + np.arange(0, height, _TILE_OUT) - 1
    column = np.arange(_TILE_IN)[:, np.newaxis] + np.arange(0, width, _TILE_OUT) - 1
    row, column = row[:, np.newaxis, :, np.newaxis], column[np.newaxis, :, np.newaxis, :]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, row * width + column, height * width).astype(np.int32).reshape(_TILE_IN**2, -1)


def _transformed(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights as one product for each position in a tile, shape (36, channels, filters)."""
    filters, channels = weights.shape[:2]
    taps = np.ascontiguousarray(weights.reshape(filters, channels, 9).transpose(2, 1, 0)).reshape(9, -1)
    transformed: NDArray[np.float32] = _kron(_OF_WEIGHTS) @ taps
    return transformed.reshape(-1, channels, filters)


def _kron(one_axis: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a transform of both axes of a tile of that of one."""
    return np.kron(one_axis, one_axis)


def _reshaped(node: openvino.Node, *shape: int) -> openvino.Node:
    ops = _operations()

    return ops.reshape(node, np.array(shape), False)


def _operations() -> ModuleType:
    try:
        from openvino import opset13
    except ImportError:  # Before 2025.0
        from openvino.runtime import opset13
    operations: ModuleType = opset13
    return operations
