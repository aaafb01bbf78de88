"""``vpr_ros weights`` as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "encoders"))

from file_server import FileServer  # noqa: E402 - lies beside the encoders' tests

NAME, FILE = "cosplace-vgg16-64", "VGG16_64_cosplace.pth"
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def here(tmp_path):
    """Environment: weights under ``tmp_path``, no proxy before the test's own server."""
    return {"VPR_ROS_WEIGHTS": str(tmp_path / "weights"), "no_proxy": "127.0.0.1"}


@pytest.mark.parametrize("command", [("weights",), ("weights", "list"), ("weights", "fetch")], ids=" ".join)
def test_each_command_explains_itself(vpr_ros, command):
    done = vpr_ros(*command, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: vpr_ros {' '.join(command)}")


def test_list_says_what_is_here_and_where_the_rest_comes_from(vpr_ros, here):
    done = vpr_ros("weights", "list", "--json", "-", **here)

    listed = {weights["name"]: weights for weights in json.loads(done.stdout)["weights"]}
    assert done.returncode == 0
    assert listed["gem-lite"]["state"] == "ready"
    assert listed["gem-lite"]["path"].endswith("gem-lite.onnx")
    assert listed[NAME]["state"] == "fetch"
    assert listed[NAME]["licence"] == "MIT"
    assert listed["mixvpr-512"]["state"] == "by hand"
    assert "drive.google.com" in listed["mixvpr-512"]["where"]
    assert listed["megaloc"]["needs_export"]


def test_list_prints_a_line_a_network(vpr_ros, here):
    done = vpr_ros("weights", "list", **here)

    assert done.returncode == 0
    for name in ("gem-lite", "mixvpr-128", "netvlad-pittsburgh-512", NAME, "eigenplaces-resnet18-256", "cricavpr"):
        assert any(line.startswith(name) for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", [("weights", "list"), ("encoders",)], ids=" ".join)
def test_a_file_that_can_not_be_opened_is_called_broken(vpr_ros, here, tmp_path, command):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{NAME}.onnx").write_bytes(b"half a file")

    done = vpr_ros(*command, **here)

    states = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(f"{NAME} ")]
    assert states == ["broken"]


def test_fetch_prints_the_file_and_says_licence_sha256_and_what_next(vpr_ros, here, tmp_path):
    with FileServer(CONTENT) as server:
        done = vpr_ros("weights", "fetch", NAME, "--from", server.address, **here)

    assert done.returncode == 0
    assert done.stdout.strip() == str(tmp_path / "weights" / FILE)
    assert (tmp_path / "weights" / FILE).read_bytes() == CONTENT
    for words in ("1.0 MB", "sha256 ", "licence MIT", f"--encoder {NAME}"):
        assert words in done.stderr


def test_an_interrupted_fetch_goes_on_where_it_stopped(vpr_ros, here, tmp_path):
    """Ctrl-C in the middle of a download, then the same command again."""
    with FileServer(CONTENT) as server:
        server.pause_after = 500_000
        command = [sys.executable, "-m", "vpr_ros.cli", "weights", "fetch", NAME, "--from", server.address]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **here}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        part = tmp_path / "weights" / f"{FILE}.part"
        while not part.exists() or part.stat().st_size < 500_000:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == "vpr_ros: interrupted\n"
        assert process.returncode == 130
        server.pause_after = None

        done = vpr_ros("weights", "fetch", NAME, "--from", server.address, "--json", "-", **here)

    assert server.ranges == [None, "bytes=500000-"]
    assert json.loads(done.stdout)["bytes"] == len(CONTENT)
    assert (tmp_path / "weights" / FILE).read_bytes() == CONTENT
    assert not part.exists()


def test_a_wrong_sha256_is_one_line_status_2_and_leaves_nothing(vpr_ros, here, tmp_path):
    with FileServer(CONTENT) as server:
        done = vpr_ros("weights", "fetch", NAME, "--from", server.address, "--sha256", "0" * 64, **here)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "weights").iterdir()) == []


def test_without_a_network_it_is_one_line_that_says_what_to_put_where(vpr_ros, here, tmp_path):
    done = vpr_ros("weights", "fetch", NAME, "--from", "http://127.0.0.1:1/a.pth", **here)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "weights" / FILE) in done.stderr


def test_weights_without_a_public_address_are_told_with_where_and_how(vpr_ros, here):
    done = vpr_ros("weights", "fetch", "mixvpr-512", **here)

    assert done.returncode == 2
    for words in ("drive.google.com", "resnet50_MixVPR_512_channels(256)_rows(2).ckpt", "browser"):
        assert words in done.stderr


def test_an_export_at_a_size_that_is_none_is_refused(vpr_ros):
    done = vpr_ros("export", NAME, "--out", "x.onnx", "--size", "640,480")

    assert done.returncode == 2
    assert "848x480" in done.stderr


def test_a_torchscript_file_named_as_encoder_is_called_a_program_on_standard_error(vpr_ros, tmp_path, images):
    torch = pytest.importorskip("torch")

    class Mean(torch.nn.Module):
        def forward(self, image):
            means = image.mean(dim=(2, 3))
            return means / means.norm(dim=1, keepdim=True)

    torch.jit.save(torch.jit.trace(Mean(), torch.zeros(1, 3, 32, 32)), tmp_path / "mine.pt")
    (tmp_path / "mine.yaml").write_text(
        "recipe: {name: mine, height: 32, width: 32, interpolation: bilinear, mean: [0.1, 0.1, 0.1], "
        "std: [0.5, 0.5, 0.5], dim: 3, licence: mine}\n"
    )

    done = vpr_ros("retrieve", images / "office", images / "office", "--tolerance", "0", "--encoder", "mine.pt")

    assert done.returncode == 0, done.stderr
    assert "mine.pt' is TorchScript, a program" in done.stderr
