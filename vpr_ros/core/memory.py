"""What the C library does with memory that is freed: mallopt(3) of glibc; other libraries are left as they are."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # Numbers of its parameters.
_LEAST_BYTES = 128 << 10  # glibc's threshold before anything is freed.
_ADJUSTED_BYTES = 32 << 20  # What glibc raises it to by itself, as larger and larger blocks are freed.
_MOST_BYTES = 2**31 - 1  # The largest int.

_usual_bytes = _ADJUSTED_BYTES


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, for the next tensor of that size.

    glibc hands every block of more than 32 MB back to the kernel as soon as it is freed, and each page of the next one
    is faulted in anew. On a CPU that is most of the time of a training's step: docs/training.md has the figures.

    Returns:
        Whether this C library can be asked.
    """
    global _usual_bytes  # noqa: PLW0603 - it is the process's, as the C library's own setting is
    _usual_bytes = _MOST_BYTES
    return _keep_up_to(_MOST_BYTES)


@contextmanager
def freed_memory_given_back() -> Iterator[None]:
    """Hand blocks of 128 kB and more back to the kernel as soon as they are freed, as long as this is open.

    For what allocates and frees much once, such as reading a network: by itself glibc would keep those holes, and what
    is allocated next need not fit them. docs/engines.md has the figures.
    """
    _keep_up_to(_LEAST_BYTES)
    try:
        yield
    finally:
        _keep_up_to(_usual_bytes)


def _keep_up_to(size_bytes: int) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # The heap's free end is kept up to twice a block, as glibc does it.
    return bool(mallopt(_M_MMAP_THRESHOLD, size_bytes) and mallopt(_M_TRIM_THRESHOLD, min(2 * size_bytes, _MOST_BYTES)))
