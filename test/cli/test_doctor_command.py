"""``vpr_ros doctor`` where libraries are installed and broken."""

from pathlib import Path

from vpr_ros.evaluation import check_installation

ROOT = Path(__file__).resolve().parents[2]


def test_broken_libraries_are_findings_and_end_nothing(vpr_ros, tmp_path):
    for library in ("openvino", "torch"):
        (tmp_path / library).mkdir()
        (tmp_path / library / "__init__.py").write_text("raise OSError('libbroken.so: cannot open shared object file')")

    done = vpr_ros("doctor", PYTHONPATH=f"{tmp_path}:{ROOT}", VPR_ROS_CACHE=tmp_path / "cache")

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for engine in ("engine openvino ", "engine torch_cpu "):
        (finding,) = (line for line in done.stdout.splitlines() if line[9:].startswith(engine))
        assert finding.startswith("optional")
        assert "libbroken.so" in finding
    (auto,) = (line for line in done.stdout.splitlines() if line[9:].startswith("engine auto"))
    assert "onnxruntime: " in auto


def test_a_checkpoint_is_not_said_to_have_been_compared_with_a_recipe(tmp_path, monkeypatch):
    (tmp_path / "VGG16_64_cosplace.pth").write_bytes(b"")
    monkeypatch.setenv("VPR_ROS_WEIGHTS", str(tmp_path))

    finding = next(finding for finding in check_installation() if finding.what == "weights cosplace-vgg16-64")

    assert finding.seen.endswith("cosplace.pth, a checkpoint, which runs with torch")
