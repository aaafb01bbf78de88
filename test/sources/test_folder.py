"""Folders of images: order, stamps, depth, calibration, and what is broken."""

import os
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpr_ros.sources import SourceError, SourceOptions, open_source
from vpr_ros.sources.camera_file import CameraFileError, read_camera_file
from vpr_ros.sources.image_folder import nearest_stamps, stamps_from_names

S = 1_000_000_000


def frames_of(folder, **options):
    with open_source(str(folder), SourceOptions(**options)) as source:
        return list(source.frames()), source


def stamps_s(folder, **options):
    return [frame.stamp_ns / S for frame in frames_of(folder, **options)[0]]


# --- order and content


def test_images_come_in_plain_name_order_and_other_files_are_no_images(folder_of):
    folder = folder_of("10.jpg", "9.JPG", "b.jpeg", "A.jpg")
    (folder / "notes.txt").write_text("drove twice")
    (folder / "._9.JPG").write_bytes(b"a Mac was here")
    (folder / "thumbnails.jpg").mkdir()

    frames, source = frames_of(folder)

    assert source.names == ("10.jpg", "9.JPG", "A.jpg", "b.jpeg")
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert not source.drops


def test_a_frame_is_the_image_in_rgb(folder_of, office):
    (frame,), _ = frames_of(folder_of("1.jpg"))

    assert np.array_equal(frame.image, cv2.imread(str(office[0]))[:, :, ::-1])
    assert (frame.camera, frame.depth_m, frame.t_odom_camera) == (None, None, None)


def test_links_are_followed(tmp_path, office):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "1.jpg").symlink_to(office[0])
    (tmp_path / "way").symlink_to(tmp_path / "linked")

    frames, _ = frames_of(tmp_path / "way")

    assert len(frames) == 1


