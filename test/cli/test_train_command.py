"""``vpr_ros train`` as users start it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

CONFIG = {
    "name": "mine",
    "licence": "CC0-1.0",
    "network": {
        "backbone": "efficientnet-lite0",
        "input_size": 96,
        "heads": [{"kind": "mixvpr", "dim": 16, "depth": 1}],
    },
    "data": {"train": [{"kind": "photos", "path": "office"}]},
    "freeze_through": "blocks.10",
    "sampling": {"places": 4, "views": 2, "steps": 2},
    "epochs": 1,
    "threads": 1,
}


def written(folder, **over):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(CONFIG | over))
    return path


def test_a_config_becomes_an_encoder(vpr_ros, images, tmp_path):
    done = vpr_ros("train", written(tmp_path), "--data", images, "--out", tmp_path / "out", "--json", "-")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["name"], result["corrupt"], len(result["epochs"])) == ("mine", 0, 2)
    assert "epoch 1: loss" in done.stderr
    found = vpr_ros("retrieve", images / "office", images / "office", "--tolerance", 0, "--encoder", result["onnx"])
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("over", "arguments", "words"),
    [
        ({"epoch": 3}, [], ["unknown epoch", "epochs"]),
        ({}, ["--data", "nowhere"], ["no folder", "nowhere"]),
        ({}, ["--resume"], ["no checkpoint"]),
        ({"init_from": "gone.pt"}, [], ["gone.pt"]),
        ({"freeze_through": "blocks.77"}, [], ["blocks.77", "blocks.10"]),
        ({"backbone_weights": "mine.yaml"}, [], ["mine.yaml"]),
    ],
)
def test_what_can_not_be_trained_is_one_line_and_status_2(vpr_ros, images, tmp_path, over, arguments, words):
    given = ["--data", images, *arguments]

    done = vpr_ros("train", written(tmp_path, **over), *given, "--out", tmp_path / "out")

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


# ``vpr_ros train`` that leaves behind what each process drew and learned.
TOLD_BY_EACH = """
import sys
import torch
from vpr_ros.cli.main import main
from vpr_ros.training.trainer import Trainer

learn = Trainer._learn
def told(self, batch):
    loss = learn(self, batch)
    torch.save({"labels": batch.classes, "network": self.network.state_dict()}, f"{sys.argv[-1]}.{self._process.rank}")
    return loss
Trainer._learn = told
sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_learn_the_same_weights_from_other_batches(images, tmp_path):
    """torch's own launcher, two processes on the processor: only the first writes."""
    pytest.importorskip("torch.distributed.run")
    (tmp_path / "told.py").write_text(TOLD_BY_EACH)
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, tmp_path / "told.py", "train")
    options = (written(tmp_path), "--data", images, "--out", tmp_path / "out")

    done = subprocess.run(
        [sys.executable, *map(str, (*command, *options))],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).resolve().parents[2],
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mine.onnx") == 1
    assert done.stderr.count("epoch 1: loss") == 1
    first, second = (torch.load(tmp_path / f"out.{rank}", weights_only=True) for rank in (0, 1))
    assert not torch.equal(first["labels"], second["labels"])
    assert all(torch.equal(value, second["network"][name]) for name, value in first["network"].items())
