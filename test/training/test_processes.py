"""Several processes: how long they wait for each other."""

from datetime import timedelta

from torch import distributed

from vpr_ros.training.processes import joined_processes


def test_the_others_wait_for_hours_while_the_first_computes_kept_maps(monkeypatch):
    """NCCL alone gives up after ten minutes; no test can wait longer than that, so torch is asked what it was told."""
    waits = []
    monkeypatch.setattr(distributed, "init_process_group", lambda _, timeout: waits.append(timeout))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")

    with joined_processes():
        pass

    assert waits[0] >= timedelta(hours=6)
