"""Recordings and robots as streams of frames."""

from vpr_ros.sources.open_source import ROBOT_SCHEME, SourceKind, SourceList, list_sources, open_source
from vpr_ros.sources.simulator import RouteFacts, routes
from vpr_ros.sources.source import Source, SourceError, SourceOptions

__all__ = [
    "ROBOT_SCHEME",
    "RouteFacts",
    "Source",
    "SourceError",
    "SourceKind",
    "SourceList",
    "SourceOptions",
    "list_sources",
    "open_source",
    "routes",
]
