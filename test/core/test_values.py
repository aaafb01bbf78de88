"""Frames and cameras check themselves once."""

import numpy as np
import pytest

from vpr_ros.core import Camera, CameraError, Frame, FrameError, share_path


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_only_rgb_bytes_are_a_frame(image):
    with pytest.raises(FrameError, match="expected"):
        Frame(0, 0, image)


def test_a_camera_without_focal_length_is_refused():
    with pytest.raises(CameraError, match="expected all positive"):
        Camera(640, 480, 0, 0, 0, 0)


def test_a_lens_with_a_coefficient_too_many_is_refused():
    with pytest.raises(CameraError, match="plumb_bob has 6"):
        Camera(640, 480, 500, 500, 320, 240, "plumb_bob", (0.0,) * 6)


def test_the_matrix_projects_the_optical_axis_to_the_principal_point():
    u, v, w = Camera(640, 480, 500, 510, 321, 243).matrix @ [0, 0, 2]
    assert (u / w, v / w) == (321, 243)


def test_a_file_that_ships_is_found_and_one_that_does_not_is_named():
    assert share_path("package.xml").is_file()
    with pytest.raises(FileNotFoundError, match="no-such-weights"):
        share_path("weights/no-such-weights.onnx")
