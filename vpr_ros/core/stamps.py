"""Stamps are integers in nanoseconds: a float64 second of today's date is only good to 240 ns."""

from decimal import Decimal, InvalidOperation

NS_PER_S = 1_000_000_000
_LARGEST_NS = 2**63 - 1


def stamp_ns_from_text(text: str) -> int:
    """Return nanoseconds of a decimal text in seconds, without rounding through float.

    Raises:
        ValueError: The text is not a finite number.
    """
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"'{text}' is not a stamp in seconds") from None
    if not seconds.is_finite():
        raise ValueError(f"'{text}' is not a stamp in seconds")
    stamp_ns = int((seconds * NS_PER_S).to_integral_value())
    if not -_LARGEST_NS <= stamp_ns <= _LARGEST_NS:
        raise ValueError(f"'{text}' seconds are beyond what 64 bits of nanoseconds hold")
    return stamp_ns


def seconds(stamp_ns: int) -> float:
    """Return a duration or stamp in seconds, for reading and for thresholds, never for comparing stamps."""
    return stamp_ns / NS_PER_S
