"""From frames to decisions."""
