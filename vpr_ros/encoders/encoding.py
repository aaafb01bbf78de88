"""What one forward pass gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """What one forward pass gives.

    Attributes:
        descriptor: Global descriptor, unit length, shape (dim,), float32.
        feature_map: Local features for re-ranking, shape (channels, rows, columns), float32; None where the model
            exports none.
    """

    descriptor: NDArray[np.float32]
    feature_map: NDArray[np.float32] | None = None
