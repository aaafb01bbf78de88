"""What every engine is: something that runs a network on one preprocessed image."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vpr_ros.encoders.encoding import Encoding


class Engine(Protocol):
    """A network, loaded and ready.

    Attributes:
        name: Such as ``onnxruntime``.
    """

    name: str

    def run(self, network_input: NDArray[np.float32]) -> Encoding:
        """Run the network once.

        Args:
            network_input: What the recipe's preprocessing gives, shape (1, 3, height, width), C-contiguous.

        Raises:
            EncoderError: The runtime failed; carries its words.
        """
