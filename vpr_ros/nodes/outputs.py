"""What the node publishes of its work."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from vpr_msgs.msg import Decision as DecisionMessage
from vpr_msgs.msg import Keyframe as KeyframeMessage
from vpr_msgs.msg import LoopClosure as LoopClosureMessage
from vpr_ros.core import Decision, Keyframe, LoopClosure
from vpr_ros.detection import Observation, Settings, relocalization_of
from vpr_ros.evaluation.album import Album
from vpr_ros.evaluation.match_picture import caption_of, match_picture
from vpr_ros.nodes.messages import (
    decision_message,
    header_of,
    image_message,
    keyframe_message,
    loop_closure_message,
)
from vpr_ros.nodes.pictures import LoopLine, certainty, markers
from vpr_ros.nodes.qos import LATCHED, reliable
from vpr_ros.nodes.robot_frames import RobotFrames
from vpr_ros.nodes.vitals import Vitals
from vpr_ros.place_map import PlaceMap

# The newest keyframes with thumbnail and features (90 KiB each): localization stores none, and a query waits for at
# most a few keyframes before it is decided.
_RECENT_KEYFRAMES = 64


class Outputs:
    """The publishers of a configured node. ``announce`` runs in the worker's thread, the rest in the executor's."""

    def __init__(self, node: LifecycleNode, settings: Settings, vitals: Vitals, robot: RobotFrames) -> None:
        """Make the publishers; they are silent until the node is active."""
        self._node = node
        self._settings = settings.node
        self._rules = settings.geometry
        self._robot = robot
        self._is_localizing = settings.choice.mode == "localization"
        self._same_place_m = settings.thresholds.same_place_m
        self._vitals = vitals
        make = node.create_lifecycle_publisher
        self._closures = make(LoopClosureMessage, "~/loop_closures", LATCHED)
        self._decisions = make(DecisionMessage, "~/decisions", reliable(100))
        self._keyframes = make(KeyframeMessage, "~/keyframes", LATCHED)
        self._relocalization = make(PoseWithCovarianceStamped, "~/relocalization", reliable(10))
        self._match_images = make(Image, "~/match_image", reliable(1))
        self._markers = make(MarkerArray, "~/markers", reliable(1))
        self._frame_id = "camera"
        self._recent: OrderedDict[int, Keyframe] = OrderedDict()
        self._track = _Track()
        self._drawn_for = (0, 0)

    def announce(self, observation: Observation, place_map: PlaceMap) -> None:
        """Publish what a frame led to."""
        if observation.keyframe is not None:
            self._announce_keyframe(observation.keyframe, place_map)
        for decision in observation.decisions:
            self._decisions.publish(decision_message(decision, self._frame_id))
        for closure in observation.closures:
            self._vitals.note("closures")
            self._track.close(closure, certainty(closure.probability, _least_probability(observation.decisions)))
            self._closures.publish(loop_closure_message(closure))
            self._picture(closure, place_map)
            if self._is_localizing:
                self._relocalize(closure, place_map)

    def relocalized(self, message: PoseWithCovarianceStamped) -> None:
        """Publish where the robot is."""
        self._relocalization.publish(message)

    def draw(self) -> None:
        """Publish the markers if somebody looks and something is new, for the picture or for who looks."""
        listeners = self._markers.get_subscription_count()
        drawn_for = (self._track.version, listeners)
        if listeners and drawn_for != self._drawn_for:
            header = header_of(0, self._track.frame_id)
            header.stamp = self._node.get_clock().now().to_msg()
            self._markers.publish(markers(header, *self._track.lines()))
        self._drawn_for = drawn_for

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers():
            self._node.destroy_lifecycle_publisher(publisher)

    def _publishers(self) -> tuple[LifecyclePublisher, ...]:
        return (
            self._closures,
            self._decisions,
            self._keyframes,
            self._relocalization,
            self._match_images,
            self._markers,
        )

    def _announce_keyframe(self, keyframe: Keyframe, place_map: PlaceMap) -> None:
        self._vitals.note("keyframes")
        self._frame_id = keyframe.frame_id
        self._recent[keyframe.id] = replace(keyframe, patches=None)
        if len(self._recent) > _RECENT_KEYFRAMES:
            self._recent.popitem(last=False)
        sessions = place_map.sessions
        self._track.add(keyframe, sessions[-1].map_frame if sessions else self._settings.map_frame)
        self._keyframes.publish(keyframe_message(keyframe, with_descriptor=self._settings.publish_descriptors))

    def _relocalize(self, closure: LoopClosure, place_map: PlaceMap) -> None:
        """Publish where the robot is, if the closure tells; nothing else is ever published in its place."""
        hypothesis = relocalization_of(closure, place_map, self._same_place_m)
        if hypothesis.t_map_camera is not None:
            image = header_of(closure.query_stamp_ns, closure.query_frame_id)
            self.relocalized(self._robot.pose_message(hypothesis, image))

    def _picture(self, closure: LoopClosure, place_map: PlaceMap) -> None:
        if not self._match_images.get_subscription_count():
            return
        pair = Album(place_map, self._rules).pair(closure.query_id, closure.match_id, self._recent)
        picture = match_picture(pair, caption_of(closure, pair))
        header = header_of(closure.query_stamp_ns, closure.query_frame_id)
        self._match_images.publish(image_message(picture, "rgb8", header))


def _least_probability(decisions: Sequence[Decision]) -> float:
    """Return the probability from which on closures are accepted; 0 where that stage is switched off."""
    return next((d.threshold for d in decisions if d.accepted and d.stage == "probability"), 0.0)


class _Track:
    """Keyframes and closures of the running session, to be drawn. Worker and executor share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[int, NDArray[np.float64]] = {}
        self._loops: list[tuple[int, int, float]] = []
        self._session = -1
        self.frame_id = "map"
        self.version = 0

    def add(self, keyframe: Keyframe, frame_id: str) -> None:
        """Note a keyframe; a new session has a frame of its own and starts an empty picture."""
        with self._lock:
            if keyframe.session != self._session:
                self._positions.clear()
                self._loops.clear()
                self._session = keyframe.session
                self.frame_id = frame_id
            if keyframe.t_odom_camera is not None:
                self._positions[keyframe.id] = keyframe.t_odom_camera.translation
                self.version += 1

    def close(self, closure: LoopClosure, certain: float) -> None:
        """Note a closure and how certain it is, from 0 (barely accepted) to 1."""
        with self._lock:
            self._loops.append((closure.query_id, closure.match_id, certain))
            self.version += 1

    def lines(self) -> tuple[NDArray[np.float64], list[LoopLine]]:
        """Return positions of the keyframes (n, 3) and the closures within the session."""
        with self._lock:
            there = self._positions
            positions = np.array(list(there.values())).reshape(-1, 3)
            return positions, [LoopLine(there[q], there[m], c) for q, m, c in self._loops if q in there and m in there]
