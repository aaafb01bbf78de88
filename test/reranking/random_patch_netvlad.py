"""Patch-NetVLAD checkpoints with random weights, in the layout of the authors' files."""

import torch

VGG16 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
VGG16 |= {17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}


def checkpoint(clusters, dim, sharpness=60.0, seed=0):
    """What torch saves: VGG16, NetVLAD, whitening in float64 as theirs very likely is."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for index, (inputs, outputs) in VGG16.items():
        spread = (2 / (9 * inputs)) ** 0.5
        weights[f"encoder.{index}.weight"] = spread * torch.randn(outputs, inputs, 3, 3, generator=generator)
        weights[f"encoder.{index}.bias"] = 0.05 * torch.randn(outputs, generator=generator)
    directions = torch.nn.functional.normalize(torch.randn(clusters, 512, generator=generator))
    weights["pool.centroids"] = 0.5 * directions
    weights["pool.conv.weight"] = sharpness * directions[:, :, None, None]
    whitening = torch.randn(dim, clusters * 512, 1, 1, generator=generator, dtype=torch.float64)
    weights["WPCA.0.weight"] = whitening / (clusters * 512) ** 0.5
    weights["WPCA.0.bias"] = 0.01 * torch.randn(dim, generator=generator, dtype=torch.float64)
    return {"state_dict": weights, "num_pcs": dim}
