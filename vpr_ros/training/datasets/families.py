"""Which places may show each other without truth saying so: they are never counted as different ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

_NUMBERS = "0123456789_-"


def family_of(row: Mapping[str, str], one_site: Sequence[str] = (), *, numbered_site: bool = False) -> str:
    """Return the family of a manifest's row.

    Args:
        row: Its columns by name: place_id, and maybe site.
        one_site: Patterns of place names; places that fit one of them are one family.
        numbered_site: Whether names that differ in their last numbers alone are one family.

    Returns:
        The row's site where it has one, else the pattern that its place fits, else the place's name, where asked
        without its last numbers.
    """
    place = row["place_id"]
    fitting = (pattern for pattern in one_site if fnmatchcase(place, pattern))
    name = place.rstrip(_NUMBERS) if numbered_site else place
    return row.get("site") or next(fitting, name or place)
