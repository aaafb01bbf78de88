"""ResNet-50 (He et al. 2016, with the stride in the 3x3 convolution as torchvision has it) up to its third layer.

Attribute names are torchvision's, because checkpoints are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

# A layer's output is four times as wide as the inside of its blocks.
_EXPANSION = 4


class ResNet50ToLayer3(nn.Module):
    """The network without layer4, average pooling and classifier.

    ``forward`` takes (batch, 3, height, width), normalised by ImageNet's mean and deviation, and returns
    (batch, 1024, height/16, width/16), not negative.
    """

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, 64, blocks=3, stride=1)
        self.layer2 = _layer(256, 128, blocks=4, stride=2)
        self.layer3 = _layer(512, 256, blocks=6, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Return the map of layer3."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        feature_map: Tensor = self.layer3(self.layer2(self.layer1(x)))
        return feature_map


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a skip, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        """Build with random weights."""
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            skip = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(skip, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def _layer(inputs: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(width * _EXPANSION, width, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)
