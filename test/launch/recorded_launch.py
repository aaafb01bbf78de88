"""Stand-ins that record what a launch file asks of ``launch`` and ``launch_ros``, which no wheel brings.

Where ROS is installed, ``test_launch_testing.py`` runs the real thing.
"""

import runpy
import sys
from contextlib import contextmanager
from types import ModuleType

# Every name that the launch file imports, by module.
_NAMES = {
    "launch": ("LaunchDescription",),
    "launch.actions": ("DeclareLaunchArgument", "OpaqueFunction"),
    "launch.conditions": ("IfCondition",),
    "launch.substitutions": ("LaunchConfiguration", "PathJoinSubstitution"),
    "launch_ros": (),
    "launch_ros.actions": ("LifecycleNode", "Node"),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
    "launch_ros.substitutions": ("FindPackageShare",),
}


class Recorded:
    """What was called with which arguments."""

    def __init__(self, *arguments, **options):
        self.arguments = arguments
        self.options = options

    @property
    def kind(self):
        return type(self).__name__

    def perform(self, context):
        """As ``LaunchConfiguration.perform``: the context is a mapping of launch arguments here."""
        return context[self.arguments[0]]


@contextmanager
def _recording():
    stand_ins = {name: ModuleType(name) for name in _NAMES}
    for module, names in _NAMES.items():
        for name in names:
            setattr(stand_ins[module], name, type(name, (Recorded,), {}))
    before = {name: sys.modules.get(name) for name in _NAMES}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def described(path):
    """Return the entities of a launch file's description."""
    with _recording():
        return runpy.run_path(str(path))["generate_launch_description"]().arguments[0]
