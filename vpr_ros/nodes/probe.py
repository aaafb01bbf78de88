"""What ROS is like here, as JSON on stdout; `vpr_ros doctor` runs it as a process, because ROS may be broken."""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from importlib.metadata import version

import rclpy
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier

# Discovery took up to half a second where it was measured.
_DISCOVERY_S = 1.0
_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


def ros_facts() -> dict[str, str]:
    """Return what is installed, set and published, a sentence each."""
    rclpy.init(args=[])
    node = Node("vpr_ros_probe")
    try:
        time.sleep(_DISCOVERY_S)
        return {
            "distribution": os.environ.get("ROS_DISTRO", "not set (no ROS is sourced)"),
            "rclpy": version("rclpy"),
            "middleware": get_rmw_implementation_identifier(),
            "domain": os.environ.get("ROS_DOMAIN_ID", "0 (default)"),
            "discovery range": os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET (default)"),
            "transports": os.environ.get("FASTDDS_BUILTIN_TRANSPORTS", _DEFAULT_TRANSPORTS),
            "vpr_msgs": _vpr_msgs(),
            "launch": _importable("launch_ros", "not installed; start nodes with: python -m vpr_ros.nodes.NAME"),
            "tf2_msgs": _importable("tf2_msgs.msg", "not installed; set t_base_camera instead of /tf_static"),
            "images": _image_publishers(node) or "nobody publishes any in this domain",
        }
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


_DEFAULT_TRANSPORTS = (
    "not set: best-effort images above 512 KiB get lost; LARGE_DATA?max_msg_size=2MB&sockets_size=4MB, "
    "for every process, carries them"
)


def _image_publishers(node: Node) -> str:
    found = [
        f"{topic} ({info.topic_type.split('/')[-1]}, {info.qos_profile.reliability.name.lower()}, by {info.node_name})"
        for topic, types in node.get_topic_names_and_types()
        if set(types) & set(_IMAGE_TYPES)
        for info in node.get_publishers_info_by_topic(topic)
    ]
    return ", ".join(found)


def _vpr_msgs() -> str:
    try:
        import_module("vpr_msgs.msg")
        import_module("vpr_msgs.srv")
    except Exception as error:  # noqa: BLE001 - a library that does not load can raise anything; it is what is asked
        why = f"{type(error).__name__}: {error}"
        return f"not usable ({why}); build it as docs/robot.md says, or with requirements/build_vpr_msgs.sh VENV"
    return "usable"


def _importable(module: str, otherwise: str) -> str:
    try:
        import_module(module)
    except ImportError:
        return otherwise
    return "installed"


def main() -> int:
    """Print the facts."""
    json.dump(ros_facts(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
