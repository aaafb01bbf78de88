"""ResNet-18, 34 and 50 (He et al. 2016, with the stride in the 3x3 convolution as torchvision has it).

Attribute names are torchvision's, because checkpoints are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vpr_ros.encoders.models.stage import Stage

# Blocks of each layer, by depth.
_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
RESNET_DEPTHS = tuple(_BLOCKS)
_WIDTHS = (64, 128, 256, 512)
_STEM_CHANNELS = 64


class ResNet(nn.Module):
    """The network without average pooling and classifier, up to a layer of choice.

    ``forward`` takes (batch, 3, height, width), normalised by ImageNet's mean and deviation, and returns the map of the
    last layer, not negative: stride 16 for layer3, stride 32 for layer4.
    """

    def __init__(self, depth: int, *, last_layer: int = 4) -> None:
        """Build with random weights; ``last_layer`` is 1 to 4."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, _STEM_CHANNELS, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_CHANNELS)
        block: type[Bottleneck | BasicBlock] = Bottleneck if depth >= 50 else BasicBlock
        inputs = _STEM_CHANNELS
        self._layers = tuple(f"layer{number}" for number in range(1, last_layer + 1))
        for name, width, blocks in zip(self._layers, _WIDTHS, _BLOCKS[depth], strict=False):
            first = block(inputs, width, stride=1 if name == "layer1" else 2)
            inputs = width * block.expansion
            self.add_module(name, nn.Sequential(first, *(block(inputs, width, stride=1) for _ in range(blocks - 1))))

    def forward(self, images: Tensor) -> Tensor:
        """Return the map of the last layer."""
        x = self._stem(images)
        for name in self._layers:
            x = self.get_submodule(name)(x)
        return x

    def stages(self) -> tuple[Stage, ...]:
        """Return ``stem`` and ``layer1`` to the last, in order."""
        layers = ((name, self.get_submodule(name)) for name in self._layers)
        stem = Stage("stem", self._stem, (self.conv1, self.bn1))
        return (stem, *(Stage(name, layer, (layer,)) for name, layer in layers))

    def _stem(self, images: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(images)))
        return functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)


class ResNet50ToLayer3(ResNet):
    """ResNet-50 without layer4: ``forward`` returns (batch, 1024, height/16, width/16), not negative."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__(50, last_layer=3)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a skip, which is a 1x1 convolution where the shape changes."""

    expansion = 4  # A layer's output is four times as wide as the inside of its blocks.

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        """Build with random weights."""
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _skip(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a skip, which is a 1x1 convolution where the shape changes."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        """Build with random weights."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _skip(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def _skip(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    convolution = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
