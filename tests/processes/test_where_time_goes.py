"""Where the time of worker processes goes, and what the advice is worth there."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import processjobs as jobs
import pytest

import whilst
from whilst.core.summary import Summary

SLOW = """
import time
time.sleep(2.0)

def nap(seconds):
    time.sleep(seconds)
    return seconds
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A module whose import takes two seconds."""
    folder: Path = tmp_path_factory.mktemp("slow")
    (folder / "slow_to_import.py").write_text(SLOW)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("slow_to_import")
    finally:
        sys.path.remove(str(folder))


@pytest.mark.parametrize("gate", ["", "limit", "journal", "step"])
def test_workers_that_are_being_started_are_not_busy(slow: Any, gate: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "": {},
        "limit": {"limit": whilst.Limit(concurrency=100)},
        "journal": {"journal": tmp_path / "run.db"},
        "step": {},
    }[gate]
    fn = slow.nap
    if gate == "step":
        fn = whilst.step(slow.nap, executor="process")
    else:
        given["executor"] = "process"
    run = whilst.map(fn, [0.01 + each / 1e6 for each in range(32)], concurrency=2, **given)
    assert all(outcome.took < 2.0 <= outcome.started for outcome in run.outcomes())
    now = run.summary()
    assert next(iter(now.account)) == "start"
    assert now.lane_time["start"] > 2.0, "at least one of the two took its two seconds"
    assert sum(now.lane_time.values()) == pytest.approx(2 * now.elapsed, rel=0.01)


def test_calls_of_workers_that_only_wait_are_sent_to_threads_and_it_pays(slow: Any) -> None:
    run = whilst.map(slow.nap, [0.05] * 60, executor="process", concurrency=2)
    run.list()
    before = run.summary()
    advice = next(it for it in before.advice if it.change and it.change.get("executor") == "thread")
    after = whilst.map(slow.nap, [0.05] * 60, **advice.change)  # type: ignore[arg-type]
    after.list()
    assert before.elapsed / after.summary().elapsed > 2.0


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux tells how long another process ran")
def test_calls_of_workers_that_compute_are_not_told_to_be_more_than_there_are_processors() -> None:
    run = whilst.map(jobs.spin, [0.05] * 40, executor="process", concurrency=2)
    run.list()
    now = run.summary()
    made = now.workers.values()
    assert sum(it["computed"] for it in made) > 0.5 * sum(it["seconds"] for it in made)
    texts = " ".join(it.text for it in _as_on(now, processors=2).advice)
    assert "a worker for each of the 2 processors" in texts
    assert "concurrency=" not in texts
    more = _as_on(now, processors=8).advice
    assert {"concurrency": 8} in [it.change for it in more]


def _as_on(now: Summary, processors: int) -> Summary:
    """Return the same, of a machine with so many processors; the workers were not being started for long."""
    lane_time = {reason: seconds for reason, seconds in now.lane_time.items() if reason == "busy"}
    return now._replace(processors=processors, lane_time=lane_time, cpu=0.01, queued=0.0, late=0.0, elapsed=1.0)
