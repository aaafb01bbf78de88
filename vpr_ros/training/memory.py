"""What the C library does with the memory of large tensors."""

from __future__ import annotations

import ctypes

# mallopt(3) of glibc: numbers of its parameters, and the largest int.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, for the next tensor of that size.

    glibc hands every block of more than 32 MB back to the kernel as soon as it is freed, and each page of the next one
    is faulted in anew. On a CPU that is most of the time of a step: docs/training.md has the figures.

    Returns:
        Whether this C library can be asked; others are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MOST_BYTES) and mallopt(_M_TRIM_THRESHOLD, _MOST_BYTES))
