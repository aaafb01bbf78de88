"""The growing memory of places."""

from vpr_ros.place_map.errors import MapError, RecipeMismatchError
from vpr_ros.place_map.place_map import Match, PlaceMap
from vpr_ros.place_map.store import Session

__all__ = ["MapError", "Match", "PlaceMap", "RecipeMismatchError", "Session"]
