"""What can go wrong with a map."""

from __future__ import annotations

from dataclasses import fields

from vpr_ros.core import Recipe, VprError


class MapError(VprError):
    """A map can't be opened, read or written, or was asked for what it can't hold."""


class RecipeMismatchError(MapError):
    """A map was made by another encoder, or by the same one with other weights or preprocessing."""

    def __init__(self, name: str, stored: Recipe, given: Recipe) -> None:
        """Build the sentence.

        Args:
            name: Name of the map's folder.
            stored: Recipe of the map.
            given: Recipe of the encoder that was to use it.
        """
        if stored.name == given.name:
            what = f", and so does this encoder, but they differ in {_difference(stored, given)}"
            advice = "Use the weights and settings the map was made with"
        else:
            what = f", but this encoder is {_title(given)}"
            advice = f"Start with --encoder {stored.name}"
        super().__init__(
            f"map '{name}' holds descriptors of {_title(stored)}{what}. Descriptors of different encoders can't be "
            f"compared. {advice}, or make a new map with --map {name.removesuffix('.vprmap')}-{given.name}.vprmap."
        )


def differing_fields(stored: Recipe, given: Recipe) -> list[str]:
    """Return the names of the fields that make descriptors incomparable; the licence is no such field."""
    names = (field.name for field in fields(Recipe) if field.name != "licence")
    return [name for name in names if getattr(stored, name) != getattr(given, name)]


def _title(recipe: Recipe) -> str:
    return f"'{recipe.name}' (sha256 {recipe.weights_sha256[:8]}...)"


def _difference(stored: Recipe, given: Recipe) -> str:
    return ", ".join(
        f"{name} ({getattr(stored, name)} there, {getattr(given, name)} here)"
        for name in differing_fields(stored, given)
    )
