"""What an encoder expects and is."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, asdict, dataclass, fields
from math import isfinite
from typing import Literal, get_args, get_origin

from vpr_ros.core.errors import VprError

Interpolation = Literal["bilinear", "bicubic"]
ChannelOrder = Literal["rgb", "bgr"]

_LARGEST = {"height": 8192, "width": 8192, "dim": 1 << 20}  # More is a typing error that would ask for terabytes.
_SHA256 = re.compile(r"[0-9a-f]{64}")


class RecipeError(VprError):
    """A recipe that no encoder can have, or a text that holds none."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that must be equal for two descriptors to be compared.

    A map stores it (as JSON) and refuses another encoder's descriptors.

    Attributes:
        name: Registered name, such as ``gem-lite``.
        height: Input height in pixels.
        width: Input width in pixels.
        interpolation: Of the resize.
        mean: Per channel, in units of [0, 1], in the order of ``channel_order``.
        std: Per channel, in units of [0, 1], in the order of ``channel_order``.
        dim: Length of the global descriptor.
        weights_sha256: Of the trained weights (the checkpoint, not the ONNX file made of it), lower-case hex: a new
            export of the same weights keeps a map usable.
        licence: SPDX identifier of the weights, or a sentence where there is none.
        channel_order: What the network was trained on. Images are RGB inside the house.
        antialias: Whether the resize averages over what it drops, as PIL does; else it samples, as torch did with
            tensors before torchvision 0.17.
        resized: Rows and columns in pixels that the whole image is brought to, of which the middle, height x width, is
            the input; None where that is the whole.

    Raises:
        RecipeError: A value that no encoder can have.
    """

    name: str
    height: int
    width: int
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dim: int
    weights_sha256: str
    licence: str
    channel_order: ChannelOrder = "rgb"
    antialias: bool = True
    resized: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the values once."""
        if not self.name.strip():
            raise RecipeError("recipe has no name; give the encoder's registered name, such as 'gem-lite'")
        for label, most in _LARGEST.items():
            value: int = getattr(self, label)
            # To Python, true is 1.
            if isinstance(value, bool) or not 1 <= value <= most:
                raise RecipeError(f"recipe '{self.name}' has {label} {value}, expected a whole number from 1 to {most}")
        if self.resized is not None and not (
            self.height <= self.resized[0] <= _LARGEST["height"] and self.width <= self.resized[1] <= _LARGEST["width"]
        ):
            raise RecipeError(
                f"recipe '{self.name}' has resized {list(self.resized)} and takes the middle {self.height} x "
                f"{self.width} of it, expected at least that many rows and columns, and at most {_LARGEST['height']}"
            )
        self._check_choices()
        self._check_normalisation()

    def _check_choices(self) -> None:
        for label, value, allowed in (
            ("interpolation", self.interpolation, get_args(Interpolation)),
            ("channel_order", self.channel_order, get_args(ChannelOrder)),
        ):
            if value not in allowed:
                raise RecipeError(f"recipe '{self.name}' has {label} '{value}', expected one of {', '.join(allowed)}")
        if not _SHA256.fullmatch(self.weights_sha256):
            raise RecipeError(
                f"recipe '{self.name}' has weights_sha256 '{self.weights_sha256}', expected 64 lower-case hex digits"
            )

    def _check_normalisation(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or not all(map(isfinite, (*self.mean, *self.std))):
            raise RecipeError(
                f"recipe '{self.name}' has mean {self.mean} and std {self.std}, expected three finite numbers each"
            )
        if min(self.std) <= 0:
            raise RecipeError(f"recipe '{self.name}' has std {self.std}, expected all above 0")
        # Grey levels in place of units of [0, 1] make almost one input of every image, and nothing else tells.
        if min(self.mean) < 0 or max(*self.mean, *self.std) > 1:
            raise RecipeError(
                f"recipe '{self.name}' has mean {self.mean} and std {self.std}, expected mean 0 to 1 and std at most "
                "1, in units of [0, 1]: divide by 255"
            )

    def __str__(self) -> str:
        """Return one line for people."""
        cut = "" if self.resized is None else f", the middle of {self.resized[1]} x {self.resized[0]}"
        sampled = "" if self.antialias else " without antialiasing"
        return (
            f"{self.name}: {self.dim}-D from {self.width} x {self.height} {self.channel_order.upper()}{cut}, "
            f"{self.interpolation}{sampled}; weights {self.weights_sha256[:12]}, {self.licence}"
        )

    def to_json(self) -> str:
        """Return the recipe as one JSON object, keys in the order of the attributes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Return the recipe that :meth:`to_json` wrote.

        Raises:
            RecipeError: Not JSON, an unknown, missing or wrongly typed key, or a value that no encoder can have.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecipeError(f"recipe is not JSON ({error}); expected what Recipe.to_json writes") from error
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: object) -> Recipe:
        """Return the recipe of a mapping as a JSON or YAML file gives it.

        Raises:
            RecipeError: As :meth:`from_json`.
        """
        import dacite  # Here, because nothing else in the core needs more than numpy.

        if not isinstance(values, dict):
            raise RecipeError(f"recipe is a {type(values).__name__}, expected a mapping of names to values")
        tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        try:
            return dacite.from_dict(cls, tuples, dacite.Config(strict=True))
        except dacite.WrongTypeError as error:
            # What the error holds of a tuple is filled up, or no value at all.
            seen = values.get(error.field_path, error.value)
            raise RecipeError(f"recipe has {error.field_path} {seen!r}, expected {_told(error.field_type)}") from error
        except dacite.UnexpectedDataError as error:
            unknown, known = ", ".join(sorted(map(str, error.keys))), ", ".join(each.name for each in fields(cls))
            raise RecipeError(f"recipe has {unknown}, which says nothing; it takes {known}") from error
        except dacite.MissingValueError as error:
            needed = ", ".join(each.name for each in fields(cls) if each.default is MISSING)
            raise RecipeError(f"recipe lacks {error.field_path}; it needs {needed}") from error
        except (dacite.DaciteError, TypeError, ValueError, OverflowError) as error:
            raise RecipeError(f"recipe does not fit: {error}") from error


def _told(expected: object) -> str:
    """Return what people call a type of a recipe's value."""
    if get_origin(expected) is Literal:
        return f"one of {', '.join(map(str, get_args(expected)))}"
    names: dict[object, str] = {tuple: "three numbers", int: "a whole number", str: "text", bool: "true or false"}
    return names.get(get_origin(expected) or expected, "two whole numbers, rows and columns")