def test_grey_alpha_and_16_bit_images_become_rgb_of_8_bits(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "1_grey.png"), grey)
    cv2.imwrite(str(tmp_path / "2_grey16.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "3_alpha.png"), np.dstack([grey, grey, grey, 255 - grey]))

    frames, _ = frames_of(tmp_path)

    for frame in frames:
        assert np.array_equal(frame.image, np.dstack([grey] * 3))


def test_a_photograph_is_taken_as_stored_whatever_its_orientation_says(tmp_path, office):
    """Depth and calibration belong to the stored pixels. The tag says: turn by 90 degrees."""
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    content = office[0].read_bytes()
    tagged = content[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned + content[2:]
    (tmp_path / "1.jpg").write_bytes(tagged)
    upright = cv2.imread(str(tmp_path / "1.jpg"))

    (frame,), _ = frames_of(tmp_path)

    assert upright.shape == (512, 384, 3)
    assert frame.image.shape == (384, 512, 3)


def test_frames_can_be_read_again_and_drops_are_of_the_latest_pass(folder_of):
    folder = folder_of("1.jpg", "2.jpg")
    (folder / "2.jpg").write_bytes(b"")
    with open_source(str(folder)) as source:
        first, second = (len(list(source.frames())) for _ in range(2))

    assert (first, second) == (1, 1)
    assert source.drops == {"corrupt image": 1}


# --- what is broken


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.98])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_cut_image_is_counted_and_leaves_a_gap(folder_of, office, suffix, share):
    folder = folder_of("1.jpg", "3.jpg")
    _, content = cv2.imencode(suffix, cv2.imread(str(office[0])))
    (folder / f"2{suffix}").write_bytes(content.tobytes()[: int(share * len(content))])

    frames, source = frames_of(folder)

    assert [frame.index for frame in frames] == [0, 2]
    assert source.drops == {"corrupt image": 1}


def test_a_jpeg_whose_thumbnail_is_whole_and_whose_image_is_cut_is_corrupt(folder_of, office):
    folder = folder_of("1.jpg", "2.jpg")
    content = office[0].read_bytes()
    thumbnail = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = content[:2] + segment + content[2:]
    (folder / "1.jpg").write_bytes(whole + b"\0\0padding of the camera")
    (folder / "2.jpg").write_bytes(whole[:-2])

    frames, source = frames_of(folder)

    assert [frame.index for frame in frames] == [0]
    assert source.drops == {"corrupt image": 1}


def test_broken_links_pipes_and_texts_named_like_images_are_counted(folder_of):
    folder = folder_of("1.jpg")
    (folder / "2.jpg").symlink_to(folder / "gone.jpg")
    (folder / "4.jpg").write_text("<html>404</html>")
    os.mkfifo(folder / "3.jpg")  # not a file: reading it would wait for ever

    frames, source = frames_of(folder)

    assert [frame.index for frame in frames] == [0]
    assert source.names == ("1.jpg", "2.jpg", "4.jpg")
    assert source.drops == {"unreadable image": 1, "corrupt image": 1}


def test_a_folder_without_one_whole_image_can_not_be_read(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"")

    with pytest.raises(SourceError, match=r"none of the 1 images .*1 corrupt image"):
        frames_of(tmp_path)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(SourceError, match=r"holds no image, nothing; expected \.bmp.*rgb\.txt"):
        open_source(str(tmp_path))


def test_a_folder_of_folders_says_to_give_one_of_them(folder_of):
    folder = folder_of("1.jpg", under="drives/monday").parent

    with pytest.raises(SourceError, match=r"only monday/; .* give one of its folders"):
        open_source(str(folder))


# --- stamps


def test_without_stamps_frames_are_numbered_and_untimed(folder_of):
    frames, _ = frames_of(folder_of("001.jpg", "002.jpg"))

    assert [(frame.stamp_ns, frame.timed) for frame in frames] == [(0, False), (S, False)]


def test_names_in_seconds_and_in_nanoseconds_are_stamps(folder_of):
    seconds = folder_of("1305031229.528748123.jpg", "1305031229.6.jpg", under="seconds")
    nanoseconds = folder_of("1305031229528748123.jpg", "1305031229600000000.jpg", under="nanoseconds")

    for folder in (seconds, nanoseconds):
        frames, _ = frames_of(folder)
        assert [frame.stamp_ns for frame in frames] == [1305031229528748123, 1305031229600000000]
        assert all(frame.timed for frame in frames)


@pytest.mark.parametrize(
    "names",
    [
        ["1.5.jpg", "2.jpg"],
        ["123456789012345.jpg"],
        ["12345678901234567890.jpg"],
        ["9999999999999999999.jpg"],
        ["-1.5.jpg"],
        ["1e3.jpg"],
        ["frame_1.5.jpg"],
        ["٣.٥.jpg"],
    ],
)
def test_names_that_are_not_all_stamps_say_nothing_about_time(names):
    assert stamps_from_names(names) is None


def test_times_txt_wins_over_names_and_the_rate_over_both(folder_of):
    folder = folder_of("1.5.jpg", "2.5.jpg")
    assert stamps_s(folder) == [1.5, 2.5]

    (folder / "times.txt").write_text("# name stamp_s\n2.5.jpg 8\n1.5.jpg 7.25\nnot_kept.jpg 9\n")
    assert stamps_s(folder) == [7.25, 8]
    assert stamps_s(folder, rate_hz=4) == [0, 0.25]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ("1.jpg 7\n", "no line for 1 of 2 images, such as '2.jpg'"),
        ("1.jpg 7\n2.jpg\n", "line 2: '2.jpg' is no entry"),
        ("1.jpg 7\n2.jpg soon\n", "line 2: 'soon' is no stamp"),
        ("1.jpg 7\n2.jpg 1e99999\n", "line 2: '1e99999' is no stamp"),
        ("1.jpg 7\n2.jpg 1e40\n", "line 2: '1e40' is no stamp"),
        ("1.jpg 7\n2.jpg 6\n", "2.jpg is stamped 6.0.* the one before it 7.0"),
        ("../1.jpg 7\n", "line 1: '../1.jpg' leads out of the folder"),
        ("/etc/1.jpg 7\n", "line 1: '/etc/1.jpg' leads out of the folder"),
        ("1.jpg 7\n2.jpg \xff\n", "can't read"),
    ],
)
def test_a_bad_times_txt_is_refused_by_file_and_line(folder_of, times, words):
    folder = folder_of("1.jpg", "2.jpg")
    (folder / "times.txt").write_bytes(times.encode("latin-1"))

    with pytest.raises(SourceError, match=words) as refusal:
        open_source(str(folder))
    assert "times.txt" in str(refusal.value) or "2.jpg" in str(refusal.value)


