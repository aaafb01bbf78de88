"""Which depth, calibration and odometry belong to an image, when each arrives in its own time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

import numpy as np

from vpr_ros.core import NS_PER_S, Pose, Trajectory
from vpr_ros.sources.messages import CameraInfoMessage, CompressedImageMessage, ImageMessage

# More images than this never wait; at 30 Hz it is two seconds of them.
_MAX_WAITING = 64
_MAX_DEPTHS = 64
# Odometry kept for interpolation: at 200 Hz ten seconds.
_MAX_POSES = 2000
# So many images in a row that are older than the newest are no strays: the clock was set back.
_JUMP_AFTER = 3

ImageT = TypeVar("ImageT", bound=ImageMessage | CompressedImageMessage)
InfoT = TypeVar("InfoT", bound=CameraInfoMessage)
DepthT = TypeVar("DepthT", bound=ImageMessage | CompressedImageMessage)


@dataclass(frozen=True, slots=True, eq=False)
class Exposure(Generic[ImageT, InfoT, DepthT]):
    """One image as it arrived, not yet decoded, with what belongs to it.

    Attributes:
        image: The image's message.
        info: Its calibration, None if there is none.
        depth: Depth of the same moment, None if there is none.
        t_odom_camera: Camera at the image's stamp, None without odometry.
    """

    image: ImageT
    info: InfoT | None = None
    depth: DepthT | None = None
    t_odom_camera: Pose | None = None


class Order(Enum):
    """How a stamp follows those before it."""

    FORWARD = "forward"
    BACKWARD = "backward"
    CLOCK_SET_BACK = "clock set back"


class StampOrder:
    """Tells a stray old stamp from a clock that was set back (a bag that starts again)."""

    def __init__(self) -> None:
        """Begin without a stamp."""
        self._newest_ns: int | None = None
        self._strays_ns: list[int] = []

    def judge(self, stamp_ns: int) -> Order:
        """Say how ``stamp_ns`` follows."""
        if self._newest_ns is None or stamp_ns >= self._newest_ns:
            self._newest_ns = stamp_ns
            self._strays_ns = []
            return Order.FORWARD
        if self._strays_ns and stamp_ns < self._strays_ns[-1]:
            self._strays_ns = []
        self._strays_ns.append(stamp_ns)
        if len(self._strays_ns) < _JUMP_AFTER:
            return Order.BACKWARD
        self._newest_ns = stamp_ns
        self._strays_ns = []
        return Order.CLOCK_SET_BACK


class OdometryBuffer:
    """The latest poses of the robot, looked up by stamp as :meth:`Trajectory.at` does it.

    Attributes:
        child_frame_id: The frame whose poses they are.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._stamps_ns: deque[int] = deque(maxlen=_MAX_POSES)
        self._poses: deque[Pose] = deque(maxlen=_MAX_POSES)
        self.child_frame_id = ""

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest pose, None before the first."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def add(self, stamp_ns: int, pose: Pose, child_frame_id: str) -> bool:
        """Take the next pose; False if its stamp is not later than the newest."""
        if self._stamps_ns and stamp_ns <= self._stamps_ns[-1]:
            return False
        self._stamps_ns.append(stamp_ns)
        self._poses.append(pose)
        self.child_frame_id = child_frame_id
        return True

    def clear(self) -> None:
        """Forget all poses."""
        self._stamps_ns.clear()
        self._poses.clear()

    def at(self, stamp_ns: int, tolerance_ns: int) -> Pose | None:
        """Return the interpolated pose, None where none is near enough; see :meth:`Trajectory.at`."""
        after = next((i for i in range(len(self._stamps_ns) - 1, -1, -1) if self._stamps_ns[i] < stamp_ns), -1) + 1
        around = [i for i in (after - 1, after) if 0 <= i < len(self._stamps_ns)]
        if not around:
            return None
        stamps_ns = np.array([self._stamps_ns[i] for i in around], dtype=np.int64)
        return Trajectory(stamps_ns, tuple(self._poses[i] for i in around)).at(stamp_ns, tolerance_ns)


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How near in time things must be to belong together.

    Attributes:
        depth_ns: Depth and image.
        odometry_ns: The nearest odometry and the image.
        wait_s: How long an image waits for what belongs to it, by the assembler's clock.
    """

    depth_ns: int
    odometry_ns: int
    wait_s: float


@dataclass(slots=True)
class Expected:
    """Which inputs somebody publishes: an image waits for these, and for no other."""

    info: bool = False
    depth: bool = False
    odometry: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[ImageT]):
    image: ImageT
    stamp_ns: int
    deadline_s: float


class FrameAssembler(Generic[ImageT, InfoT, DepthT]):
    """Holds each image until what belongs to it is there or the wait is over, and lets images go in order.

    Attributes:
        expected: What an image waits for.
        odometry: The latest poses.
    """

    def __init__(
        self,
        tolerances: Tolerances,
        camera_pose: Callable[[Pose, str, str], Pose],
        release: Callable[[Exposure[ImageT, InfoT, DepthT]], None],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing.

        Args:
            tolerances: What belongs together.
            camera_pose: Gives the camera's pose from odometry's, its child frame and the image's frame.
            release: Called for each image when it is complete, in order.
            steady_s: The clock that the wait goes by: the steady one, or that of a recording.
        """
        self._tolerances = tolerances
        self._camera_pose = camera_pose
        self._release = release
        self._steady_s = steady_s
        self._waiting: deque[_Waiting[ImageT]] = deque()
        self._depths: deque[tuple[int, DepthT]] = deque(maxlen=_MAX_DEPTHS)
        self._newest_depth_ns: int | None = None
        self._info: InfoT | None = None
        self.odometry = OdometryBuffer()
        self.expected = Expected()
        self._found: set[str] = set()

    def add_image(self, image: ImageT, stamp_ns: int) -> None:
        """Take an image; stamps must not go back (see :class:`StampOrder`)."""
        self._waiting.append(_Waiting(image, stamp_ns, self._steady_s() + self._tolerances.wait_s))
        self.release_ready()

    def add_info(self, info: InfoT) -> None:
        """Take the calibration, which holds until the next one."""
        self._info = info
        self.release_ready()

    def add_depth(self, depth: DepthT, stamp_ns: int) -> None:
        """Take a depth image."""
        self._depths.append((stamp_ns, depth))
        self._newest_depth_ns = stamp_ns if self._newest_depth_ns is None else max(self._newest_depth_ns, stamp_ns)
        self.release_ready()

    def add_odometry(self, stamp_ns: int, pose: Pose, child_frame_id: str) -> bool:
        """Take a pose; False if its stamp is not later than the newest."""
        is_later = self.odometry.add(stamp_ns, pose, child_frame_id)
        self.release_ready()
        return is_later

    def release_ready(self) -> None:
        """Let go, in order, of the images that are complete or have waited long enough."""
        while self._waiting and (
            self._is_complete(self._waiting[0].stamp_ns)
            or self._waiting[0].deadline_s <= self._steady_s()
            or len(self._waiting) > _MAX_WAITING
        ):
            self._release(self._exposure(self._waiting.popleft()))

    def flush(self) -> None:
        """Let go of all images as they are."""
        while self._waiting:
            self._release(self._exposure(self._waiting.popleft()))

    def forget(self) -> None:
        """Let go of all images and forget poses and depths: the clock was set back."""
        self.flush()
        self.odometry.clear()
        self._depths.clear()
        self._newest_depth_ns = None

    def take_found(self, name: str) -> bool:
        """Say whether an image found its ``camera_info``, ``depth`` or ``odom`` since this was last asked."""
        has_found = name in self._found
        self._found.discard(name)
        return has_found

    def _is_complete(self, stamp_ns: int) -> bool:
        return (
            (not self.expected.info or self._info is not None)
            and (not self.expected.depth or (self._newest_depth_ns is not None and self._newest_depth_ns >= stamp_ns))
            and (
                not self.expected.odometry
                or (self.odometry.newest_ns is not None and self.odometry.newest_ns >= stamp_ns)
            )
        )

    def _exposure(self, waiting: _Waiting[ImageT]) -> Exposure[ImageT, InfoT, DepthT]:
        t_odom_child = self.odometry.at(waiting.stamp_ns, self._tolerances.odometry_ns)
        depth = self._depth_near(waiting.stamp_ns)
        self._forget_depths_before(waiting.stamp_ns - self._tolerances.depth_ns)
        parts = {"camera_info": self._info, "depth": depth, "odom": t_odom_child}
        self._found |= {name for name, part in parts.items() if part is not None}
        return Exposure(
            image=waiting.image,
            info=self._info,
            depth=depth,
            t_odom_camera=None
            if t_odom_child is None
            else self._camera_pose(t_odom_child, self.odometry.child_frame_id, waiting.image.header.frame_id),
        )

    def _depth_near(self, stamp_ns: int) -> DepthT | None:
        off_ns, depth = min(
            ((abs(depth_ns - stamp_ns), depth) for depth_ns, depth in self._depths),
            key=lambda pair: pair[0],
            default=(0, None),
        )
        return depth if off_ns <= self._tolerances.depth_ns else None

    def _forget_depths_before(self, stamp_ns: int) -> None:
        """Forget depth that no later image can be near to; at 640 x 480 each takes 0.6 to 1.2 MB."""
        while self._depths and self._depths[0][0] < stamp_ns:
            self._depths.popleft()


def tolerance_ns(tolerance_s: float) -> int:
    """Return a tolerance in ns."""
    return round(tolerance_s * NS_PER_S)
