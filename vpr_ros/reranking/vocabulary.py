"""What turns a feature map into patch descriptors: clusters, whitening, windows; and the file that holds them."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe, share_path
from vpr_ros.reranking.errors import RerankingError

# Window sizes of the authors' "performance" configuration and the weight of each (configs/performance.ini).
PUBLISHED_WEIGHTS = MappingProxyType({2: 0.45, 5: 0.15, 8: 0.40})

_FORMAT = 1
_ARRAYS = ("mean", "assignment", "centroids", "whitening", "bias")
_MEMBERS = {*_ARRAYS, "format", "encoder", "weights_sha256", "window_sizes", "window_weights", "content_sha256"}


@dataclass(frozen=True, slots=True, eq=False)
class PatchVocabulary:
    """Clusters and whitening of one encoder's feature map.

    With K clusters, C channels and descriptors of P values:

    Attributes:
        encoder: Name of the encoder whose map it was made for.
        weights_sha256: Of that encoder's weights, as its recipe says.
        mean: Subtracted from each position of the map before it is brought to unit length, shape (C,), float32;
            zeros where the network was trained without.
        assignment: Weights of the soft assignment, NetVLAD's 1x1 convolution without bias, shape (K, C), float32.
        centroids: Shape (K, C), float32.
        whitening: Shape (P, K * C), float32; cluster k and channel c stand at k * C + c.
        bias: Added after whitening, shape (P,), float32.
        window_weights: Weight of each window size in positions of the map, ascending.
        content_sha256: Of all of the above, lower-case hex; patch descriptors of two vocabularies can't be compared.

    Raises:
        RerankingError: Arrays that don't belong together or hold NaN, or windows that can't be.
    """

    encoder: str
    weights_sha256: str
    mean: NDArray[np.float32]
    assignment: NDArray[np.float32]
    centroids: NDArray[np.float32]
    whitening: NDArray[np.float32]
    bias: NDArray[np.float32]
    window_weights: Mapping[int, float] = field(default_factory=lambda: PUBLISHED_WEIGHTS)
    content_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Bring the arrays to float32 and check them once."""
        for name in _ARRAYS:
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
        windows = {int(size): float(weight) for size, weight in sorted(self.window_weights.items())}
        object.__setattr__(self, "window_weights", MappingProxyType(windows))
        self._check_shapes()
        if not windows or min(windows) < 1 or max(windows) > 255 or not all(w > 0 for w in windows.values()):
            raise RerankingError(f"windows are {windows}, expected sizes from 1 to 255, each with a weight above 0")
        object.__setattr__(self, "content_sha256", self._digest())

    @property
    def channels(self) -> int:
        """Channels of the map it takes."""
        return int(self.centroids.shape[1])

    @property
    def dim(self) -> int:
        """Length of a patch descriptor."""
        return int(self.whitening.shape[0])

    def save(self, path: Path) -> Path:
        """Write the file that :meth:`load` reads, whole or not at all, and return its path."""
        unfinished = path.with_suffix(".npz.part")
        with unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                format=np.int64(_FORMAT),
                encoder=np.str_(self.encoder),
                weights_sha256=np.str_(self.weights_sha256),
                content_sha256=np.str_(self.content_sha256),
                window_sizes=np.array(list(self.window_weights), np.int64),
                window_weights=np.array(list(self.window_weights.values()), np.float64),
                **{name: getattr(self, name) for name in _ARRAYS},
            )
        return unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> PatchVocabulary:
        """Read a file that :meth:`save` wrote; arrays only, nothing in it is executed.

        Raises:
            RerankingError: The file is missing, truncated, changed, or something else.
        """
        members = _read_members(path)
        try:
            windows = zip(members["window_sizes"].tolist(), members["window_weights"].tolist(), strict=True)
            vocabulary = cls(
                encoder=str(members["encoder"]),
                weights_sha256=str(members["weights_sha256"]),
                window_weights=MappingProxyType(dict(windows)),
                **{name: members[name] for name in _ARRAYS},
            )
        except (RerankingError, TypeError, ValueError) as error:
            raise RerankingError(f"vocabulary '{path}' does not fit: {error}") from error
        if vocabulary.content_sha256 != str(members["content_sha256"]):
            raise RerankingError(
                f"vocabulary '{path}' holds sha256 {vocabulary.content_sha256[:12]}..., but says "
                f"{str(members['content_sha256'])[:12]}...: it was changed or damaged; copy it again"
            )
        return vocabulary

    def check_encoder(self, recipe: Recipe) -> None:
        """Refuse the feature maps of another encoder.

        Raises:
            RerankingError: The recipe has other weights than this was made for.
        """
        if recipe.weights_sha256 != self.weights_sha256:
            raise RerankingError(
                f"the re-ranking vocabulary was made for '{self.encoder}' (sha256 {self.weights_sha256[:8]}...), but "
                f"this encoder is '{recipe.name}' (sha256 {recipe.weights_sha256[:8]}...); feature maps of different "
                "weights can't be described with it: fit one for this encoder, or switch the stage off with "
                "--without rerank"
            )

    def _check_shapes(self) -> None:
        clusters, channels = self.centroids.shape if self.centroids.ndim == 2 else (0, 0)
        wanted = {
            "mean": (channels,),
            "assignment": (clusters, channels),
            "whitening": (len(self.bias), clusters * channels),
        }
        wrong = [
            f"{name} {getattr(self, name).shape} instead of {shape}"
            for name, shape in wanted.items()
            if getattr(self, name).shape != shape
        ]
        if wrong or self.bias.ndim != 1 or not self.centroids.size or not self.bias.size:
            raise RerankingError(
                f"centroids are {self.centroids.shape} and bias is {self.bias.shape}, with "
                f"{', '.join(wrong) or 'these'}; expected clusters, channels and whitening of one model"
            )
        broken = [name for name in _ARRAYS if not np.isfinite(getattr(self, name)).all()]
        if broken:
            raise RerankingError(f"{', '.join(broken)} hold NaN or infinite values; the weights are damaged")

    def _digest(self) -> str:
        digest = hashlib.sha256(f"{_FORMAT} {self.encoder} {self.weights_sha256} {dict(self.window_weights)}".encode())
        for name in _ARRAYS:
            array: NDArray[np.float32] = getattr(self, name)
            digest.update(f"{name} {array.shape}".encode())
            digest.update(array.astype("<f4", copy=False).tobytes())
        return digest.hexdigest()


