"""Memory of large tensors is kept for the next one."""

import platform
import subprocess
import sys

import pytest

_FAULTS_OF_THE_SECOND_BLOCK = """
import resource, sys
import numpy as np
from vpr_ros.training.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def fill():
    np.empty(64 << 20, np.uint8).fill(1)

fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _FAULTS_OF_THE_SECOND_BLOCK, how], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_second_large_block_is_not_faulted_in_anew() -> None:
    assert _faults("kept") < 16 < _faults("given back")
