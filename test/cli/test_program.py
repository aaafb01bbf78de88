"""The program as a whole: help, start-up, completion, interruption, care commands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "loops",
    "retrieve",
    "relocalize",
    "evaluate",
    "calibrate",
    "train",
    "encoders",
    "export",
    "weights",
    "map",
    "sources",
    "doctor",
    "bench",
    "completion",
)
HEAVY = {"numpy", "cv2", "faiss", "onnxruntime", "torch", "rosbags", "vizdoom", "jinja2", "rich", "rclpy", "yaml"}


def test_help_names_every_command(vpr_ros):
    done = vpr_ros("--help")

    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", [(c,) for c in COMMANDS] + [("map", "info"), ("bench", "pipeline")], ids=" ".join)
def test_each_command_explains_itself(vpr_ros, command):
    done = vpr_ros(*command, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: vpr_ros {' '.join(command)}")


def test_help_loads_nothing_heavy():
    code = "import sys; from vpr_ros.cli.main import build_parser; build_parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0
    assert not HEAVY & {module.split(".")[0] for module in done.stdout.split()}


@pytest.mark.parametrize(
    "load", ["import vpr_ros.nodes", "from vpr_ros.cli.main import main; main(['sources', '--json', '/dev/null'])"]
)
def test_numpy_starts_no_thread_that_spins(load):
    """OpenBLAS starts its threads when numpy is loaded, one less than it takes."""
    code = f"import os, sys; {load}; import numpy; print(len(os.listdir('/proc/self/task')))"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)

    assert done.stdout.split()[-1] == "1"


def test_a_wrong_option_is_one_line_and_status_2(vpr_ros):
    done = vpr_ros("loops", "--speed", "9")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_the_shell_completes_commands_and_encoder_names(vpr_ros, tmp_path):
    def completions(line):
        # What argcomplete's shell code does: the words come back on file descriptor 8.
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_SHELL": "bash",
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_TYPE": "9",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "words"),
        }
        subprocess.run([sys.executable, "-m", "vpr_ros.cli.main"], env=environment, timeout=30)
        return (tmp_path / "words").read_text().split("\013")

    assert completions("vpr_ros lo") == ["loops"]
    assert "gem-lite" in completions("vpr_ros loops here --encoder ")


def test_completion_prints_what_the_shell_evaluates(vpr_ros):
    done = vpr_ros("completion")

    assert done.returncode == 0
    assert "vpr_ros" in done.stdout
    assert subprocess.run(["bash", "-n"], input=done.stdout, text=True).returncode == 0


def test_ctrl_c_ends_with_130_and_one_line(images, tmp_path):
    command = [sys.executable, "-m", "vpr_ros.cli", "loops", "sim:", "--map", str(tmp_path / "m.vprmap")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "m.vprmap" / "map.sqlite3").exists():
        assert process.poll() is None
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)

    assert process.returncode == 130
    assert words == "vpr_ros: interrupted\n"


def test_a_reader_that_leaves_early_is_no_error(vpr_ros):
    code = f"'{sys.executable}' -m vpr_ros.cli encoders | true; exit ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode in (0, 141)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_find_no_space_are_one_line_and_status_2():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vpr_ros.cli", "encoders"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_map_info_and_check_read_a_stored_map(vpr_ros, images):
    vpr_ros("loops", images / "office", "--map", "office.vprmap")

    info, check = (
        json.loads(vpr_ros("map", what, "office.vprmap", "--json", "-").stdout) for what in ("info", "check")
    )

    assert (info["places"], len(info["sessions"]), info["recipe"]["name"]) == (28, 1, "mixvpr-lite")
    assert check["problems"] == []


def test_map_check_finds_a_damaged_place(vpr_ros, images, tmp_path):
    import sqlite3

    vpr_ros("loops", images / "office", "--map", "office.vprmap")
    with sqlite3.connect(tmp_path / "office.vprmap" / "map.sqlite3") as database:
        database.execute("UPDATE places SET thumbnail = x'00ff' WHERE id = 3")
    database.close()

    done = vpr_ros("map", "check", "office.vprmap")

    assert done.returncode == 1
    assert "thumbnail of place 3" in done.stdout


def test_map_info_of_no_map_is_status_2(vpr_ros, tmp_path):
    done = vpr_ros("map", "info", "absent.vprmap")

    assert done.returncode == 2
    assert "absent.vprmap" in done.stderr


def test_encoders_tells_what_is_ready_and_how_to_get_the_rest(vpr_ros, tmp_path):
    done = vpr_ros("encoders", "--json", "-", VPR_ROS_WEIGHTS=str(tmp_path))

    encoders = {encoder["name"]: encoder for encoder in json.loads(done.stdout)["encoders"]}
    assert encoders["gem-lite"]["present"]
    assert encoders["gem-lite"]["dim"] == 320
    assert not encoders["mixvpr-512"]["present"]
    assert "vpr_ros export mixvpr-512" in encoders["mixvpr-512"]["advice"]


def test_doctor_runs_an_inference_and_finds_this_machine_fit(vpr_ros):
    done = vpr_ros("doctor", "--json", "-")

    checkup = json.loads(done.stdout)
    findings = {finding["what"]: finding for finding in checkup["findings"]}
    assert done.returncode == 0
    assert checkup["fit"] is True
    assert findings["engine onnxruntime"]["state"] == "ok"
    assert findings["weights gem-lite"]["state"] == "ok"
    assert all(finding["advice"] for finding in findings.values() if finding["state"] == "missing")


def test_sources_lists_routes_that_can_be_driven(vpr_ros):
    done = vpr_ros("sources")

    assert done.returncode == 0
    assert "sim:" in done.stdout


def test_bench_pipeline_measures_us_and_a_peer(vpr_ros, images):
    done = vpr_ros("bench", "pipeline", images / "office", "--json", "-")

    result = json.loads(done.stdout)
    assert list(result) == ["bench", "machine", "rows", "ratios"]
    assert {row["peer"] for row in result["rows"]} == {True, False}
    assert all(0 < row["p50_ms"] <= row["p95_ms"] for row in result["rows"] if row["what"] != "select")
    assert all(ratio > 0 for ratio in result["ratios"].values())
