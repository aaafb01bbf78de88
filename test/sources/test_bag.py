"""ROS bags as a source of frames."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from bag_writing import (
    MS,
    START_NS,
    camera_info,
    compressed,
    compressed_depth,
    depth_image,
    forget_definitions,
    image_message,
    mcap_with_small_chunks,
    odometry,
    static_transform,
    write_in_parts,
    write_rosbag1,
    write_rosbag2,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin

from vpr_ros.detection import Settings
from vpr_ros.sources import SourceError, SourceOptions, open_source
from vpr_ros.sources.bag import ODOMETRY_TOLERANCE_S, SYNC_WAIT_S, BagSource

STORAGES = [StoragePlugin.SQLITE3, StoragePlugin.MCAP]
WRITERS = [
    pytest.param(lambda path, messages: write_rosbag2(path, messages, StoragePlugin.SQLITE3), id="sqlite3"),
    pytest.param(lambda path, messages: write_rosbag2(path, messages, StoragePlugin.MCAP), id="mcap"),
    pytest.param(lambda path, messages: write_rosbag1(path.with_suffix(".bag"), messages), id="rosbag1"),
]


@pytest.fixture(scope="module")
def office(images):
    """Six real images, RGB, small."""
    paths = sorted((images / "office").glob("*.jpg"))[:6]
    return [cv2.resize(cv2.imread(str(path))[:, :, ::-1], (160, 120)) for path in paths]


def open_bag(path, **options):
    return BagSource.open(path, str(path), SourceOptions(**options))


def frames_of(path, **options):
    with open_bag(path, **options) as source:
        return list(source.frames())


def drive(office, period_ns=100 * MS):
    """Images at 10 Hz."""
    return [("/cam/image_raw", image_message(image, i * period_ns), i * period_ns) for i, image in enumerate(office)]


def whole_robot(office):
    """Images with calibration, depth and odometry at 20 Hz, along x at 1 m/s; the camera is 0.2 m ahead, 0.5 m up."""
    messages = [("/tf_static", static_transform("base_link", "cam_optical", (0.2, 0, 0.5)), 0)]
    messages += [("/odom", odometry(i * 50 * MS, i * 0.05), i * 50 * MS) for i in range(-1, 14)]
    for topic, image, at_ns in drive(office):
        messages += [("/cam/camera_info", camera_info(at_ns, 160, 120), at_ns)]
        messages += [("/cam/depth", depth_image(np.full((120, 160), 1500, np.uint16), at_ns + 3 * MS), at_ns + 20 * MS)]
        messages += [(topic, image, at_ns + 10 * MS)]
    return messages


@pytest.mark.parametrize("write", WRITERS)
def test_every_kind_of_bag_gives_the_same_frames(tmp_path, office, write):
    frames = frames_of(write(tmp_path / "bag", whole_robot(office)))

    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.stamp_ns for frame in frames] == [START_NS + i * 100 * MS for i in range(6)]
    for frame, image in zip(frames, office, strict=True):
        np.testing.assert_array_equal(frame.image, image)
        assert (frame.camera.fx, frame.camera.cx, frame.camera.width) == (200, 80, 160)
        assert frame.depth_m[5, 5] == pytest.approx(1.5)
    assert frames[3].t_odom_camera.translation == pytest.approx([0.3 + 0.2, 0, 0.5])
    assert frames[0].frame_id == "cam_optical"
    assert all(frame.timed for frame in frames)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_bare_file_is_read_as_its_folder_is(tmp_path, office, storage):
    folder = write_rosbag2(tmp_path / "bag", drive(office), storage)
    suffix = {StoragePlugin.MCAP: "*.mcap", StoragePlugin.SQLITE3: "*.db3"}[storage]

    frames = frames_of(next(folder.glob(suffix)))

    np.testing.assert_array_equal(np.stack([f.image for f in frames]), np.stack(office))


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        *((storage, mode) for storage in STORAGES for mode in (CompressionMode.FILE, CompressionMode.MESSAGE)),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
    ],
)
def test_zstd_compressed_bags_are_read(tmp_path, office, storage, mode):
    folder = write_rosbag2(tmp_path / "bag", drive(office), storage, compression=(mode, CompressionFormat.ZSTD))

    np.testing.assert_array_equal(np.stack([f.image for f in frames_of(folder)]), np.stack(office))


@pytest.mark.parametrize("storage", STORAGES)
def test_a_bag_in_several_files_is_one_recording(tmp_path, office, storage):
    folder = write_in_parts(tmp_path / "bag", drive(office), storage, 3)
    assert len(list(folder.iterdir())) == 4

    with open_bag(folder) as source:
        assert len(source) == 6
        assert [frame.index for frame in source.frames()] == list(range(6))


def test_an_old_sqlite_bag_without_type_definitions_is_read(tmp_path, office):
    folder = write_rosbag2(tmp_path / "bag", drive(office), StoragePlugin.SQLITE3)

    assert len(frames_of(forget_definitions(folder / "bag.db3"))) == 6
    assert len(frames_of(folder)) == 6


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_images_are_read(tmp_path, office, suffix):
    messages = [("/cam/image_raw/compressed", compressed(im, i * MS, suffix), i * MS) for i, im in enumerate(office)]

    frames = frames_of(write_rosbag2(tmp_path / "bag", messages))

    assert np.abs(np.stack([f.image for f in frames]).astype(int) - np.stack(office)).mean() < 4


def test_frames_can_be_read_again_and_drops_are_those_of_the_latest_pass(tmp_path, office):
    messages = drive(office)
    messages[2] = (messages[2][0], replace(messages[2][1], encoding="martian8"), messages[2][2])

    with open_bag(write_rosbag2(tmp_path / "bag", messages)) as source:
        first = [frame.index for frame in source.frames()]
        again = [frame.index for frame in source.frames()]

    assert first == again == [0, 1, 3, 4, 5]
    assert source.drops == {"corrupt image": 1}
    assert source.truth is None


def test_open_source_opens_bags(tmp_path, office):
    folder = write_rosbag2(tmp_path / "bag", drive(office))

    with open_source(str(folder)) as source:
        assert source.uri == str(folder)
        assert len(list(source.frames())) == 6


def test_odometry_is_interpolated_between_its_stamps(tmp_path, office):
    messages = drive(office, period_ns=70 * MS)
    messages += [("/odom", odometry(i * 50 * MS, (i * 0.05) ** 2), i * 50 * MS) for i in range(10)]

    frames = frames_of(write_rosbag2(tmp_path / "bag", messages))

    times = [i * 0.05 for i in range(10)]
    expected = np.interp([0.07 * i for i in range(6)], times, np.square(times))
    assert [f.t_odom_camera.translation[0] for f in frames] == pytest.approx(expected.tolist(), abs=1e-9)


def test_odometry_later_than_its_images_is_waited_for_and_not_for_ever(tmp_path, office):
    """Odometry comes 0.2 s after its stamp; it ends early, and an image farther than 0.1 s from it has none."""
    messages = drive(office)
    messages += [("/odom", odometry(i * 50 * MS, i * 0.05), (i * 50 + 200) * MS) for i in range(6)]

    frames = frames_of(write_rosbag2(tmp_path / "bag", messages))

    assert [f.t_odom_camera is not None for f in frames] == [True] * 4 + [False] * 2
    assert frames[2].t_odom_camera.translation[0] == pytest.approx(0.2)


def test_the_mounting_is_chained_from_static_transforms_wherever_they_lie_in_the_bag(tmp_path, office):
    """Base, then a mast that turns a quarter left, then the camera 1 m ahead of the mast."""
    turned = (0.0, 0.0, np.sin(np.pi / 4), np.cos(np.pi / 4))
    messages = [*drive(office), *(("/odom", odometry(i * 100 * MS, 0.0), i * 100 * MS) for i in range(6))]
    messages += [("/tf_static", static_transform("base_link", "mast", (0, 0, 2), turned), 400 * MS)]
    messages += [("/tf_static", static_transform("mast", "cam_optical", (1, 0, 0)), 400 * MS)]

    frames = frames_of(write_rosbag2(tmp_path / "bag", messages))

    assert frames[0].t_odom_camera.translation == pytest.approx([0, 1, 2])
    assert frames[0].t_odom_camera.rotation[:, 0] == pytest.approx([0, 1, 0])


def test_an_unknown_mounting_takes_odometry_as_the_camera_s_own_and_says_so_once(tmp_path, office, caplog):
    messages = [*drive(office), *(("/odom", odometry(i * 100 * MS, 0.1 * i), i * 100 * MS) for i in range(6))]

    frames = frames_of(write_rosbag2(tmp_path / "bag", messages))

    assert frames[3].t_odom_camera.translation == pytest.approx([0.3, 0, 0])
    assert [r.getMessage() for r in caplog.records if "record /tf_static too" in r.getMessage()] == [
        "the pose of camera 'cam_optical' on 'base_link' is not known, so odometry is taken as the camera's own; "
        "record /tf_static too"
    ]


def test_odometry_that_is_nan_or_goes_back_is_counted_and_left_out(tmp_path, office):
    messages = [*drive(office), *(("/odom", odometry(i * 50 * MS, 0.05 * i), i * 50 * MS) for i in range(12))]
    messages += [("/odom", odometry(60 * MS, np.nan), 60 * MS), ("/odom", odometry(20 * MS, 9.0), 70 * MS)]

    with open_bag(write_rosbag2(tmp_path / "bag", messages)) as source:
        frames = list(source.frames())

    assert source.drops == {"bad odometry": 1, "odometry stamp backwards": 1}
    assert frames[1].t_odom_camera.translation[0] == pytest.approx(0.1)


def test_depth_farther_in_time_than_the_tolerance_is_another_image_s(tmp_path, office):
    depth = np.full((120, 160), 2000, np.uint16)
    messages = drive(office)
    messages += [("/depth", depth_image(depth, at), at) for at in (15 * MS, 125 * MS, 200 * MS)]
    folder = write_rosbag2(tmp_path / "bag", messages)

    assert [f.depth_m is not None for f in frames_of(folder)] == [True, False, True, False, False, False]
    assert sum(f.depth_m is not None for f in frames_of(folder, sync_tolerance_s=0.03)) == 3


def test_compressed_depth_is_read_as_raw_depth_is(tmp_path, office):
    units = np.arange(120 * 160, dtype=np.uint16).reshape(120, 160)
    messages = drive(office)
    messages += [("/depth/compressedDepth", compressed_depth(units, i * 100 * MS), i * 100 * MS) for i in range(6)]

    frame = frames_of(write_rosbag2(tmp_path / "bag", messages))[1]

    assert np.isnan(frame.depth_m[0, 0])
    np.testing.assert_allclose(frame.depth_m.ravel()[1:], units.ravel()[1:] / 1000, rtol=1e-6)


def test_parts_that_do_not_fit_the_image_are_left_out_and_counted(tmp_path, office):
    messages = drive(office)
    for i in range(6):
        at_ns = i * 100 * MS
        messages += [("/cam/camera_info", camera_info(at_ns, 320, 240), at_ns - MS)]
        messages += [("/cam/depth", depth_image(np.ones((60, 80), np.uint16), at_ns), at_ns)]

    with open_bag(write_rosbag2(tmp_path / "bag", messages)) as source:
        frames = list(source.frames())

    assert source.drops == {"calibration of another size": 6, "depth of another size": 6}
    assert all(f.camera is None and f.depth_m is None for f in frames)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"k": np.zeros(9), "p": np.zeros(12)}, None),
        ({"distortion_model": "rational_polynomial", "d": np.arange(8) / 100}, ("rational_polynomial", 200, 8)),
        ({"distortion_model": "equidistant", "d": np.arange(4) / 100}, ("equidistant", 200, 4)),
        ({"d": np.zeros(5), "p": np.array([150.0, 0, 70, 0, 0, 150, 50, 0, 0, 0, 1, 0])}, ("plumb_bob", 150, 0)),
    ],
    ids=["uncalibrated", "rational", "fisheye", "rectified"],
)
def test_each_kind_of_calibration_is_understood(tmp_path, office, changes, expected):
    messages = [("/cam/camera_info", replace(camera_info(0, 160, 120), **changes), 0), *drive(office)]

    camera = frames_of(write_rosbag2(tmp_path / "bag", messages))[0].camera

    assert (camera and (camera.model, camera.fx, len(camera.distortion))) == expected


def test_one_stamp_that_goes_back_is_a_counted_drop_and_leaves_a_gap(tmp_path, office):
    messages = drive(office)
    messages[3] = ("/cam/image_raw", image_message(office[3], 150 * MS), 300 * MS)

    with open_bag(write_rosbag2(tmp_path / "bag", messages)) as source:
        assert [f.index for f in source.frames()] == [0, 1, 2, 4, 5]
    assert source.drops == {"stamp backwards": 1}


def test_a_clock_that_was_set_back_is_told_and_nothing_is_used_until_its_stamps_are_new(tmp_path, office, caplog):
    stamps_ms = [1000, 1100, 500, 600, 700, 1050, 1150, 1250]
    messages = [
        ("/cam/image_raw", image_message(office[0], stamp * MS), i * 100 * MS) for i, stamp in enumerate(stamps_ms)
    ]

    with open_bag(write_rosbag2(tmp_path / "bag", messages)) as source:
        assert [f.index for f in source.frames()] == [0, 1, 6, 7]
    assert source.drops == {"stamp backwards": 2, "clock set back": 2}
    assert "image stamps begin again 0.400 s earlier: the clock was set back while recording" in caplog.text


@pytest.mark.parametrize("write", WRITERS)
def test_a_part_is_chosen_by_seconds_after_the_first_image_and_keeps_its_indexes(tmp_path, office, write):
    path = write(tmp_path / "bag", whole_robot(office))

    with open_bag(path, from_s=0.1, to_s=0.3) as source:
        assert len(source) == 3
        frames = list(source.frames())

    assert [f.index for f in frames] == [1, 2, 3]
    assert frames[2].depth_m is not None
    assert [f.t_odom_camera.translation[0] for f in frames] == pytest.approx([0.3, 0.4, 0.5])
    with open_bag(path, from_s=9.0) as source, pytest.raises(SourceError, match=r"the recording is 0.5 s long"):
        next(source.frames())


def test_a_bag_of_which_no_image_can_be_decoded_says_why(tmp_path, office):
    messages = [(topic, replace(message, encoding="martian8"), at) for topic, message, at in drive(office)]

    sentence = r"none of the 6 images of /cam/image_raw .* \(6 corrupt image\)"
    with open_bag(write_rosbag2(tmp_path / "bag", messages)) as source, pytest.raises(SourceError, match=sentence):
        list(source.frames())


def test_a_message_that_is_cut_off_or_of_another_type_is_counted_and_the_rest_is_read(tmp_path, office):
    folder = write_rosbag2(tmp_path / "bag", drive(office), spoil={2: lambda cdr: cdr[:50], 4: lambda cdr: b"\x00\x01"})

    with open_bag(folder) as source:
        assert [f.index for f in source.frames()] == [0, 1, 3, 5]
    assert source.drops == {"corrupt message": 2}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_of_a_cut_off_mcap_file_the_readable_part_is_read_and_it_is_told(tmp_path, office, share, caplog):
    path = mcap_with_small_chunks(tmp_path / "killed.mcap", drive(office))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])

    with open_bag(path) as source:
        frames = list(source.frames())

    assert [f.index for f in frames] == list(range(len(frames)))
    assert 1 <= len(frames) < 6
    assert source.drops == {"cut-off recording": 1}
    assert "killed.mcap was not finished" in caplog.text


def test_a_bag_whose_last_file_is_cut_off_gives_the_other_files(tmp_path, office):
    folder = write_in_parts(tmp_path / "bag", drive(office), StoragePlugin.SQLITE3, 3)
    last = sorted(folder.glob("*.db3"))[-1]
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 3])

    with open_bag(folder) as source:
        assert [f.index for f in source.frames()] == [0, 1, 2, 3]
    assert source.drops == {"cut-off recording": 1}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.3, 0.7, 0.999])
def test_a_bag_cut_off_anywhere_is_read_in_part_or_told_in_one_sentence(tmp_path, office, write, share):
    path = write(tmp_path / "bag", drive(office))
    file = path if path.is_file() else next(p for p in path.iterdir() if p.suffix in (".db3", ".mcap"))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    try:
        source = open_bag(path)
    except SourceError as error:
        sentence = str(error)
    else:
        with source:
            assert 1 <= len(list(source.frames())) <= 6
            sentence = next(iter(source.drops))
    assert "\n" not in sentence
    assert "expected" in sentence or sentence in ("cut-off recording", "unreadable rest of the bag")


def test_a_bag_of_noise_is_told_in_one_sentence(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    for suffix in (".db3", ".mcap", ".bag"):
        (tmp_path / f"noise{suffix}").write_bytes(noise)
        with pytest.raises(SourceError, match=r"can't read bag .*; expected a"):
            open_bag(tmp_path / f"noise{suffix}")
    (tmp_path / "metadata.yaml").write_bytes(noise)
    with pytest.raises(SourceError, match="can't read bag"):
        open_bag(tmp_path)


def test_a_folder_without_metadata_names_the_file_to_give(tmp_path, office):
    folder = write_rosbag2(tmp_path / "bag", drive(office))
    (folder / "metadata.yaml").unlink()

    with pytest.raises(SourceError, match=r"no metadata.yaml, expected one .*; give the file itself: bag.db3"):
        open_bag(folder)


def test_a_path_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SourceError, match="there is no bag"):
        open_bag(tmp_path / "absent.mcap")


def test_the_waits_are_those_of_the_node():
    node = Settings().node

    assert (node.odometry_tolerance_s, node.sync_wait_s) == (ODOMETRY_TOLERANCE_S, SYNC_WAIT_S)
    assert SourceOptions().sync_tolerance_s == node.sync_tolerance_s


@pytest.mark.parametrize("is_message_image", [True, False])
def test_mcap_frames_are_what_foxglove_s_reader_sees(tmp_path, office, is_message_image):
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    make = image_message if is_message_image else compressed
    messages = [("/cam/image", make(image, i * MS), i * MS) for i, image in enumerate(office)]
    folder = write_rosbag2(tmp_path / "bag", messages, StoragePlugin.MCAP)

    with next(folder.glob("*.mcap")).open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        theirs = [message for *_, message in reader.iter_decoded_messages()]

    ours = frames_of(folder)
    assert [f.stamp_ns for f in ours] == [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in theirs]
    for frame, message in zip(ours, theirs, strict=True):
        pixels = np.frombuffer(message.data, np.uint8)
        expected = pixels.reshape(120, 160, 3) if is_message_image else cv2.imdecode(pixels, 1)[:, :, ::-1]
        np.testing.assert_array_equal(frame.image, expected)


def test_reading_holds_few_messages_at_a_time(tmp_path, office):
    """60 images of 0.9 MB from an MCAP file; what is kept does not grow with the recording."""
    import tracemalloc

    large = cv2.resize(office[0], (640, 480))
    messages = [("/cam/image_raw", image_message(large, i * 100 * MS), i * 100 * MS) for i in range(60)]
    messages += [("/odom", odometry(i * 100 * MS, 0.1 * i), i * 100 * MS) for i in range(60)]
    folder = write_rosbag2(tmp_path / "bag", messages, StoragePlugin.MCAP)
    del messages

    with open_bag(folder) as source:
        tracemalloc.start()
        count = sum(1 for _ in source.frames())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert count == 60
    assert peak < 16e6
