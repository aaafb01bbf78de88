"""The registered encoders as a result: what each is and whether it can be opened here."""

from __future__ import annotations

from dataclasses import dataclass

from vpr_ros.encoders import RegisteredEncoder, registered


@dataclass(frozen=True, slots=True)
class EncoderState:
    """One encoder.

    Attributes:
        name: What ``--encoder`` takes.
        about: What it is.
        licence: Of its weights.
        present: Whether there are weights to open.
        weights: The file that would be opened, None while there is none.
        dim: Length of its descriptor, None while no ONNX file is there.
        input_size: Width x height in pixels, None while no ONNX file is there.
        weights_sha256: Of its weights, None while no ONNX file is there.
        advice: How to get the weights; empty where they are there.
        is_broken: Whether an ONNX file is there that can't be opened; ``advice`` says why.
    """

    name: str
    about: str
    licence: str
    present: bool
    weights: str | None
    dim: int | None
    input_size: str | None
    weights_sha256: str | None
    advice: str
    is_broken: bool


@dataclass(frozen=True, slots=True)
class EncoderList:
    """The outcome of ``vpr_ros encoders``."""

    encoders: tuple[EncoderState, ...]


def encoder_list() -> EncoderList:
    """Return every registered encoder."""
    return EncoderList(tuple(map(_state, registered())))


def _state(encoder: RegisteredEncoder) -> EncoderState:
    recipe = encoder.recipe
    return EncoderState(
        name=encoder.name,
        about=encoder.about,
        licence=encoder.licence,
        present=encoder.present,
        weights=str(encoder.weights) if encoder.weights else None,
        dim=recipe.dim if recipe else None,
        input_size=f"{recipe.width} x {recipe.height}" if recipe else None,
        weights_sha256=recipe.weights_sha256 if recipe else None,
        advice=encoder.advice,
        is_broken=encoder.is_broken,
    )
