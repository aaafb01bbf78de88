"""The benchmark of re-ranking, at a size where the figures mean little but the equality with the peer does."""

import importlib.util

import pytest

from vpr_ros.evaluation.benchmark_rerank import bench_rerank


@pytest.fixture(scope="module")
def benchmark():
    return bench_rerank(repeats=2)


def test_scoring_is_told_beside_the_authors_with_equal_scores(benchmark):
    if importlib.util.find_spec("patchnetvlad") is None:
        pytest.skip("the authors' package is not installed")
    ours, peer = benchmark.rows[:2]
    assert (ours.peer, peer.peer) == (False, True)
    assert peer.more["largest_relative_difference"] < 1e-6
    assert benchmark.ratios["patchnetvlad / ours, scoring"] == pytest.approx(peer.p50_ms / ours.p50_ms)


def test_the_shared_form_tells_its_share_of_the_pass_and_its_bytes(benchmark):
    encode, describe, read, score = benchmark.rows[-4:]
    assert describe.more["share_of_the_pass"] == pytest.approx(describe.p50_ms / encode.p50_ms)
    assert read.more["bytes_a_keyframe"] <= 64 * 1024
    assert score.p50_ms > 0
