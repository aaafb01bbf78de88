"""The lifecycle node: images in, loop closures and relocalization answers out."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from threading import Event

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image

from vpr_ros.core import Pose, VprError
from vpr_ros.detection import Settings
from vpr_ros.encoders import Encoder
from vpr_ros.nodes.diagnostics import Standing, diagnostics
from vpr_ros.nodes.inputs import Inputs
from vpr_ros.nodes.mounting import Mounting
from vpr_ros.nodes.outputs import Outputs
from vpr_ros.nodes.parameters import Parameters
from vpr_ros.nodes.qos import reliable
from vpr_ros.nodes.robot_frames import RobotFrames
from vpr_ros.nodes.running import RosArgumentsError, core_log_on, own_arguments, ros, spin
from vpr_ros.nodes.services import Services
from vpr_ros.nodes.vitals import Vitals
from vpr_ros.nodes.worker import Worker

_DIAGNOSTICS_S = 1.0
# How often an image that waits for odometry is looked at, and how soon a new publisher is followed.
_RELEASE_S = 0.05
_FOLLOW_S = 0.25


class Workplace:
    """What the node has between configure and cleanup: worker, outputs and services; inputs while it is active.

    Attributes:
        settings: What holds, the encoder's own thresholds among it.
        vitals: Counts, rates and latencies since it was made.
    """

    def __init__(self, node: LifecycleNode, settings: Settings) -> None:
        """Load the weights, open the map, offer topics and services.

        Raises:
            VprError: Unknown encoder, missing weights, foreign or locked map, or a mounting that is no pose.
        """
        self._node = node
        self._settings = settings
        self._inputs: Inputs | None = None
        self._newest_image: Image | CompressedImage | None = None
        self._mounting = _mounting(node, settings)
        self.vitals = Vitals(node.get_logger().warning)
        with ExitStack() as undo:
            robot = RobotFrames(self._mounting, settings.node.map_frame, settings.node.base_frame)
            self._outputs = Outputs(node, settings, self.vitals, robot)
            undo.callback(self._outputs.close)
            self._worker = Worker(settings, self.vitals, self._outputs.announce)
            undo.callback(self._worker.close)
            self._encoder: Encoder = self._worker.open()
            self.settings = settings.of_encoder(self._encoder.recipe)
            self._services = Services(node, self._worker, self.newest_image, robot, self._outputs.relocalized)
            undo.pop_all()

    def start(self) -> None:
        """Begin a session and listen.

        Raises:
            MapError: The map can't take a session.
        """
        self._worker.begin()
        self._inputs = Inputs(
            self._node, self._settings, self.vitals, self._mounting, self._worker.inbox.put, self._worker.start_session
        )

    def stop(self) -> None:
        """Listen no more, look at what waits and end the session."""
        if self._inputs is not None:
            self._newest_image = self._inputs.newest_image
            self._inputs.close()
            self._inputs = None
        self._worker.end()

    def close(self) -> None:
        """Stop, take topics and services away and close the map."""
        self.stop()
        self._services.close()
        self._worker.close()
        self._outputs.close()

    def newest_image(self) -> Image | CompressedImage | None:
        """Return the image that came last, None if none has come."""
        return self._inputs.newest_image if self._inputs is not None else self._newest_image

    def release_ready(self) -> None:
        """Let images go that have waited long enough for their odometry."""
        if self._inputs is not None:
            self._inputs.release_ready()

    def follow(self) -> None:
        """Follow publishers that came or went."""
        if self._inputs is not None:
            self._inputs.follow()

    def watch(self) -> None:
        """Draw for whoever looks, and say what is wrong with the inputs."""
        self._outputs.draw()
        if self._inputs is not None:
            self._inputs.watch()

    def standing(self, name: str, state: str) -> Standing:
        """Return what /diagnostics says beside the vitals."""
        places, session = self._worker.places()
        return Standing(
            name=name,
            state=state,
            silence=self._inputs.watchdog.complaint if self._inputs is not None else "",
            waiting=len(self._worker.inbox),
            capacity=self._worker.inbox.capacity,
            encoder=self._encoder.recipe.name,
            engine=self._encoder.engine,
            map=self._settings.choice.map or "in memory",
            places=places,
            session=session,
        )


class LoopClosureNode(LifecycleNode):
    """Finds loops in a stream of images; design and topics: README."""

    def __init__(self) -> None:
        """Declare parameters; weights are loaded in configure."""
        self._workplace: Workplace | None = None
        self._state = "unconfigured"
        super().__init__("loop_closure_node", automatically_declare_parameters_from_overrides=True)
        self._own_parameters = Parameters(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", reliable(10))
        # Timers of the node's own clock stand still under use_sim_time without /clock, just when they are needed.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_RELEASE_S, self._release_ready, clock=steady)
        self.create_timer(_FOLLOW_S, self._follow, clock=steady)
        self.create_timer(_DIAGNOSTICS_S, self._diagnose, clock=steady)

    @property
    def wants_autostart(self) -> bool:
        """Whether the parameter ``autostart`` asks to be configured and activated without a lifecycle manager."""
        return bool(self.get_parameter("autostart").value)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load the weights, open the map."""
        try:
            self._workplace = Workplace(self, self._own_parameters.read())
            self._own_parameters.show(self._workplace.settings)
        except VprError as error:
            self.get_logger().error(f"can't configure: {error}")
            self._own_parameters.unlock()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001 - rclpy would swallow it without a word
            return self._failed("configure", error)
        self._state = "inactive"
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin a session and listen."""
        assert self._workplace is not None
        super().on_activate(state)
        try:
            self._workplace.start()
        except VprError as error:
            self.get_logger().error(f"can't activate: {error}")
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed("activate", error)
        self._state = "active"
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look at what waits, publish it, and end the session."""
        assert self._workplace is not None
        try:
            self._workplace.stop()
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed("deactivate", error)
        self._state = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the map and forget the weights."""
        self._release()
        self._state = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the map."""
        self._release()
        self._state = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the map; the node can be configured again."""
        self._release()
        self._state = "unconfigured"
        super().on_error(state)
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Close the map, in whatever state the node is, and go."""
        self._release()
        super().destroy_node()

    def _release(self) -> None:
        workplace, self._workplace = self._workplace, None
        if workplace is not None:
            workplace.close()
            self._own_parameters.unlock()

    def _failed(self, transition: str, error: Exception) -> TransitionCallbackReturn:
        self.get_logger().error(f"can't {transition}: {type(error).__name__}: {error}; this is a bug of vpr_ros")
        return TransitionCallbackReturn.ERROR

    def _release_ready(self) -> None:
        if self._workplace is not None:
            self._workplace.release_ready()

    def _follow(self) -> None:
        if self._workplace is not None:
            self._workplace.follow()

    def _diagnose(self) -> None:
        name = self.get_fully_qualified_name()
        workplace = self._workplace
        if workplace is None:
            standing, vitals = Standing(name=name, state=self._state), Vitals(self.get_logger().warning)
        else:
            workplace.watch()
            standing, vitals = workplace.standing(name, self._state), workplace.vitals
        self._diagnostics.publish(diagnostics(standing, vitals, self.get_clock().now().to_msg()))


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down or a signal comes; return the exit status."""
    given = sys.argv if arguments is None else [sys.argv[0], *arguments]
    parser = argparse.ArgumentParser(prog="loop_closure_node", description=__doc__, epilog=_HOW_TO_START)
    own_arguments(parser, given)
    try:
        with ros(given) as stop:
            return _run(_made(), stop)
    except RosArgumentsError as error:
        parser.error(str(error))


def _made() -> LoopClosureNode:
    try:
        return LoopClosureNode()
    except ValueError as error:  # rclpy's, for an empty list, which has no type in ROS
        raise RosArgumentsError(f"a parameter has no value: {error}; leave the line out for the default") from error


def _run(node: LoopClosureNode, stop: Event) -> int:
    try:
        with core_log_on(node):
            status = _autostart(node) if node.wants_autostart else _wait_for_manager(node)
            if status == 0:
                spin(node, stop.is_set)
            return status
    finally:
        node.destroy_node()


_HOW_TO_START = "ROS arguments follow --ros-args, such as: -p autostart:=true -r image:=/camera/image_raw"


def _autostart(node: LoopClosureNode) -> int:
    """Configure and activate; 2 if that is refused, and why has been logged."""
    for transition in (node.trigger_configure, node.trigger_activate):
        if transition() != TransitionCallbackReturn.SUCCESS:
            return 2
    return 0


def _wait_for_manager(node: LoopClosureNode) -> int:
    node.get_logger().info("waiting to be configured and activated; with -p autostart:=true it does so by itself")
    return 0


def _mounting(node: LifecycleNode, settings: Settings) -> Mounting:
    values = settings.node.t_base_camera
    return Mounting(Pose.from_xyz_quaternion(values) if values else None, node.get_logger().warning)


if __name__ == "__main__":
    sys.exit(main())
