"""Which depth, calibration and odometry belong to an image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image

from vpr_ros.core import Pose
from vpr_ros.sources.assembly import FrameAssembler, OdometryBuffer, Order, StampOrder, Tolerances

MS = 1_000_000
TOLERANCES = Tolerances(depth_ns=20 * MS, odometry_ns=100 * MS, wait_s=0.5)


class SteadyClock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return SteadyClock()


@pytest.fixture
def released():
    return []


@pytest.fixture
def assembler(clock, released):
    return FrameAssembler(TOLERANCES, lambda pose, child, camera: pose, released.append, clock)


def at_x(x_m):
    return Pose.from_rotation_translation(np.eye(3), [x_m, 0, 0])


def test_an_image_that_nothing_belongs_to_goes_at_once(assembler, released):
    assembler.add_image(Image(), 0)

    assert [exposure.t_odom_camera for exposure in released] == [None]


def test_an_image_waits_for_newer_odometry_and_gets_the_pose_between(assembler, released):
    assembler.expected.odometry = True
    assembler.add_odometry(0, at_x(0.0), "base")
    assembler.add_image(Image(), 25 * MS)
    assert not released

    assembler.add_odometry(100 * MS, at_x(1.0), "base")

    assert released[0].t_odom_camera.translation == pytest.approx([0.25, 0, 0])


def test_an_image_whose_odometry_stays_away_goes_without_when_the_wait_is_over(assembler, released, clock):
    assembler.expected.odometry = True
    assembler.add_image(Image(), 0)
    clock.now_s = 0.49
    assembler.release_ready()
    assert not released

    clock.now_s = 0.5
    assembler.release_ready()

    assert released[0].t_odom_camera is None


def test_images_leave_in_the_order_they_came(assembler, released):
    assembler.expected.depth = True
    first, second = Image(width=1), Image(width=2)
    assembler.add_image(first, 0)
    assembler.add_image(second, 50 * MS)

    assembler.add_depth(Image(), 50 * MS)

    assert [exposure.image.width for exposure in released] == [1, 2]
    assert [exposure.depth is not None for exposure in released] == [False, True]


def test_depth_farther_in_time_than_the_tolerance_is_another_image_s(assembler, released):
    assembler.expected.depth = True
    near, far = Image(width=1), Image(width=2)
    assembler.add_depth(near, 80 * MS)
    assembler.add_depth(far, 121 * MS)

    assembler.add_image(Image(), 100 * MS)
    assembler.add_image(Image(), 142 * MS)
    assembler.flush()

    assert released[0].depth is near
    assert released[1].depth is None


def test_a_calibration_holds_until_the_next(assembler, released):
    info = CameraInfo(width=640)
    assembler.expected.info = True
    assembler.add_image(Image(), 0)
    assembler.add_info(info)
    assembler.add_image(Image(), 1)

    assert [exposure.info for exposure in released] == [info, info]


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=20, unique=True).map(sorted),
    st.integers(0, 1000),
)
def test_odometry_is_interpolated_as_numpy_does_it(stamps, asked):
    buffer = OdometryBuffer()
    for stamp in stamps:
        buffer.add(stamp, at_x(stamp**2 / 1000), "base")

    pose = buffer.at(asked, tolerance_ns=50)

    if min(abs(stamp - asked) for stamp in stamps) > 50:
        assert pose is None
    else:
        x = np.interp(asked, stamps, [stamp**2 / 1000 for stamp in stamps])
        assert pose.translation[0] == pytest.approx(x, abs=1e-9)


def test_odometry_that_is_not_later_is_refused():
    buffer = OdometryBuffer()

    assert buffer.add(5, at_x(0), "base")
    assert not buffer.add(5, at_x(1), "base")
    assert buffer.newest_ns == 5


def test_one_old_stamp_is_a_stray_three_are_a_clock_that_was_set_back():
    order = StampOrder()

    assert [order.judge(stamp) for stamp in (100, 200, 50, 300)] == [
        Order.FORWARD,
        Order.FORWARD,
        Order.BACKWARD,
        Order.FORWARD,
    ]
    assert [order.judge(stamp) for stamp in (10, 20, 30, 40)] == [
        Order.BACKWARD,
        Order.BACKWARD,
        Order.CLOCK_SET_BACK,
        Order.FORWARD,
    ]
