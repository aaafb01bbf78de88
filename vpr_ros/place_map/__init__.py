"""The growing memory of places."""
