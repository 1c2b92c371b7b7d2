"""Nodes of a cluster that die, stand still, join: each input has exactly one outcome, and the journal is whole."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import calls
import pytest

import whilst

pytest.importorskip("ray", reason="Ray is installed for its own tests alone")

START = 20.0  # seconds that an actor may take to start on a busy machine
AGAIN = whilst.Retry(attempts=4, on=whilst.WorkerDied, base=0.01, budget=None)


@pytest.fixture
def two(machines: Any) -> Any:
    """The cluster, with a second node that is alive."""
    machines.two()
    return machines


class Watched:
    """A run that acts once so many processes have made calls, and stops some inputs after that."""

    def __init__(self, nodes: int, act: Callable[[], object], *, after: int = 100, until: int = 100) -> None:
        self.nodes, self.act, self.after, self.until = nodes, act, after, until
        self.acted = False
        self.outcomes: list[Any] = []

    def go(self, place: Any, **policies: Any) -> set[int]:
        """Return which processes have made calls."""
        seen: set[int] = set()
        run = whilst.map(calls.where, itertools.repeat(0.03, 20_000), executor=place, **policies)
        last = 20_000
        for outcome in run.outcomes():
            self.outcomes.append(outcome)
            if outcome.ok:
                seen.add(outcome.value)
            if not self.acted and len(seen) == self.nodes:
                self.act()
                self.acted, last = True, len(self.outcomes) + self.after
            if len(self.outcomes) == last or len(seen) == self.until:
                run.drain()
        assert self.acted
        return seen


def test_a_node_that_is_killed_costs_what_it_was_making(two: Any, tmp_path: Path) -> None:
    from whilst.ray import Ray

    watched = Watched(2, lambda: two.kill(two.two()))
    watched.go(Ray(per_node=8), retry=AGAIN, journal=tmp_path / "run.db")
    assert [outcome.index for outcome in watched.outcomes] == [*range(len(watched.outcomes))]
    assert all(outcome.ok for outcome in watched.outcomes)
    again = sum(outcome.attempts - 1 for outcome in watched.outcomes)
    assert 1 <= again <= 32, "repeats are within what was out at that node"
    recalled = whilst.map(calls.where, itertools.repeat(0.03, len(watched.outcomes)), journal=tmp_path / "run.db")
    recalled.list()
    assert recalled.summary().recalled == len(watched.outcomes)


def test_without_a_retry_those_inputs_fail_as_what_they_are(two: Any) -> None:
    from whilst.ray import Ray

    watched = Watched(2, lambda: two.kill(two.two()))
    watched.go(Ray(per_node=4))
    failed = [outcome for outcome in watched.outcomes if not outcome.ok]
    assert 1 <= len(failed) <= 16
    assert all(isinstance(outcome.error, whilst.WorkerDied) for outcome in failed)
    assert "may have made it" in str(failed[0].error)


def test_a_node_that_stands_still_is_given_up_and_its_late_answers_are_not_heard(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up for its silence, long before Ray says of it that it is dead."""
    from whilst.ray import Ray, link

    frozen: list[int] = []
    reasons: list[str] = []
    lose = link.Link._lose

    def lose_and_tell(node: link.Link, error: Exception) -> None:
        reasons.append(str(error))
        lose(node, error)

    monkeypatch.setattr(link.Link, "_lose", lose_and_tell)

    def freeze() -> None:
        frozen.extend(two.pids_of(two.two()))
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw() -> None:
        for pid in frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    watched = Watched(2, freeze, after=1200)
    try:
        watched.go(Ray(per_node=4), retry=AGAIN, ordered=False)
        given_up = [outcome for outcome in watched.outcomes if outcome.attempts > 1]
        assert 1 <= len(given_up) <= 16
        assert any("it has said nothing for" in reason for reason in reasons), reasons
    finally:
        thaw()  # it wakes up with answers that nobody waits for
        two.forget(two.two())
    assert len({outcome.index for outcome in watched.outcomes}) == len(watched.outcomes)


def test_a_node_that_joins_takes_part(two: Any) -> None:
    from whilst.ray import Ray

    joined: list[Any] = []
    watched = Watched(2, lambda: joined.append(two.add()), after=100_000, until=3)
    found = watched.go(Ray(per_node=4))
    two.forget(joined[0])
    assert len(found) == 3, "three processes on three nodes have made calls"


