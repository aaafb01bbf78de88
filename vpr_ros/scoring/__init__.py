"""Truth, and the figures computed against it."""
