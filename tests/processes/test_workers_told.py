"""What each worker process did stands in the summary."""

from __future__ import annotations

import processjobs as jobs
import pytest

import whilst


def test_the_summary_says_what_each_worker_did() -> None:
    run = whilst.map(jobs.nap, [0.01] * 60, executor="process", concurrency=2)
    run.list()
    workers = run.summary().workers
    assert [*workers] == ["worker 1", "worker 2"]
    assert sum(it["calls"] for it in workers.values()) == 60
    assert sum(it["seconds"] for it in workers.values()) == pytest.approx(run.summary().sequential, rel=0.1)
    assert "  workers worker 1: " in str(run.summary())
    assert run.summary().to_dict()["workers"] == workers


def test_where_there_is_one_process_nothing_is_said_of_workers() -> None:
    run = whilst.map(abs, range(30))
    run.list()
    assert run.summary().workers == {}
    assert "worker" not in str(run.summary())