def test_a_node_that_dies_while_its_outcome_travels(two: Any, tmp_path: Path) -> None:
    """The value is large, so that the node has ended the call, and is killed before all of it has come."""
    from whilst.ray import Ray

    marks = [str(tmp_path / name) for name in ("a", "b")]

    def kill_once_it_is_made() -> None:
        while not any(os.path.exists(mark) for mark in marks):
            time.sleep(0.001)
        two.kill(two.two())

    killing = threading.Thread(target=kill_once_it_is_made)
    killing.start()
    run = whilst.map(calls.large, marks, executor=Ray(per_node=1), retry=AGAIN, concurrency=2)
    outcomes = list(run.outcomes())
    killing.join()
    assert [outcome.index for outcome in outcomes] == [0, 1]
    assert [len(outcome.value) for outcome in outcomes] == [calls.LARGE, calls.LARGE]


@pytest.mark.slow
def test_a_cluster_that_shrinks_to_nothing_is_waited_for_until_the_deadline(
    two: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All nodes but the one of the driver, which cannot be killed alone."""
    from whilst.ray import Ray, cluster

    alone = two.two().node_id
    real = cluster.nodes
    monkeypatch.setattr(cluster, "nodes", lambda: [node for node in real() if node == alone])
    outcomes: list[Any] = []

    def go() -> None:
        run = whilst.map(calls.where, [0.05] * 2000, executor=Ray(per_node=2), retry=AGAIN, deadline=START + 10.0)
        for outcome in run.outcomes():
            outcomes.append(outcome)
            if len(outcomes) == 5:
                two.kill(two.two())

    with pytest.raises(whilst.DeadlineExceeded):
        go()
    assert sum(outcome.ok for outcome in outcomes) >= 5
    assert "where: no node of the cluster is there to make calls: waiting for one" in caplog.text


@pytest.mark.parametrize(("python", "ours"), [("3.9.1", None), (None, "0.0.1")])
def test_other_versions_on_a_node_end_the_run_with_both_of_them(
    machines: Any, monkeypatch: pytest.MonkeyPatch, python: str | None, ours: str | None
) -> None:
    from whilst.ray import Ray, cluster, link

    if python is not None:
        monkeypatch.setattr(link.platform, "python_version", lambda: python)
    if ours is not None:
        monkeypatch.setattr(cluster, "version", lambda: ours)
    with pytest.raises(
        RuntimeError, match=f"a node of the cluster runs .*{(python or ours or '').replace('.', '[.]')}"
    ):
        whilst.map(calls.same, [1, 2], executor=Ray(per_node=2)).list()


def test_a_blocking_call_that_was_given_up_is_counted_and_keeps_its_permit_until_it_returns(machines: Any) -> None:
    from whilst.ray import Ray

    limit = whilst.Limit(concurrency=1)
    told: list[tuple[str, ...]] = []
    run = whilst.map(
        calls.nap, [0.0, 3.0, 0.0], executor=Ray(per_node=4, nodes=1), concurrency=2, limit=limit, timeout=0.5
    )
    ended: list[float] = []
    for outcome in run.outcomes():
        told.append(run.summary().left_behind)
        ended.append(time.monotonic())
        assert outcome.ok or isinstance(outcome.error, TimeoutError)
    assert [bool(names) for names in told] == [False, True, False]
    assert told[1] == ("1 x nap(), at most until the run ends",)
    assert ended[2] - ended[1] > 1.5, "the permit came back with the call"


def test_limits_hold_for_all_nodes_together(two: Any) -> None:
    from whilst.ray import Ray

    spans = sorted(
        whilst.map(calls.span, [0.02] * 30, executor=Ray(per_node=8), limit=whilst.Limit(concurrency=3)).list()
    )
    for began, _ in spans:
        assert sum(one <= began < other for one, other in spans) <= 3


def test_concurrency_is_that_of_all_nodes(two: Any) -> None:
    from whilst.ray import Ray

    spans = whilst.map(calls.span, [0.03] * 40, executor=Ray(per_node=8), concurrency=4).list()
    assert max(sum(one <= began < other for one, other in spans) for began, _ in spans) <= 4
