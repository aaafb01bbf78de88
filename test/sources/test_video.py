"""Videos: frames, times, what is cut and what can't be read."""

import shutil

import cv2
import numpy as np
import pytest

from vpr_ros.sources import SourceError, SourceOptions, open_source

S = 1_000_000_000
FRAMES = 12


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, office):
    """Twelve real images at 10 Hz as a video, in a file of the given kind."""

    def record(suffix, codec="MJPG"):
        path = folder / f"drive{suffix}"
        if not path.exists():
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), 10, (512, 384))
            assert writer.isOpened()
            for image in office[:FRAMES]:
                writer.write(cv2.imread(str(image)))
            writer.release()
        return path

    folder = tmp_path_factory.mktemp("videos")
    return record


@pytest.fixture
def video(recorded):
    return recorded(".avi")


def frames_of(path, **options):
    with open_source(str(path), SourceOptions(**options)) as source:
        return list(source.frames()), source


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "MJPG"), (".mkv", "MJPG"), (".mp4", "mp4v")])
def test_a_video_gives_its_images_in_rgb_at_its_own_times(recorded, office, suffix, codec):
    frames, source = frames_of(recorded(suffix, codec))

    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.stamp_ns for frame in frames] == pytest.approx([n * S // 10 for n in range(FRAMES)], abs=1_000_000)
    assert all(frame.timed for frame in frames)
    for frame, image in zip(frames, office, strict=False):
        difference = frame.image.astype(int) - cv2.imread(str(image))[:, :, ::-1]
        assert np.abs(difference).mean() < 6  # compressed once more; the channels swapped differ by three times that
    assert len(source) == FRAMES
    assert not source.drops


def test_a_rate_stamps_the_frames_anew(video):
    frames, _ = frames_of(video, rate_hz=4)

    assert [frame.stamp_ns for frame in frames[:3]] == [0, S // 4, S // 2]


def test_only_the_asked_part_is_read_under_its_own_numbers(video):
    frames, source = frames_of(video, from_s=0.25, to_s=0.65)

    assert [frame.index for frame in frames] == [3, 4, 5, 6]
    assert abs(len(source) - 4) <= 1
    assert not source.drops


def test_a_video_can_be_read_again(video):
    with open_source(str(video)) as source:
        first, second = ([frame.stamp_ns for frame in source.frames()] for _ in range(2))

    assert first == second


def test_a_part_behind_the_end_says_how_long_the_video_is(video):
    with pytest.raises(SourceError, match=r"from 60 s to its end: the recording is 1\.1 s long"):
        frames_of(video, from_s=60)


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_of_a_cut_video_the_readable_part_is_given_and_the_rest_counted(recorded, tmp_path, suffix):
    content = recorded(suffix).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: len(content) // 2])

    frames, source = frames_of(cut)

    assert 3 <= len(frames) <= 7
    assert source.drops == {"missing at the end of the video": FRAMES - len(frames)}


def test_frames_without_times_of_their_own_follow_the_rate(recorded, tmp_path):
    """A bare stream of JPEGs has no container that could hold times."""
    stream = tmp_path / "drive.mjpeg"
    stream.write_bytes(
        b"".join(cv2.imencode(".jpg", np.full((64, 64, 3), 20 * n, np.uint8))[1].tobytes() for n in range(5))
    )

    frames, _ = frames_of(stream)

    stamps_ns = [frame.stamp_ns for frame in frames]
    assert len(frames) == 5
    assert stamps_ns == sorted(set(stamps_ns))
    assert [frame.stamp_ns for frame in frames_of(stream, rate_hz=2)[0]] == [n * S // 2 for n in range(5)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"RIFF" + bytes(300), "can't be opened as a video"),
        (b"\0" * 5000, "can't be opened as a video"),
    ],
)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path, capfd, content, words):
    path = tmp_path / "drive_001.avi"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=words):
        open_source(str(path))
    assert capfd.readouterr().err == ""


def test_an_mp4_that_was_never_finished_is_refused_with_advice(recorded, tmp_path):
    whole = recorded(".mp4", "mp4v").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # its index would come at the end

    with pytest.raises(SourceError, match="ffmpeg"):
        open_source(str(tmp_path / "cut.mp4"))


def test_a_video_that_is_gone_when_it_is_read_is_an_error(video, tmp_path):
    shutil.copyfile(video, tmp_path / "drive.avi")
    with open_source(str(tmp_path / "drive.avi")) as source:
        (tmp_path / "drive.avi").unlink()

        with pytest.raises(SourceError, match="can't be opened"):
            next(source.frames())