def open_vocabulary(recipe: Recipe, folders: Sequence[Path] = ()) -> PatchVocabulary:
    """Return the vocabulary of an encoder, from ``<encoder>-rerank.npz``.

    Args:
        recipe: Of the encoder.
        folders: Looked into first, in order (the user's weights); the shipped ``weights/`` comes last.

    Raises:
        RerankingError: There is none, it is damaged, or it was made for other weights.
    """
    name = f"{recipe.name}-rerank.npz"
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    try:
        path = path or share_path(f"weights/{name}")
    except FileNotFoundError as error:
        raise RerankingError(
            f"there is no re-ranking vocabulary '{name}' for encoder '{recipe.name}'; fit one (docs/reranking.md), "
            "take --encoder mixvpr-lite, or switch the stage off with --without rerank"
        ) from error
    vocabulary = PatchVocabulary.load(path)
    vocabulary.check_encoder(recipe)
    return vocabulary


def _read_members(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if set(archive.files) != _MEMBERS:
                raise RerankingError(
                    f"'{path}' holds {', '.join(archive.files[:5])}; expected a re-ranking vocabulary, which holds "
                    f"{', '.join(sorted(_MEMBERS))}"
                )
            members = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise RerankingError(f"there is no re-ranking vocabulary '{path}'; check the path") from error
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise RerankingError(
            f"'{path}' is no whole re-ranking vocabulary ({error}); expected the .npz file that was shipped or fitted"
        ) from error
    if members["format"] != _FORMAT:
        raise RerankingError(
            f"'{path}' is a re-ranking vocabulary of format {members['format']}, this version reads {_FORMAT}; "
            "take the file of this version"
        )
    return members
