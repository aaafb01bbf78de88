"""Taking each BatchNorm into the convolution before it, which computes the same in fewer passes."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Return a copy in which each convolution has taken in the BatchNorm after it, computed in float64.

    The pairs are found by the names ResNet and EfficientNet give them: ``conv1, bn1``; ``_expand_conv, _bn0``.
    """
    folded = copy.deepcopy(network).eval().double()
    for module in list(folded.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return folded.float()
