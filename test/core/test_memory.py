"""What is freed is kept for the next block, or handed back."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")

_COUNT_FAULTS = """
import resource
import numpy as np
from vpr_ros.core.memory import freed_memory_given_back, keep_freed_memory

def faults_of_the_second(size_mb):  # Of blocks from 2 MB on the kernel may give pages of that size.
    np.empty(size_mb << 20, np.uint8).fill(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(size_mb << 20, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

"""


def _counts(script: str) -> list[int]:
    """Run in a process of its own, because the C library can't be asked what it was told."""
    run = subprocess.run([sys.executable, "-c", _COUNT_FAULTS + script], capture_output=True, text=True, check=True)
    return list(map(int, run.stdout.split()))


def test_a_second_large_block_is_not_faulted_in_anew() -> None:
    (kept,) = _counts("assert keep_freed_memory(); print(faults_of_the_second(64))")
    (usually,) = _counts("print(faults_of_the_second(64))")
    assert kept < 16 < usually


def test_small_blocks_are_given_back_for_a_while_and_kept_afterwards() -> None:
    inside, afterwards = _counts("""
with freed_memory_given_back():
    inside = faults_of_the_second(1)
print(inside, faults_of_the_second(1))
""")
    assert afterwards < 16 < inside


def test_what_a_training_keeps_is_kept_after_an_encoder_was_opened() -> None:
    (afterwards,) = _counts("""
keep_freed_memory()
with freed_memory_given_back():
    pass
print(faults_of_the_second(64))
""")
    assert afterwards < 16
