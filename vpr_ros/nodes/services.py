"""The node's services: each hands its question to the worker and holds up no image while it waits for the answer."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

from vpr_msgs.srv import FindPlaces, Relocalize
from vpr_ros.core import VprError
from vpr_ros.nodes.inbox import InboxClosedError
from vpr_ros.nodes.messages import stamp_of
from vpr_ros.nodes.robot_frames import RobotFrames
from vpr_ros.nodes.worker import Worker

Answer = TypeVar("Answer")
# What a question may end with that is no bug: it is told to whoever asked.
_REFUSALS = (VprError, InboxClosedError)


class NoImageError(VprError):
    """The newest image was asked for, and none has come."""


class Services:
    """The services of a configured node."""

    def __init__(
        self,
        node: Node,
        worker: Worker,
        newest_image: Callable[[], Image | CompressedImage | None],
        robot: RobotFrames,
        relocalized: Callable[[PoseWithCovarianceStamped], None],
    ) -> None:
        """Offer the services.

        Args:
            node: Who offers them.
            worker: Who answers.
            newest_image: Gives the image that came last.
            robot: Frames and mounting of poses that are answered.
            relocalized: Called with each pose that was found.
        """
        self._node = node
        self._worker = worker
        self._newest_image = newest_image
        self._robot = robot
        self._relocalized = relocalized
        # A group of their own: subscriptions go on while an answer is awaited.
        group = MutuallyExclusiveCallbackGroup()
        self._services = [
            node.create_service(kind, f"~/{name}", callback, callback_group=group)
            for kind, name, callback in (
                (Relocalize, "relocalize", self._relocalize),
                (FindPlaces, "find_places", self._find_places),
                (Trigger, "start_session", self._start_session),
                (Trigger, "checkpoint_map", self._checkpoint_map),
            )
        ]

    def close(self) -> None:
        """Take the services away."""
        for service in self._services:
            self._node.destroy_service(service)

    async def _relocalize(self, request: Relocalize.Request, response: Relocalize.Response) -> Relocalize.Response:
        try:
            image = self._image_of(request.image)
            answer = await answered(self._worker.locate(image, request.max_hypotheses))
        except _REFUSALS as error:
            response.reason = str(error)
            return response
        poses = [self._robot.pose_message(hypothesis, image.header) for hypothesis in answer.hypotheses]
        response.known, response.reason, response.poses = answer.known, answer.reason, poses
        response.match_ids = array("Q", [hypothesis.match_id for hypothesis in answer.hypotheses])
        response.probabilities = array("f", [hypothesis.probability for hypothesis in answer.hypotheses])
        if answer.hypotheses and answer.hypotheses[0].t_map_camera is not None:
            self._relocalized(poses[0])
        return response

    async def _find_places(self, request: FindPlaces.Request, response: FindPlaces.Response) -> FindPlaces.Response:
        try:
            descriptor = np.asarray(request.descriptor, dtype=np.float32)
            looked_for = descriptor if len(descriptor) else self._image_of(request.image)
            found = await answered(self._worker.find(looked_for, request.k))
        except _REFUSALS as error:
            response.error = str(error)
            return response
        response.ids = array("Q", [match.place.id for match in found])
        response.stamps = [stamp_of(match.place.stamp_ns) for match in found]
        response.sessions = array("I", [match.place.session for match in found])
        response.similarities = array("f", [match.similarity for match in found])
        return response

    async def _start_session(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:  # noqa: ARG002
        return await _triggered(self._worker.start_session(), "session {} has begun", response)

    async def _checkpoint_map(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:  # noqa: ARG002
        return await _triggered(self._worker.checkpoint(), "{} places are whole in the map's file", response)

    def _image_of(self, image: Image) -> Image | CompressedImage:
        """Return the image of a request, or the newest one where it is empty."""
        if image.height:
            return image
        newest = self._newest_image()
        if newest is None:
            raise NoImageError("the request holds no image, and none has come yet; send one, or activate the node")
        return newest


async def answered(question: futures.Future[Answer]) -> Answer:
    """Wait for an answer of another thread without blocking the executor.

    Raises:
        Exception: Whatever the question ended with.
    """
    done: Future[None] = Future()
    question.add_done_callback(lambda _: done.set_result(None))
    await done
    return question.result()


async def _triggered(question: futures.Future[Any], sentence: str, response: Trigger.Response) -> Trigger.Response:
    try:
        response.message = sentence.format(await answered(question))
        response.success = True
    except _REFUSALS as error:
        response.message = str(error)
    return response
