"""Start loop_closure_node on a camera: `ros2 launch vpr_ros loop_closure.launch.py --show-args` lists the arguments."""

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description():
    """Return the arguments, the node and, if asked for, RViz."""
    config = PathJoinSubstitution([FindPackageShare("vpr_ros"), "config"])
    arguments = [
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node, such as the robot's."),
        DeclareLaunchArgument("camera", default_value="/camera", description="Namespace of the camera's topics."),
        DeclareLaunchArgument(
            "image",
            default_value=[LaunchConfiguration("camera"), "/image_raw"],
            description="Image topic (sensor_msgs/Image); with image_transport compressed, IMAGE/compressed is taken.",
        ),
        DeclareLaunchArgument(
            "camera_info",
            default_value=[LaunchConfiguration("camera"), "/camera_info"],
            description="Calibration of the camera (sensor_msgs/CameraInfo).",
        ),
        DeclareLaunchArgument(
            "depth",
            default_value=[LaunchConfiguration("camera"), "/depth"],
            description="Depth registered to the image (sensor_msgs/Image, 16UC1 mm or 32FC1 m); not needed.",
        ),
        DeclareLaunchArgument("odom", default_value="/odom", description="Odometry (nav_msgs/Odometry); not needed."),
        DeclareLaunchArgument(
            "image_transport", default_value="raw", choices=["raw", "compressed"], description="How images are sent."
        ),
        DeclareLaunchArgument(
            "encoder", default_value="gem-lite", description="Image encoder; `vpr_ros encoders` lists them."
        ),
        DeclareLaunchArgument(
            "map", default_value="", description="Map directory, NAME.vprmap; empty keeps the map in memory."
        ),
        DeclareLaunchArgument(
            "mode",
            default_value="mapping",
            choices=["mapping", "localization"],
            description="mapping adds places, localization only reads the map.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([config, "loop_closure.yaml"]),
            description="Parameter file with overrides; the arguments here win over it.",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=["true", "false"],
            description="Configure and activate at start; false leaves that to a lifecycle manager.",
        ),
        DeclareLaunchArgument(
            "use_sim_time", default_value="false", choices=["true", "false"], description="Follow /clock."
        ),
        DeclareLaunchArgument(
            "relocalization",
            default_value="~/relocalization",
            description="Topic for poses that were found; /initialpose hands them to Nav2.",
        ),
        DeclareLaunchArgument("rviz", default_value="false", choices=["true", "false"], description="Start RViz too."),
        DeclareLaunchArgument(
            "log_level", default_value="info", description="Log level of the node: debug, info, warn or error."
        ),
    ]
    return LaunchDescription([*arguments, _loop_closure_node(), _rviz(config)])


def _loop_closure_node():
    texts = ("image_transport", "encoder", "map", "mode")
    switches = ("autostart", "use_sim_time")
    topics = ("image", "camera_info", "depth", "odom")
    return LifecycleNode(
        package="vpr_ros",
        executable="loop_closure_node",
        name="loop_closure_node",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            LaunchConfiguration("params_file"),
            {name: ParameterValue(LaunchConfiguration(name), value_type=str) for name in texts},
            {name: ParameterValue(LaunchConfiguration(name), value_type=bool) for name in switches},
        ],
        remappings=[
            *((name, LaunchConfiguration(name)) for name in topics),
            ("~/relocalization", LaunchConfiguration("relocalization")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )


def _rviz(config):
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([config, "loop_closure.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
