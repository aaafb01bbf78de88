"""From a path or URI to the source that reads it."""
