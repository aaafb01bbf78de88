"""The launch file under the real launch system, where ROS brings it."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("launch_testing.actions", reason="launch_testing comes with a ROS installation, not as a wheel")
pytest.importorskip("launch_ros.actions", reason="launch_ros comes with a ROS installation, not as a wheel")


def test_the_node_becomes_active_under_the_launch_file_and_ends_cleanly():
    # `launch_test` is used as a program: its pytest plugin does not load under pytest 9.
    program = shutil.which("launch_test")
    if program is None:
        pytest.skip("the program launch_test is not on the path; source your ROS 2")

    done = subprocess.run([program, Path(__file__).with_name("loop_closure_under_launch.py")], timeout=240)

    assert done.returncode == 0