def test_only_the_asked_part_of_the_recording_is_read_under_its_own_numbers(folder_of):
    folder = folder_of("10.0.jpg", "10.5.jpg", "11.0.jpg", "11.5.jpg")

    frames, source = frames_of(folder, from_s=0.5, to_s=1.0)

    assert [frame.index for frame in frames] == [1, 2]
    assert len(source) == 2
    assert len(source.names) == 4


def test_a_part_in_seconds_of_images_without_stamps_needs_a_rate(folder_of):
    folder = folder_of("1.jpg", "2.jpg", "3.jpg")

    with pytest.raises(SourceError, match="no stamps; give --rate-hz"):
        open_source(str(folder), SourceOptions(from_s=1))
    assert [frame.index for frame in frames_of(folder, from_s=0.5, rate_hz=2)[0]] == [1, 2]


def test_a_part_that_holds_no_image_says_how_long_the_recording_is(folder_of):
    with pytest.raises(SourceError, match=r"from 9 s to its end: the recording is 1\.5 s long"):
        open_source(str(folder_of("1.0.jpg", "2.5.jpg")), SourceOptions(from_s=9))


# --- rgb/ with depth/ and camera.yaml


def test_depth_of_the_same_name_in_millimetres_becomes_metres_with_nan_for_unknown(folder_of, write_depth):
    folder = folder_of("1.jpg", "2.jpg", under="walk/rgb").parent
    write_depth(folder / "depth" / "1.png", 1500)

    (first, second), source = frames_of(folder)

    assert np.isnan(first.depth_m[0, 0])
    assert (first.depth_m.ravel()[1:] == 1.5).all()
    assert second.depth_m is None
    assert source.drops == {"no depth near the image in time": 1}
    assert frames_of(folder, depth_scale=500)[0][0].depth_m[1, 1] == 3


def test_depth_of_other_names_is_the_nearest_in_time(folder_of, write_depth):
    folder = folder_of("5.00.jpg", "5.10.jpg", under="walk/rgb").parent
    write_depth(folder / "depth" / "5.01.png", 1000)
    write_depth(folder / "depth" / "5.115.png", 2000)
    write_depth(folder / "depth" / "5.13.png", 3000)

    assert [frame.depth_m[1, 1] for frame in frames_of(folder)[0]] == [1, 2]
    assert [frame.depth_m is None for frame in frames_of(folder, sync_tolerance_s=0.012)[0]] == [False, True]


def test_a_rate_numbers_images_anew_but_depth_still_goes_by_their_own_times(folder_of, write_depth):
    folder = folder_of("5.00.jpg", "5.10.jpg", under="walk/rgb").parent
    write_depth(folder / "depth" / "5.11.png", 2000)

    first, second = frames_of(folder, rate_hz=1)[0]

    assert (first.depth_m, second.depth_m[1, 1], second.stamp_ns) == (None, 2, S)


def test_depth_that_belongs_to_no_image_is_refused(folder_of, write_depth):
    folder = folder_of("a.jpg", under="walk/rgb").parent
    write_depth(folder / "depth" / "b.png", 1000)

    with pytest.raises(SourceError, match=r"none of the 1 images .* same names or stamps within 0.02 s"):
        open_source(str(folder))


def test_depth_that_is_broken_or_of_another_size_is_counted_and_the_image_kept(folder_of, write_depth, office):
    folder = folder_of("1.jpg", "2.jpg", "3.jpg", "4.jpg", under="walk/rgb").parent
    for name in "1234":
        write_depth(folder / "depth" / f"{name}.png", 1000, size=(192, 256) if name == "2" else (384, 512))
    (folder / "depth" / "3.png").write_bytes((folder / "depth" / "3.png").read_bytes()[:200])
    cv2.imwrite(str(folder / "depth" / "4.png"), cv2.imread(str(office[0])))  # 8 bits and three channels

    frames, source = frames_of(folder)

    assert [frame.depth_m is None for frame in frames] == [False, True, True, True]
    assert source.drops == {"depth of another size than the image": 1, "corrupt or unreadable depth": 2}


