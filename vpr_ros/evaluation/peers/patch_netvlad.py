"""The authors' Patch-NetVLAD: the PyPI package ``patchnetvlad`` 0.1.8, as their scripts use it, on the processor."""

from __future__ import annotations

import configparser
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from patchnetvlad.models.local_matcher import calc_keypoint_centers_from_patches  # type: ignore[import-untyped]
from patchnetvlad.tools.patch_matcher import PatchMatcher  # type: ignore[import-untyped]
from torch import Tensor, nn

_MATCHERS = {"spatial": "spatialApproximator", "ransac": "RANSAC"}


class PeerMatcher:
    """Their matcher for images of one size, windows of stride 1."""

    def __init__(self, method: str, sizes: Sequence[int], rows: int, columns: int) -> None:
        """Prepare the positions.

        Args:
            method: ``spatial`` or ``ransac``.
            sizes: Window sizes.
            rows: Of the feature map.
            columns: Of the feature map.
        """
        image = {"imageresizeH": str(16 * rows), "imageresizeW": str(16 * columns)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Their meshgrid without indexing.
            positions = [calc_keypoint_centers_from_patches(image, size, size, 1, 1) for size in sizes]
        keypoints, indices = zip(*positions, strict=True)
        self._matcher = PatchMatcher(_MATCHERS[method], list(sizes), [1] * len(sizes), keypoints, indices)

    def scores(self, query: Sequence[Tensor], match: Sequence[Tensor]) -> list[float]:
        """Return the score of each window size, larger is more alike.

        Args:
            query: Unit rows of each size, (windows, dim).
            match: Unit columns of each size, (dim, windows), as they store them.
        """
        return [-float(score) for score in self._matcher.match(query, match)[0]]


def peer_scoring(
    size: int, rows: int, columns: int, query: NDArray[np.float32], candidates: Sequence[NDArray[np.float32]]
) -> Callable[[], list[float]]:
    """Return their spatial scoring of a query against candidates, arrays already where their scripts read them to.

    Args:
        size: Window size.
        rows: Of the feature map.
        columns: Of the feature map.
        query: Unit rows, (windows, dim).
        candidates: The same, of each candidate.
    """
    matcher = PeerMatcher("spatial", [size], rows, columns)
    asked = [torch.from_numpy(query)]
    stored = [[torch.from_numpy(np.ascontiguousarray(one.T))] for one in candidates]
    return lambda: [matcher.scores(asked, one)[0] for one in stored]


def peer_model(state_dict: dict[str, Tensor], sizes: Sequence[int]) -> nn.Module:
    """Return their network with the weights of a checkpoint; theirs downloads ImageNet's first, this does not."""
    from patchnetvlad.models.models_generic import get_model  # type: ignore[import-untyped]
    from torchvision.models import vgg16  # type: ignore[import-untyped]

    clusters, dim = len(state_dict["pool.centroids"]), len(state_dict["WPCA.0.bias"])
    config = configparser.ConfigParser()
    config["global_params"] = {
        "pooling": "patchnetvlad",
        "num_clusters": str(clusters),
        "num_pcs": str(dim),
        "vladv2": "False",
        "patch_sizes": ",".join(map(str, sizes)),
        "strides": ",".join("1" for _ in sizes),
    }
    encoder = nn.Sequential(*list(vgg16(weights=None).features.children())[:-2])
    model: nn.Module = get_model(encoder, 512, config["global_params"], append_pca_layer=True)
    model.load_state_dict(state_dict)
    return model.eval()


def peer_descriptors(
    model: nn.Module, images: Tensor
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the global descriptor, the patch descriptors of each size (windows, dim), and the map of one image."""
    from patchnetvlad.models.models_generic import get_pca_encoding

    with torch.inference_mode():
        feature_map = model.get_submodule("encoder")(images)
        patches, pooled = model.get_submodule("pool")(feature_map)
        whole = get_pca_encoding(model, pooled)[0].numpy()
        local = [get_pca_encoding(model, vlad[0].T.contiguous()).numpy() for vlad in patches]
    return whole, local, feature_map[0].numpy()
