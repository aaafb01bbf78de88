"""The command line as users start it: a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vpr_ros(tmp_path):
    """Run ``vpr_ros`` with arguments in an empty folder; return the finished process."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "vpr_ros.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )

    return run