def test_camera_yaml_calibrates_the_images(folder_of, write_camera):
    folder = folder_of("1.jpg", under="walk/rgb").parent
    write_camera(folder)

    (frame,), _ = frames_of(folder)

    assert (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy) == (400, 401, 250, 190)
    assert frame.camera.distortion == (0.1, 0, 0, 0, 0)


def test_rectified_images_have_the_intrinsics_of_the_projection_and_no_lens(folder_of, write_camera):
    folder = folder_of("1.jpg", under="walk/rgb").parent
    write_camera(folder, distortion=0)

    camera = read_camera_file(folder / "camera.yaml")

    assert (camera.fx, camera.fy, camera.cx, camera.cy, camera.distortion) == (300, 300, 256, 192, ())


def test_a_calibration_of_another_image_size_is_left_out_and_counted(folder_of, write_camera):
    folder = folder_of("1.jpg", under="walk/rgb").parent
    write_camera(folder, width=640)

    (frame,), source = frames_of(folder)

    assert frame.camera is None
    assert source.drops == {"calibration of another size than the image": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("image_width: 512", ""), "image_width is None"),
        (("image_width: 512", "image_width: wide"), "image_width is 'wide'"),
        (("image_width: 512", "image_width: -512"), "expected all positive"),
        (("plumb_bob", "fish_eye"), "fish_eye"),
        (("data: [400.0,", "data: [.nan,"), "NaN"),
        (("data: [400.0,", "data: ["), "camera_matrix has 8 numbers, not 9"),
        (("data: [0.1,", "data: [ten,"), "distortion_coefficients has no list of numbers"),
        (("{rows: 1", "{{rows: 1"), "can't use"),
        (("camera_name: front", "camera_name: !!python/object/apply:os.system ['true']"), "can't use"),
        (("camera_name: front", "camera_name: " + "[" * 20_000), "can't use"),
    ],
)
def test_a_bad_calibration_is_refused_by_name(tmp_path, write_camera, change, words):
    write_camera(tmp_path)
    path = tmp_path / "camera.yaml"
    path.write_text(path.read_text().replace(*change))

    with pytest.raises(CameraFileError, match=words) as refusal:
        read_camera_file(path)
    assert "camera.yaml" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_an_uncalibrated_camera_is_none(tmp_path, write_camera):
    write_camera(tmp_path)
    path = tmp_path / "camera.yaml"
    path.write_text(path.read_text().replace("data: [400.0", "data: [0").replace("data: [300.0", "data: [0"))

    assert read_camera_file(path) is None


# --- TUM RGB-D


