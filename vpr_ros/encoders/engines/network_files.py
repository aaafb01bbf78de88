"""What there is of a network on disk for an engine to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import ExportedNetwork, find_onnx, is_there


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """What there is to open under a name.

    Attributes:
        label: The name or path, as the user gave it.
        network: What a checkpoint of it is loaded as; None where only the ONNX file is known.
        onnx: Its ONNX file, None if there is none.
        checkpoint: Its checkpoint, None if there is none.
        advice: How to get what is missing.
        is_own: Whether it is a whole network of the user's with a recipe that people may have written.
        other_checkpoint: Where a checkpoint comes from when none was found; raises and says so if from nowhere.
    """

    label: str
    network: str | None
    onnx: Path | None
    checkpoint: Path | None
    advice: str
    is_own: bool = False
    other_checkpoint: Callable[[], Path] | None = None

    def exported(self) -> ExportedNetwork:
        """Return the ONNX file with its recipe.

        Raises:
            EncoderError: There is none, or it is not whole.
        """
        if self.onnx is None:
            raise EncoderError(f"encoder '{self.label}' has no ONNX file; {self.advice}")
        return ExportedNetwork.read(self.onnx)

    def quantized(self) -> ExportedNetwork:
        """Return the int8 ONNX file with its recipe.

        Raises:
            EncoderError: There is none, it is not whole, or it was made of other weights.
        """
        full = self.exported()
        path = int8_name(full.path)
        found = path if is_there(path) else find_onnx(path.stem)
        if found is None and not self.is_own:
            raise EncoderError(
                f"'{self.label}' has no int8 file: the encoders that ship lose too much in int8 (docs/engines.md); "
                "take engine auto"
            )
        if found is None:
            raise EncoderError(
                f"'{self.label}' has no int8 file '{path.name}'; make one of images like the robot's: "
                f"'vpr_ros export {self.label} --precision int8 --images FOLDER --out {full.path.parent}'"
            )
        int8 = ExportedNetwork.read(found)
        if int8.recipe != full.recipe:
            raise EncoderError(
                f"'{found}' was made of other weights ({int8.recipe.weights_sha256[:12]}...) than '{full.path}' "
                f"({full.recipe.weights_sha256[:12]}...); make it anew with 'vpr_ros export --precision int8'"
            )
        return int8

    def trained(self, engine: str) -> tuple[str, Path]:
        """Return what its checkpoint is loaded as, and the checkpoint.

        Args:
            engine: Who asks, for the message.

        Raises:
            EncoderError: There is none.
        """
        if self.network is None:
            raise EncoderError(f"engine {engine} runs checkpoints, '{self.label}' is an ONNX file; take onnxruntime")
        if self.checkpoint is not None:
            return self.network, self.checkpoint
        if self.other_checkpoint is None:
            raise EncoderError(f"encoder '{self.label}' has no checkpoint; {self.advice}")
        return self.network, self.other_checkpoint()


def int8_name(onnx: Path) -> Path:
    """Return where the int8 form of an ONNX file lies: beside it, ``<stem>-int8.onnx``."""
    return onnx.with_name(f"{onnx.stem}-int8.onnx")
