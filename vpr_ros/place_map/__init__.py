"""The growing memory of places."""

from vpr_ros.place_map.errors import MapError, RecipeMismatchError
from vpr_ros.place_map.inspection import MapFacts, check_map, map_facts
from vpr_ros.place_map.place_map import Match, PlaceMap
from vpr_ros.place_map.store import Session

__all__ = [
    "MapError",
    "MapFacts",
    "Match",
    "PlaceMap",
    "RecipeMismatchError",
    "Session",
    "check_map",
    "map_facts",
]