def test_a_tum_folder_has_listed_stamps_depth_within_20_ms_and_truth(tum):
    frames, source = frames_of(tum)

    assert [frame.stamp_ns for frame in frames] == [100 * S, 100 * S + S // 10, 100 * S + S // 5, 100 * S + 3 * S // 10]
    assert [frame.depth_m is not None for frame in frames] == [True, True, False, False]
    assert frames[0].depth_m[1, 1] == 2
    assert source.drops == {"no depth near the image in time": 2}
    assert source.truth.at(frames[1].stamp_ns, S).translation[0] == pytest.approx(1)
    assert all(frame.t_odom_camera is None for frame in frames)


def test_the_tum_list_wins_over_the_folders_content(tum):
    (tum / "times.txt").write_text("nonsense")
    (tum / "rgb.txt").write_text("7.5 rgb/b.jpg\n7.6 rgb/d.jpg\n")
    shutil.rmtree(tum / "depth")
    (tum / "depth.txt").unlink()

    frames, source = frames_of(tum)

    assert source.names == ("b.jpg", "d.jpg")
    assert [frame.stamp_ns for frame in frames] == [7_500_000_000, 7_600_000_000]


def test_a_listed_image_that_is_not_there_is_counted(tum):
    (tum / "rgb" / "b.jpg").unlink()

    frames, source = frames_of(tum)

    assert [frame.index for frame in frames] == [0, 2, 3]
    assert source.drops["unreadable image"] == 1


@pytest.mark.parametrize(
    ("list_name", "content", "words"),
    [
        ("rgb.txt", "100.0 ../a.jpg\n", "line 1: '../a.jpg' leads out"),
        ("rgb.txt", "100.0 rgb/../../a.jpg\n", "leads out"),
        ("rgb.txt", "# stamps\n100.0 /etc/passwd\n", "line 2: '/etc/passwd' leads out"),
        ("rgb.txt", "100.0\n", "line 1: '100.0' is no entry"),
        ("rgb.txt", "soon rgb/a.jpg\n", "'soon' is no stamp"),
        ("rgb.txt", "", "lists 0 images"),
        ("rgb.txt", "100.0 elsewhere/a.jpg\n", "lists 1 images and none of them"),
        ("rgb.txt", "100.1 rgb/a.jpg\n100.0 rgb/b.jpg\n", "b.jpg is stamped 100.0"),
        ("depth.txt", "100.0 ../../a.png\n", "leads out"),
        ("depth.txt", "900.0 depth/a.png\n", r"none of the 1 entries of .*depth.txt is within 0.02 s"),
        ("groundtruth.txt", "100.0 0 0 zero 0 0 0 1\n", "line 1"),
        ("groundtruth.txt", "1e40 0 0 0 0 0 0 1\n", "groundtruth.txt"),
        ("camera.yaml", "[]", "camera.yaml"),
    ],
)
def test_bad_tum_files_are_refused(tum, list_name, content, words):
    (tum / list_name).write_text(content)

    with pytest.raises(SourceError, match=words):
        open_source(str(tum))


def test_the_real_rgbd_recording_is_whole(shared_data):
    with_depth = with_truth = 0
    unknown = []
    with open_source(str(shared_data / "fr1_rpy")) as source:
        for frame in source.frames():
            with_depth += frame.depth_m is not None
            with_truth += source.truth.at(frame.stamp_ns, 20_000_000) is not None
            unknown.append(np.isnan(frame.depth_m).mean())
            assert frame.timed

    assert len(source) == len(unknown) == with_depth == 347
    assert with_truth == 346
    assert len(frame.camera.distortion) == 5
    assert frame.stamp_ns == 1305031253565670000
    assert 0.1 < np.mean(unknown) < 0.3
    assert 0.5 < np.nanmedian(frame.depth_m) < 3
    assert not source.drops


@pytest.mark.parametrize(
    ("name", "count"), [("rtabmap_samples", 84), ("donkeycar", 1000), ("tower_floors", 373), ("campus_lap", 171)]
)
def test_the_real_flat_recordings_open(shared_data, name, count):
    with open_source(str(shared_data / name / "images")) as source:
        first = next(source.frames())

    assert len(source) == len(source.names) == count
    assert first.index == 0
    assert not first.timed


# --- what holds for all


@given(st.lists(st.text("aB0_-.é", min_size=1, max_size=6), unique=True, min_size=1, max_size=8))
def test_the_order_is_that_of_the_names_whatever_they_are(tmp_path_factory, stems):
    folder = tmp_path_factory.mktemp("any")
    names = [f"x{stem}.png" for stem in stems]
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((2, 2, 3), np.uint8))

    frames, source = frames_of(folder)

    assert list(source.names) == sorted(names)
    assert [frame.index for frame in frames] == list(range(len(names)))


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
    st.integers(0, 20),
)
def test_the_nearest_stamp_is_the_one_a_plain_search_finds(stamps, others, tolerance):
    found = nearest_stamps(stamps, others, tolerance)

    for stamp, position in zip(stamps, found.tolist(), strict=True):
        least = min(abs(other - stamp) for other in others)
        if least > tolerance:
            assert position == -1
        else:
            assert others[position] == min(other for other in others if abs(other - stamp) == least)
