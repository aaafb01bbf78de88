"""The benchmark of encoding, with few images: the figures mean nothing, the shape and the parity do."""

import importlib.util

import pytest

from vpr_ros.encoders import EncoderError
from vpr_ros.evaluation.benchmark_encode import bench_encode


def test_ours_stands_first_beside_the_usual_ways_and_all_compute_nearly_the_same():
    benchmark = bench_encode("gem-lite", repeats=2)

    ours, *peers = benchmark.rows
    assert "640 x 480" in ours.what
    assert not ours.peer
    assert all(peer.peer for peer in peers)
    assert all(0 < row.p50_ms <= row.p95_ms for row in benchmark.rows)
    assert all(row.more["threads"] == 2 for row in benchmark.rows)
    assert "cv2.resize and onnxruntime" in [peer.what for peer in peers]
    for peer in peers:
        assert benchmark.ratios[f"{peer.what} / ours"] == pytest.approx(peer.p50_ms / ours.p50_ms)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="no torchvision here")
def test_the_network_in_torch_gives_our_descriptor():
    benchmark = bench_encode("gem-lite", repeats=2)

    (torch_row,) = [row for row in benchmark.rows if "torch" in row.what and row.peer]
    assert torch_row.more["least_cosine_to_ours"] > 0.999


def test_an_encoder_that_is_not_there_is_refused():
    with pytest.raises(EncoderError, match="gem-lite"):
        bench_encode("gem-light")
