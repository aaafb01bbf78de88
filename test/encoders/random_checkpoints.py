"""MixVPR checkpoints with random weights, in the layouts that are found in the wild."""

from math import prod

import torch

VARIANTS = {4096: (1024, 4), 512: (256, 2), 128: (64, 2)}
_BLOCKS = {"layer1": (3, 64, 64), "layer2": (4, 256, 128), "layer3": (6, 512, 256)}
_BOQ = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6"}


def released(dim=128, *, depth=4, seed=0):
    """Layout A: the names and shapes of the authors' table, written out from it and not from our network."""
    channels, rows = VARIANTS[dim]
    shapes = {"backbone.model.conv1.weight": (64, 3, 7, 7), **_batch_norm("backbone.model.bn1", 64)}
    for layer, (blocks, inputs, width) in _BLOCKS.items():
        for block in range(blocks):
            shapes |= _bottleneck(f"backbone.model.{layer}.{block}", inputs if block == 0 else 4 * width, width, block)
    for block in range(depth):
        name = f"aggregator.mix.{block}.mix"
        shapes |= {f"{name}.0.weight": (400,), f"{name}.0.bias": (400,)}
        for linear in (1, 3):
            shapes |= {f"{name}.{linear}.weight": (400, 400), f"{name}.{linear}.bias": (400,)}
    shapes |= {"aggregator.channel_proj.weight": (channels, 1024), "aggregator.channel_proj.bias": (channels,)}
    shapes |= {"aggregator.row_proj.weight": (rows, 400), "aggregator.row_proj.bias": (rows,)}
    generator = torch.Generator().manual_seed(seed)
    return {name: _values(name, shape, generator) for name, shape in shapes.items()}


def lightning(dim=128, **agg_config):
    """Layout B: what the training scripts save."""
    channels, rows = VARIANTS[dim]
    stated = {"in_channels": 1024, "out_channels": channels, "out_rows": rows, "mix_depth": 4} | agg_config
    return {
        "epoch": 29,
        "global_step": 1000,
        "pytorch-lightning_version": "1.8.4",
        "state_dict": released(dim),
        "hyper_parameters": {"backbone_arch": "resnet50", "agg_arch": "MixVPR", "agg_config": stated},
    }


def data_parallel(dim=128):
    """Layout C: saved from torch's DataParallel, under another word for state_dict."""
    return {"model_state_dict": {f"module.{name}": value for name, value in released(dim).items()}}


def boq(dim=128):
    """Layout C: Bag-of-Queries style backbone names."""
    return {_renamed(name, lambda part: f"net.{_BOQ[part]}"): value for name, value in released(dim).items()}


def openvprlab(dim=128, *, unfrozen):
    """Layout C: OpenVPRLab with that many unfrozen blocks; 4 is what ``pretrained=False`` gives."""
    frozen = 4 - unfrozen

    def place(part):
        block = 0 if part in ("conv1", "bn1") else int(part[-1])
        inside = {"conv1": ".0", "bn1": ".1"}.get(part, "")
        group = f"frozen_layers.{block}" if block < frozen else f"unfrozen_layers.{block - frozen}"
        return group + inside

    return {_renamed(name, place): value for name, value in released(dim).items()}


def _renamed(name, place):
    if not name.startswith("backbone.model."):
        return name
    part, rest = name.removeprefix("backbone.model.").split(".", 1)
    return f"backbone.{place(part)}.{rest}"


def _bottleneck(name, inputs, width, block):
    shapes = {
        f"{name}.conv1.weight": (width, inputs, 1, 1),
        f"{name}.conv2.weight": (width, width, 3, 3),
        f"{name}.conv3.weight": (4 * width, width, 1, 1),
        **_batch_norm(f"{name}.bn1", width),
        **_batch_norm(f"{name}.bn2", width),
        **_batch_norm(f"{name}.bn3", 4 * width),
    }
    if block == 0:
        shapes |= {f"{name}.downsample.0.weight": (4 * width, inputs, 1, 1)}
        shapes |= _batch_norm(f"{name}.downsample.1", 4 * width)
    return shapes


def _batch_norm(name, channels):
    values = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return values | {f"{name}.num_batches_tracked": ()}


def _values(name, shape, generator):
    """Sizes at which activations neither die nor explode over forty convolutions."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith(".weight")):
        return 0.5 + torch.rand(shape, generator=generator)
    spread = 0.1 if len(shape) < 2 else (2 / prod(shape[1:])) ** 0.5
    return spread * torch.randn(shape, generator=generator)


_LAYERS = {
    "ResNet18": (("4", 2, 64), ("5", 2, 128), ("6", 2, 256), ("7", 2, 512)),
    "ResNet50": (("4", 3, 64), ("5", 4, 128), ("6", 6, 256), ("7", 3, 512)),
}
_VGG16_LAYERS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
_VGG16_LAYERS |= dict.fromkeys((17, 19, 21, 24, 26, 28), 512)


def cosplace(backbone="ResNet18", dim=512, *, seed=0, p=2.7):
    """What CosPlace and EigenPlaces release: a bare state dict, backbone modules by their number."""
    shapes = _vgg16_shapes() if backbone == "VGG16" else _resnet_shapes(backbone)
    channels = 2048 if backbone == "ResNet50" else 512
    shapes |= {"aggregation.3.weight": (dim, channels), "aggregation.3.bias": (dim,)}
    generator = torch.Generator().manual_seed(seed)
    weights = {name: _values(name, shape, generator) for name, shape in shapes.items()}
    return weights | {"aggregation.1.p": torch.tensor([p])}


def _vgg16_shapes():
    shapes = {}
    inputs = 3
    for number, width in _VGG16_LAYERS.items():
        shapes |= {f"backbone.{number}.weight": (width, inputs, 3, 3), f"backbone.{number}.bias": (width,)}
        inputs = width
    return shapes


def _resnet_shapes(backbone):
    shapes = {"backbone.0.weight": (64, 3, 7, 7), **_batch_norm("backbone.1", 64)}
    inputs = 64
    for layer, blocks, width in _LAYERS[backbone]:
        for block in range(blocks):
            name = f"backbone.{layer}.{block}"
            if backbone == "ResNet50":
                shapes |= _bottleneck(name, inputs, width, block)
                inputs = 4 * width
            else:
                shapes |= _basic_block(name, inputs, width)
                inputs = width
    return shapes


def _basic_block(name, inputs, width):
    shapes = {f"{name}.conv1.weight": (width, inputs, 3, 3), f"{name}.conv2.weight": (width, width, 3, 3)}
    shapes |= _batch_norm(f"{name}.bn1", width) | _batch_norm(f"{name}.bn2", width)
    if inputs != width:
        shapes |= {f"{name}.downsample.0.weight": (width, inputs, 1, 1)} | _batch_norm(f"{name}.downsample.1", width)
    return shapes
