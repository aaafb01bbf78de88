"""Which places may show each other without truth saying so: they are never counted as different ones."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

_NUMBERS = "0123456789_-"
# Open photographs whose names tell them apart though they show one place: several recordings of one motorway, some of
# the same second of it, and a square by day and by night.
_ONE_FAMILY = ("udacity_*", "ph_modern_buildings*")


def family_of(row: Mapping[str, str]) -> str:
    """Return the family of a manifest's row: its ``site`` where it has one, else what its place's name says."""
    return row.get("site") or family_of_name(row["place_id"])


def family_of_name(place: str) -> str:
    """Return what a place's name says of its sequence or site: the part before its last numbers."""
    for pattern in _ONE_FAMILY:
        if fnmatchcase(place, pattern):
            return pattern
    return place.rstrip(_NUMBERS) or place
