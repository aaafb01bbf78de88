"""The part of a recording between ``from_s`` and ``to_s`` after its first stamp."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from vpr_ros.core import NS_PER_S, seconds
from vpr_ros.sources.source import SourceError, SourceOptions


def window_ns(options: SourceOptions) -> tuple[int, int | None]:
    """Return the first and last time after the first stamp, in ns; None for all to the end."""
    return round(options.from_s * NS_PER_S), None if options.to_s is None else round(options.to_s * NS_PER_S)


def window_of_stamps(stamps_ns: Sequence[int] | None, count: int, options: SourceOptions) -> range:
    """Return the positions of the frames that lie in the window, both ends included.

    Args:
        stamps_ns: Stamp of each frame in ns, never decreasing; None where frames have no time.
        count: How many frames there are.
        options: The window.

    Raises:
        SourceError: The window is of time and frames have none, or no frame lies in it.
    """
    if options.from_s == 0 and options.to_s is None:
        return range(count)
    if stamps_ns is None:
        raise SourceError(
            "a part of the recording is asked for in seconds, but its images have no stamps; give --rate-hz as well"
        )
    first_ns, last_ns = window_ns(options)
    begin = bisect_left(stamps_ns, stamps_ns[0] + first_ns)
    end = count if last_ns is None else bisect_right(stamps_ns, stamps_ns[0] + last_ns)
    if begin >= end:
        raise SourceError(empty_window(options, stamps_ns[-1] - stamps_ns[0]))
    return range(begin, end)


def empty_window(options: SourceOptions, length_ns: int) -> str:
    """Return the sentence for a window without a frame in it."""
    until = "its end" if options.to_s is None else f"{options.to_s:g} s"
    return (
        f"there is no image from {options.from_s:g} s to {until}: the recording is {seconds(length_ns):g} s long; "
        "change --from-s or --to-s"
    )
