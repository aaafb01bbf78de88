"""ROS's image encodings as arrays."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpr_ros.sources.image_codec import (
    DEPTH_ENCODINGS,
    IMAGE_ENCODINGS,
    ImageCodecError,
    decode_compressed,
    decode_compressed_depth,
    decode_depth,
    decode_image,
)

RED, GREEN, BLUE = (200, 0, 0), (0, 150, 0), (0, 0, 90)
BYTES_A_PIXEL = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "mono16": 2}
BYTES_A_PIXEL |= dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2)


@pytest.fixture(scope="module")
def office(images):
    """One real image, RGB."""
    return cv2.cvtColor(cv2.imread(str(sorted((images / "office").glob("*.jpg"))[0])), cv2.COLOR_BGR2RGB)


def decoded(encoding, pixels, is_bigendian=False):
    rows = np.ascontiguousarray(pixels)
    return decode_image(encoding, rows.shape[0], rows.shape[1], rows[0].nbytes, rows.tobytes(), is_bigendian)


def as_file(suffix, image):
    return cv2.imencode(suffix, image)[1].tobytes()


def compressed_depth(units, quant_a=0.0, quant_b=0.0):
    return struct.pack("<iff", 0, quant_a, quant_b) + as_file(".png", units)


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", (0, 1, 2)), ("bgr8", (2, 1, 0)), ("8UC3", (2, 1, 0)), ("rgba8", (0, 1, 2, 0)), ("bgra8", (2, 1, 0, 0))],
)
def test_colours_come_out_in_the_order_red_green_blue(office, encoding, channels):
    np.testing.assert_array_equal(decoded(encoding, office[:, :, list(channels)]), office)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_gives_three_equal_channels(office, encoding):
    grey = office[:, :, 1]

    np.testing.assert_array_equal(decoded(encoding, grey), np.dstack([grey] * 3))


@pytest.mark.parametrize(("order", "is_bigendian"), [("<u2", False), (">u2", True)])
def test_16_bit_grey_keeps_black_white_and_what_lies_between_in_either_byte_order(order, is_bigendian):
    values = np.array([[0, 257, 128 * 257, 65535]], dtype=order)

    assert decoded("mono16", values, is_bigendian)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_each_bayer_pattern_gives_back_the_colour_that_its_mosaic_was_made_of(pattern):
    """An even surface of one colour is known at each pixel of its mosaic, whatever the interpolation."""
    colour = {"r": 200, "g": 150, "b": 90}
    mosaic = np.tile(np.array([colour[letter] for letter in pattern], dtype=np.uint8).reshape(2, 2), (8, 8))

    image = decoded(f"bayer_{pattern}8", mosaic)

    assert image[4:-4, 4:-4].reshape(-1, 3).tolist() == [[200, 150, 90]] * 64


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
)
def test_yuv_422_gives_the_colours_of_bt_601(encoding, order):
    """Y, U, V of pure red, green and blue in video range, ITU-R BT.601, table 3."""
    for (y, u, v), colour in {(81, 90, 240): 0, (145, 54, 34): 1, (41, 240, 110): 2}.items():
        letters = {"u": u, "y": y, "v": v}
        pair = np.array([letters[letter] for letter in order], dtype=np.uint8).reshape(1, 2, 2)

        expected = np.eye(3)[colour] * 255
        np.testing.assert_allclose(decoded(encoding, np.tile(pair, (2, 2, 1))), np.full((2, 4, 3), expected), atol=2)


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", (90, 240)), ("nv21", (240, 90))])
def test_semi_planar_yuv_reads_its_chroma_in_the_right_order(encoding, chroma):
    luma, pairs = np.full((4, 6), 81, np.uint8), np.tile(np.array(chroma, np.uint8), (2, 3))

    image = decode_image(encoding, 4, 6, 6, np.vstack([luma, pairs]).tobytes(), False)

    np.testing.assert_allclose(image, np.full((4, 6, 3), (255, 0, 0)), atol=2)


@given(
    encoding=st.sampled_from([e for e in IMAGE_ENCODINGS if e not in ("nv12", "nv21")]),
    size=st.tuples(st.integers(2, 5), st.integers(1, 4).map(lambda half: 2 * half)),
    padding=st.integers(0, 9),
    seed=st.integers(0, 99),
    is_last_row_padded=st.booleans(),
)
def test_padded_rows_never_change_the_image(encoding, size, padding, seed, is_last_row_padded):
    height, width = size
    rng = np.random.default_rng(seed)
    plain = rng.integers(0, 256, (height, width * BYTES_A_PIXEL.get(encoding, 1)), dtype=np.uint8)
    padded = np.hstack([plain, rng.integers(0, 256, (height, padding), dtype=np.uint8)])
    content = padded.tobytes()[: None if is_last_row_padded or not padding else -padding]

    expected = decode_image(encoding, height, width, plain.shape[1], plain.tobytes(), False)

    np.testing.assert_array_equal(decode_image(encoding, height, width, padded.shape[1], content, False), expected)


@given(
    st.sampled_from([*IMAGE_ENCODINGS, *DEPTH_ENCODINGS, "", "bayer_rggb16"]),
    st.integers(-1, 9),
    st.integers(-1, 9),
    st.integers(-1, 40),
    st.binary(max_size=200),
    st.booleans(),
)
def test_random_messages_raise_nothing_but_the_codec_s_error(encoding, height, width, step, content, is_bigendian):
    for decode in (decode_image, decode_depth):
        try:
            image = decode(encoding, height, width, step, content, is_bigendian)
        except ImageCodecError:
            continue
        assert image.shape[:2] == (height, width)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_and_spoilt_files_raise_nothing_but_the_codec_s_error(office, data):
    small = office[::8, ::8]
    whole = data.draw(st.sampled_from([b"", as_file(".jpg", small), as_file(".png", small)]))
    at = data.draw(st.integers(0, len(whole)))
    content = whole[:at] + data.draw(st.binary(max_size=30)) + whole[at:]
    for decode, image_format in ((decode_compressed, "jpeg"), (decode_compressed_depth, "16UC1; compressedDepth png")):
        try:
            image = decode(image_format, content)
        except ImageCodecError:
            continue
        assert image.size


@pytest.mark.parametrize(
    "image_format",
    ["jpeg", "png", "rgb8; jpeg compressed bgr8", "bgr8; png compressed bgr8", "rgb8; png compressed bgr8"],
)
def test_a_compressed_image_comes_out_red_green_blue_whatever_the_camera_s_order_was(office, image_format):
    suffix = ".jpg" if "jpeg" in image_format else ".png"
    content = as_file(suffix, cv2.cvtColor(office, cv2.COLOR_RGB2BGR))

    np.testing.assert_allclose(
        decode_compressed(image_format, content).astype(int), office, atol=0 if suffix == ".png" else 60
    )
    assert np.abs(decode_compressed(image_format, content).astype(int) - office).mean() < 3


def test_colours_that_the_transport_swapped_on_their_way_in_are_swapped_back(office):
    content = as_file(".png", office)

    np.testing.assert_array_equal(decode_compressed("rgb8; png compressed rgb8", content), office)


def test_a_compressed_bayer_mosaic_gets_its_colours():
    mosaic = np.tile(np.array([[200, 150], [150, 90]], dtype=np.uint8), (8, 8))

    image = decode_compressed("bayer_rggb8; png compressed ", as_file(".png", mosaic))

    assert image[8, 8].tolist() == [200, 150, 90]


def test_compressed_grey_alpha_and_16_bits_become_rgb8(office):
    grey = office[:, :, 0]
    bgra = cv2.cvtColor(office, cv2.COLOR_RGB2BGRA)

    np.testing.assert_array_equal(
        decode_compressed("mono8; png compressed ", as_file(".png", grey)), np.dstack([grey] * 3)
    )
    np.testing.assert_array_equal(decode_compressed("png", as_file(".png", bgra)), office)
    np.testing.assert_array_equal(
        decode_compressed("mono16; png compressed ", as_file(".png", grey.astype(np.uint16) * 257)),
        np.dstack([grey] * 3),
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_file_that_is_cut_off_anywhere_is_refused(office, suffix):
    content = as_file(suffix, office)
    for length in (0, 1, 2, 20, len(content) // 2, len(content) - 5, len(content) - 2):
        with pytest.raises(ImageCodecError, match=r"cut off, corrupt or no image; expected a whole JPEG or PNG"):
            decode_compressed("jpeg", content[:length])


def test_the_end_of_a_thumbnail_inside_a_jpeg_is_not_taken_for_its_end(office):
    content = as_file(".jpg", office)
    thumbnail = as_file(".jpg", office[::16, ::16])
    with_thumbnail = content[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + content[2:]

    assert decode_compressed("jpeg", with_thumbnail).shape == office.shape
    with pytest.raises(ImageCodecError, match="cut off"):
        decode_compressed("jpeg", with_thumbnail[:-300])


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
@pytest.mark.parametrize(("order", "is_bigendian"), [("<u2", False), (">u2", True)])
def test_16_bit_depth_is_millimetres_and_0_is_unknown(encoding, order, is_bigendian):
    units = np.array([[0, 1, 1234, 65535]], dtype=order)

    depth_m = decode_depth(encoding, 1, 4, 8, units.tobytes(), is_bigendian)

    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, [[np.nan, 0.001, 1.234, 65.535]], rtol=1e-6)


@pytest.mark.parametrize(("order", "is_bigendian"), [("<f4", False), (">f4", True)])
def test_float_depth_is_metres_and_what_is_no_distance_is_unknown(order, is_bigendian):
    values = np.array([[1.5, 0, -1, np.nan, np.inf, -np.inf]], dtype=order)

    depth_m = decode_depth("32FC1", 1, 6, 24, values.tobytes(), is_bigendian)

    np.testing.assert_array_equal(depth_m, np.array([[1.5] + [np.nan] * 5], dtype=np.float32))


def test_decoding_depth_leaves_the_message_as_it_is():
    content = np.array([[0.0, 2.0]], dtype="<f4")

    decode_depth("32FC1", 1, 2, 8, memoryview(content.view(np.uint8)[0]), False)

    assert content.tolist() == [[0.0, 2.0]]


def test_compressed_depth_of_millimetres_is_read_with_and_without_its_header():
    units = np.array([[0, 500], [1000, 65535]], dtype=np.uint16)
    expected = [[np.nan, 0.5], [1.0, 65.535]]

    for image_format in ("16UC1; compressedDepth png", "16UC1; compressedDepth"):
        np.testing.assert_allclose(decode_compressed_depth(image_format, compressed_depth(units)), expected, rtol=1e-6)
    plain = decode_compressed_depth("16UC1; png compressed ", as_file(".png", units))
    np.testing.assert_allclose(plain, expected, rtol=1e-6)


def test_compressed_float_depth_is_read_from_its_inverse():
    """As compressed_depth_image_transport's defaults write it: depth_quantization 100, depth_max 10 m."""
    quant_a, depth_max = 100.0 * 101.0, 10.0
    quant_b = 1 - quant_a / depth_max
    depth_m = np.array([[0.5, 1.0], [2.0, 9.9]])
    units = (quant_a / depth_m + quant_b).astype(np.uint16)
    units_with_unknown = np.vstack([units, np.zeros((1, 2), np.uint16)])

    seen_m = decode_compressed_depth(
        "32FC1; compressedDepth png", compressed_depth(units_with_unknown, quant_a, quant_b)
    )

    np.testing.assert_allclose(seen_m[:2], depth_m, rtol=2e-3)
    assert np.isnan(seen_m[2]).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rgb8", 0, 4, 12, b"", False), "has 4 x 0 pixels, expected at least 1 x 1"),
        (("rgb8", 2, 4, 11, bytes(24), False), "has step 11, expected at least 12 bytes"),
        (("rgb8", 2, 4, 12, bytes(23), False), "has 23 bytes, expected 24 for 2 rows of step 12"),
        (("yuyv", 2, 3, 6, bytes(12), False), "has width 3, expected an even one"),
        (("nv12", 3, 4, 4, bytes(18), False), "has height 3, expected an even one"),
        (("jpeg", 2, 2, 6, bytes(12), False), "encoding is 'jpeg', expected one of rgb8, bgr8"),
        (("32FC1", 1, 1, 4, bytes(4), False), "give it as the depth topic"),
    ],
)
def test_a_wrong_image_message_is_told_with_what_was_seen_and_expected(arguments, sentence):
    with pytest.raises(ImageCodecError, match=sentence):
        decode_image(*arguments)


