"""Libraries that are there and broken: one line, as where they are missing."""

import os
import subprocess
import sys

import pytest
import yaml
from made_up_places import small_values

pytest.importorskip("pytorch_metric_learning")


@pytest.mark.parametrize("library", ["torch", "onnx", "pytorch_metric_learning", "tensorboard"])
def test_a_broken_library_is_one_line_that_names_it(manifest_folder, library):
    (manifest_folder / "broken").mkdir()
    (manifest_folder / "broken" / f"{library}.py").write_text('raise OSError("lib.so: bad ELF\\nand more")')
    config = manifest_folder / "small.yaml"
    config.write_text(yaml.safe_dump(small_values(tensorboard=True, cache={"enabled": False})))
    command = ("-m", "vpr_ros.cli", "train", config, "--data", manifest_folder, "--out", manifest_folder / "out")

    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(manifest_folder / "broken"), *sys.path))},
    )

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "lib.so: bad ELF; 'pip install" in done.stderr
    assert library.replace("_", "-") in done.stderr
