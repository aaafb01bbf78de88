"""Stamps are integers in nanoseconds: a float64 second of today's date is only good to 240 ns."""

from decimal import Decimal, InvalidOperation

NS_PER_S = 1_000_000_000


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
    return int((seconds * NS_PER_S).to_integral_value())


def seconds(stamp_ns: int) -> float:
    """Return a duration or stamp in seconds, for reading and for thresholds, never for comparing stamps."""
    return stamp_ns / NS_PER_S
