"""Running a recording and judging it."""
