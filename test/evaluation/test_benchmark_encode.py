"""The benchmark of encoding, with few images: the figures mean nothing, the shape and the parity do."""

import importlib.util

import pytest

from vpr_ros.encoders import EncoderError
from vpr_ros.evaluation.benchmark_encode import bench_encode


@pytest.fixture(scope="module")
def benchmark():
    return bench_encode("gem-lite", repeats=2)


def test_ours_stands_first_beside_the_usual_ways(benchmark):
    ours = benchmark.rows[0]
    assert "gem-lite" in ours.what
    assert "640 x 480" in ours.what
    assert not ours.peer
    assert all(0 < row.p50_ms <= row.p95_ms for row in benchmark.rows)
    assert all(row.more["threads"] == 2 for row in benchmark.rows)
    (opencv,) = [row for row in benchmark.rows if row.what == "cv2.resize and onnxruntime"]
    assert opencv.peer
    assert benchmark.ratios["cv2.resize and onnxruntime / ours"] == pytest.approx(opencv.p50_ms / ours.p50_ms)


def test_every_engine_that_is_here_has_a_row_and_its_process_stays_small_without_torch(benchmark):
    ours = {row.what.split(",")[0]: row for row in benchmark.rows if not row.peer}
    for engine in ("onnxruntime", *(["openvino"] if importlib.util.find_spec("openvino") else [])):
        row = ours[f"gem-lite on {engine}"]
        assert row.more["torch"] == "not loaded"
        assert 0 < row.more["peak_memory_mib"] <= 400
    assert all(row.more["least_cosine_to_ours"] > 0.99 for row in ours.values())


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="no torchvision here")
def test_plain_mixvpr_in_torch_stands_beside_our_engines(benchmark):
    rows = {row.what.split(", 640")[0]: row for row in benchmark.rows}
    eager, ours = rows["mixvpr-r50-512 in torch, eager"], rows["mixvpr-r50-512 on onnxruntime"]
    assert eager.peer
    assert eager.more["least_cosine_to_ours"] > 0.999
    assert ours.more["peak_memory_mib"] <= 400
    ratio = benchmark.ratios["mixvpr-r50-512 in torch, eager / mixvpr-r50-512 on onnxruntime"]
    assert ratio == pytest.approx(eager.p50_ms / ours.p50_ms)
    assert any(name.startswith("mixvpr-r50-512 in torch, eager / gem-lite on") for name in benchmark.ratios)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="no torchvision here")
def test_the_network_in_torch_gives_our_descriptor(benchmark):
    (torch_row,) = [row for row in benchmark.rows if row.what == "torchvision transforms and torch"]
    assert torch_row.more["least_cosine_to_ours"] > 0.999


def test_an_encoder_that_is_not_there_is_refused():
    with pytest.raises(EncoderError, match="gem-lite"):
        bench_encode("gem-light")
