"""Run by ``launch_test``, from ``test_launch_testing.py``: the launch file, real, from start to end."""

import unittest
from pathlib import Path

import launch_testing.actions
import launch_testing.asserts
import rclpy
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from lifecycle_msgs.srv import GetState

from launch import LaunchDescription

LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "loop_closure.launch.py"


def generate_test_description():
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(LAUNCH_FILE)), launch_arguments={"image": "/test_camera/image"}.items()
    )
    return LaunchDescription([node, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    def test_node_becomes_active(self):
        rclpy.init()
        node = rclpy.create_node("launch_test_peer")
        try:
            client = node.create_client(GetState, "/loop_closure_node/get_state")
            assert client.wait_for_service(timeout_sec=60)
            label = ""
            for _ in range(60):
                future = client.call_async(GetState.Request())
                rclpy.spin_until_future_complete(node, future, timeout_sec=1)
                label = future.result().current_state.label if future.done() else label
                if label == "active":
                    break
            assert label == "active"
            subscribed = [info.node_name for info in node.get_subscriptions_info_by_topic("/test_camera/image")]
            assert "loop_closure_node" in subscribed
        finally:
            node.destroy_node()
            rclpy.shutdown()


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_exit_status(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
