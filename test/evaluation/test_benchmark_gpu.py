"""The benchmark of the GPU: what it counts is checked on the processor; the whole runs only where there is a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="no torch here")

from vpr_ros.encoders import EncoderError  # noqa: E402
from vpr_ros.evaluation.benchmark_gpu import bench_gpu  # noqa: E402
from vpr_ros.evaluation.peers.mixvpr_eager import random_mixvpr  # noqa: E402
from vpr_ros.evaluation.peers.torch_gpu import Speed, Work, eager, speed_of, work_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
HAS_GPU = torch.cuda.is_available()


def test_a_convolution_costs_two_operations_a_weight_and_position():
    layer = torch.nn.Conv2d(3, 8, kernel_size=5, padding=2, bias=False).eval()

    work = work_of(layer, (1, 3, 10, 20))

    assert work.flops == 2 * 8 * 3 * 25 * 200
    assert work.values == 8 * 3 * 25 + 3 * 200 + 8 * 200


def test_mixvpr_512_costs_a_resnet_50_without_its_last_stage_and_four_mixers():
    """torchvision states 4.09 G multiplications at 224 x 224; the last stage has 0.81 G of them."""
    network, recipe = random_mixvpr()

    work = work_of(network, (1, 3, recipe.height, recipe.width))

    backbone, mixers = 3.28e9 * (320 / 224) ** 2, 4 * 2 * 1024 * 400**2
    assert work.flops == pytest.approx(2 * (backbone + mixers), rel=0.01)


def test_the_floor_is_the_slower_of_computing_and_memory():
    speed = Speed(flops_per_s=1e12, bytes_per_s=1e9)

    assert speed.floor_ms(Work(flops=2_000_000_000, values=1_000), bytes_a_value=2) == pytest.approx(2.0)
    assert speed.floor_ms(Work(flops=1_000, values=1_500_000), bytes_a_value=2) == pytest.approx(3.0)


def test_the_speed_of_a_device_is_measured():
    speed = speed_of("cpu", torch.float32, side=256, values=2**20)

    assert 1e8 < speed.flops_per_s < 1e14
    assert 1e7 < speed.bytes_per_s < 1e13


def test_the_peer_is_the_network_as_it_is():
    network, recipe = random_mixvpr()
    images = np.random.default_rng(0).standard_normal((2, 3, recipe.height, recipe.width), np.float32)

    with torch.inference_mode():
        expected = network(torch.from_numpy(images))

    assert np.allclose(eager(network, "cpu")(images), expected.numpy(), atol=1e-6)


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
def test_without_a_gpu_nothing_is_measured_and_that_is_said():
    with pytest.raises(EncoderError, match="finds no NVIDIA GPU, so nothing was measured"):
        bench_gpu()


def test_a_broken_torch_is_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    done = subprocess.run(
        [sys.executable, "-m", "vpr_ros.cli", "bench", "gpu"], env=environment, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "needs torch with CUDA, which can't be imported (libcudart.so.13" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not HAS_GPU, reason="no NVIDIA GPU here")
def test_on_a_gpu_one_image_and_sixteen_stand_beside_plain_torch():
    benchmark = bench_gpu(repeats=5)

    plain, one, many = benchmark.rows
    assert plain.peer
    assert one.more["cosine_to_eager"] > 0.999
    assert one.more["floor_ms"] < one.p50_ms < many.p50_ms
    assert many.more["images_per_s"] > 0
