"""Start loop_closure_node on a camera: `ros2 launch vpr_ros loop_closure.launch.py --show-args` lists the arguments."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

_CONFIG = PathJoinSubstitution([FindPackageShare("vpr_ros"), "config"])
_AS_ELSEWHERE = "Empty: as params_file says, else the node's default."
_TOPICS = ("image", "camera_info", "depth", "odom")
# Arguments that are parameters of the node, with their type.
_PARAMETERS = {
    "image_transport": str,
    "encoder": str,
    "engine": str,
    "map": str,
    "mode": str,
    "use_sim_time": bool,
    "autostart": bool,
}


def generate_launch_description():
    """Return the arguments, the node and, if asked for, RViz."""
    return LaunchDescription([*_arguments(), OpaqueFunction(function=_loop_closure_node), _rviz()])


def _arguments():
    return [
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
            "image_transport",
            default_value="",
            choices=["", "raw", "compressed"],
            description=f"How images are sent. {_AS_ELSEWHERE}",
        ),
        DeclareLaunchArgument(
            "encoder", default_value="", description=f"Image encoder; `vpr_ros encoders` lists them. {_AS_ELSEWHERE}"
        ),
        DeclareLaunchArgument(
            "engine",
            default_value="",
            description=f"What runs the encoder; `vpr_ros doctor` says what works. {_AS_ELSEWHERE}",
        ),
        DeclareLaunchArgument(
            "map", default_value="", description=f"Map directory, NAME.vprmap, made if absent. {_AS_ELSEWHERE}"
        ),
        DeclareLaunchArgument(
            "mode",
            default_value="",
            choices=["", "mapping", "localization"],
            description=f"mapping adds places, localization only reads the map. {_AS_ELSEWHERE}",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([_CONFIG, "loop_closure.yaml"]),
            description="Parameter file with overrides; the arguments here win over it.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="",
            choices=["", "true", "false"],
            description=f"Follow /clock. {_AS_ELSEWHERE}",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=["true", "false"],
            description="Configure and activate at start; false leaves that to a lifecycle manager.",
        ),
        DeclareLaunchArgument(
            "relocalization",
            default_value="~/relocalization",
            description="Topic for the poses that were found; /initialpose hands them to Nav2.",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node, such as the robot's."),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error."),
        DeclareLaunchArgument("rviz", default_value="false", choices=["true", "false"], description="Start RViz too."),
    ]


def _loop_closure_node(context):
    """Return the node. Only now is it known which arguments were given; the others must not hide the params_file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in _PARAMETERS}
    parameters = {
        name: ParameterValue(text, value_type=str) if kind is str else text == "true"
        for (name, kind), text in zip(_PARAMETERS.items(), given.values(), strict=True)
        if text
    }
    node = LifecycleNode(
        package="vpr_ros",
        executable="loop_closure_node",
        name="loop_closure_node",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[LaunchConfiguration("params_file"), parameters],
        remappings=[
            *((name, LaunchConfiguration(name)) for name in _TOPICS),
            ("~/relocalization", LaunchConfiguration("relocalization")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return [node]


def _rviz():
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([_CONFIG, "loop_closure.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
