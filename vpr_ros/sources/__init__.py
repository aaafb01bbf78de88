"""Recordings and robots as streams of frames."""

from vpr_ros.sources.open_source import KINDS, SourceKind, open_source
from vpr_ros.sources.source import Source, SourceError, SourceOptions

__all__ = ["KINDS", "Source", "SourceError", "SourceKind", "SourceOptions", "open_source"]