def test_depth_that_can_t_be_read_is_told_with_what_to_do():
    grey = as_file(".png", np.ones((2, 2), np.uint8))
    with pytest.raises(ImageCodecError, match="expected one of 16UC1, mono16, 32FC1"):
        decode_depth("rgb8", 1, 1, 3, bytes(3), False)
    with pytest.raises(ImageCodecError, match="set the camera's compressedDepth format to png"):
        decode_compressed_depth("16UC1; compressedDepth rvl", bytes(50))
    with pytest.raises(ImageCodecError, match="expected \\(height, width\\) uint16"):
        decode_compressed_depth("16UC1; compressedDepth png", bytes(12) + grey)
    with pytest.raises(ImageCodecError, match="no header with depthQuantA"):
        decode_compressed_depth("32FC1; png compressed ", as_file(".png", np.ones((2, 2), np.uint16)))
    with pytest.raises(ImageCodecError, match="give it as the depth topic"):
        decode_compressed("16UC1; compressedDepth png", bytes(50))


def test_an_rgb_image_without_padding_is_not_copied(office):
    content = office.tobytes()

    image = decode_image("rgb8", office.shape[0], office.shape[1], office.shape[1] * 3, content, False)

    assert np.shares_memory(image, np.frombuffer(content, np.uint8))


@pytest.mark.parametrize("encoding", ["bgr8", "bgra8", "mono8", "mono16", "bayer_grbg8", "yuv422", "yuv422_yuy2"])
def test_images_are_the_same_as_cv_bridge_s(office, encoding):
    cv_bridge = pytest.importorskip("cv_bridge")
    if not hasattr(cv_bridge, "CvBridge"):
        pytest.skip("this cv_bridge is another program, not ROS's")
    from sensor_msgs.msg import Image

    height, width = office.shape[:2]
    step = width * BYTES_A_PIXEL.get(encoding, 1)
    content = np.random.default_rng(0).integers(0, 256, height * step, dtype=np.uint8).tobytes()
    message = Image(height=height, width=width, encoding=encoding, step=step, data=content)

    theirs = cv_bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")

    ours = decode_image(encoding, height, width, step, content, False)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
