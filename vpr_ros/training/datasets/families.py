"""Which places may show each other without truth saying so: they are never counted as different ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

_NUMBERS = "0123456789_-"


def family_of(row: Mapping[str, str], one_site: Sequence[str] = ()) -> str:
    """Return the family of a manifest's row.

    Args:
        row: Its columns by name: place_id, and maybe site.
        one_site: Patterns of place names; places that fit one of them are one family.

    Returns:
        The row's site where it has one, else the pattern that its place fits, else the part of the place's name before
        its last numbers.
    """
    place = row["place_id"]
    fitting = (pattern for pattern in one_site if fnmatchcase(place, pattern))
    return row.get("site") or next(fitting, place.rstrip(_NUMBERS) or place)
