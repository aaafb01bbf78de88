"""The benchmarks of search and growth, at a size where the figures mean nothing but the shape does."""

import pytest

from vpr_ros.evaluation.benchmark_search import bench_growth, bench_search


def test_search_is_told_beside_its_peer_at_each_size():
    benchmark = bench_search(sizes=(100, 300), dim=16, repeats=3)

    assert [(row.peer, row.more["places"]) for row in benchmark.rows] == [
        (False, 100),
        (True, 100),
        (False, 300),
        (True, 300),
    ]
    ours, peer = benchmark.rows[2:]
    assert benchmark.ratios["numpy / search, 300 places"] == pytest.approx(peer.p50_ms / ours.p50_ms)
    assert all(0 < row.p50_ms <= row.p95_ms for row in benchmark.rows)


def test_growth_is_told_in_parts_and_ends_with_opening():
    benchmark = bench_growth(places=100, steps=4, dim=16)

    assert [row.more["places"] for row in benchmark.rows] == [0, 25, 50, 75, 100]
    assert benchmark.rows[-1].what == "open, 100 places"
    assert list(benchmark.ratios) == ["add at the start / add from 75 places on"]
