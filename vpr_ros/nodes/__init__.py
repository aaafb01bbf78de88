"""Thin rclpy adapters around the core; the processes of a robot."""

import os

# As the program vpr_ros does before numpy is loaded: its products here are small, and a second thread that spins while
# it waits takes a core from the network and the features (docs/robot.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
