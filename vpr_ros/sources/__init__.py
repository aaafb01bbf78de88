"""Recordings and robots as streams of frames."""
