"""Nodes that die, stand still, join and refuse, as stand-ins do it; with Ray's own the same is in `test_ray_faults`."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import random
import signal
import socket
import threading
from contextvars import Context
from pathlib import Path
from typing import Any

import calls
import pytest
from standin import Actor, Message, StandIn

import whilst
from whilst.lanes import here
from whilst.processes.preparing import preparation
from whilst.ray import link, node
from whilst.ray.node import Answers

AGAIN = whilst.Retry(attempts=4, on=whilst.WorkerDied, base=0.01, budget=None)


def until_all(place: StandIn, seen: set[int], run: Any, act: Any, *, after: int) -> list[Any]:
    """Act once all nodes have made calls; return the outcomes up to so many after that."""
    outcomes: list[Any] = []
    last = None
    for outcome in run.outcomes():
        outcomes.append(outcome)
        if outcome.ok:
            seen.add(outcome.value)
        if last is None and len(seen) == len(place.names):
            act()
            last = len(outcomes) + after
        if len(outcomes) == last:
            run.drain()
    return outcomes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_each_input_has_one_outcome(number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(link, "SILENCE", 5)  # looks, so that a frozen one is given up soon
    place = StandIn("a", "b", per_node=4)
    inputs = itertools.repeat(0.01, 20_000)
    run = whilst.map(calls.where, inputs, executor=place, retry=AGAIN, journal=tmp_path / "run.db")

    def act() -> None:
        place.signal("b", number)
        place.names.remove("b")  # else another actor is started there
        place.names.append("c")

    outcomes = until_all(place, set(), run, act, after=500)
    place.signal("b", signal.SIGCONT)
    assert [outcome.index for outcome in outcomes] == [*range(len(outcomes))]
    assert all(outcome.ok for outcome in outcomes)
    assert 1 <= sum(outcome.attempts - 1 for outcome in outcomes) <= 16, "repeats are within what was out there"


def test_what_a_lost_node_was_making_fails_as_what_it_is() -> None:
    place = StandIn("a", per_node=2)
    run = whilst.map(calls.where, [0.0, 60.0, 60.0], executor=place, concurrency=2, ordered=False)
    outcomes: list[Any] = []
    for outcome in run.outcomes():
        outcomes.append(outcome)
        if outcome.ok:
            place.signal("a", signal.SIGKILL)
            run.drain()
    assert len(outcomes) >= 2
    assert all(isinstance(outcome.error, whilst.WorkerDied) for outcome in outcomes[1:])
    assert all("may have made it" in str(outcome.error) for outcome in outcomes[1:])


def test_a_late_answer_is_not_that_of_the_next_attempt(tmp_path: Path) -> None:
    retry = whilst.Retry(attempts=3, on=TimeoutError, base=0.01, budget=None)
    inputs = [(str(tmp_path), x) for x in range(3)]
    run = whilst.map(calls.slow_at_first, inputs, executor=StandIn("a", per_node=8), timeout=2.0, retry=retry)
    assert run.list() == [2, 2, 2]


@pytest.mark.parametrize("fn", [calls.same, calls.same_async], ids=["blocking", "async"])
def test_what_a_node_is_told_happens_in_that_order(fn: Any) -> None:
    """A batch may arrive before the one that brings the function, as with Ray: it was lost, and the run stood still."""
    place = StandIn("a", "b", per_node=50, late=True)
    assert whilst.map(fn, range(3000), executor=place).list() == [*range(3000)]


def test_the_end_of_a_call_may_arrive_before_the_call() -> None:
    """Else it would be counted as left behind until the run ends, and keep its permit."""
    place = StandIn("a", per_node=4, late=True)
    limit = whilst.Limit(concurrency=2)
    outcomes = list(whilst.map(calls.nap, [0.3] * 5, executor=place, limit=limit, timeout=0.1).outcomes())
    assert [type(outcome.error) for outcome in outcomes] == [TimeoutError] * 5


def tells(message: Message) -> bool:
    """Whether a message tells what became of a call."""
    return message.is_reply and message.name == "answers" and bool(Answers(*pickle.loads(message.found)).told)


def says(message: Message) -> bool:
    """Whether a message tells what a call has said."""
    return message.is_reply and message.name == "answers" and bool(Answers(*pickle.loads(message.found)).said)


@pytest.mark.parametrize("heard_first", [True, False])
def test_a_call_that_is_over_when_its_end_arrives_gives_its_permit_back(tmp_path: Path, heard_first: bool) -> None:
    """Neither side told the other that it was over: its permit was lost, and the run stood still."""
    go, passed = tmp_path / "go", set[str]()

    def order(under_way: list[Message]) -> Message | None:
        for message in under_way:
            if message.name == "end" and not message.is_reply:
                go.touch()  # now the call returns
                if not (passed if heard_first else any(map(tells, under_way))):
                    continue
            elif tells(message):
                passed.add("an answer")
            return message
        return None

    place, limit = StandIn("a", order=order), whilst.Limit(concurrency=1)
    run = whilst.map(calls.wait_for, [str(go), ""], executor=place, limit=limit, timeout=0.5, deadline=20.0)
    assert [type(outcome.error) for outcome in run.outcomes()] == [TimeoutError, type(None)]


def test_what_a_call_says_may_arrive_after_what_became_of_it(tmp_path: Path) -> None:
    """What it had added was lost."""
    go, passed = tmp_path / "go", set[str]()

    def order(under_way: list[Message]) -> Message | None:
        for message in under_way:
            if says(message) and not passed:
                go.touch()  # now the call returns
                continue
            if tells(message):
                passed.add("an answer")
            return message
        return None

    place = StandIn("a", order=order)
    assert whilst.map(calls.add_and_wait, [str(go)], executor=place, deadline=20.0).list() == [str(go), ""]


@pytest.mark.parametrize("seed", range(10))
def test_messages_may_arrive_in_any_order(seed: int, tmp_path: Path) -> None:
    """Each input has one outcome, what calls have said is heard once, and all permits come back."""
    chance, limit = random.Random(seed), whilst.Limit(concurrency=4)

    def order(under_way: list[Message]) -> Message | None:
        return chance.choice([*under_way, None])

    inputs = [(str(tmp_path), x) for x in range(60)]
    run = whilst.map(
        calls.odd_async if seed % 2 else calls.odd,
        inputs,
        executor=StandIn("a", "b", per_node=4, order=order),
        limit=limit,
        timeout=0.1,
        retry=whilst.Retry(attempts=9, on=(TimeoutError, ConnectionError, whilst.Throttled), base=0.001, budget=None),
        deadline=30.0,
    )
    outcomes = list(run.outcomes())
    assert [outcome.index for outcome in outcomes] == [*range(len(outcomes))]
    assert not [outcome for outcome in outcomes if not outcome.ok]
    assert sorted(outcome.value for outcome in outcomes) == [*range(60), *range(100, 160, 7)]
    assert limit.statistics().in_flight == 0


def test_what_a_thread_says_while_the_node_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was put into a list that had gone."""
    monkeypatch.setattr(here, "worker_of", "")
    begun, go = threading.Event(), threading.Event()

    def slowly(thing: Any) -> bytes:
        begun.set()
        assert go.wait(10)
        return pickle.dumps(thing)

    async def talk() -> list[str]:
        there = node.Node(preparation("same", Context()), 1, 0.0)
        await there.ready()
        monkeypatch.setattr(node, "dumps", slowly)
        saying = asyncio.create_task(asyncio.to_thread(there.say, None, "adds"))
        await asyncio.to_thread(begun.wait)
        told = [Answers(*pickle.loads(await there.answers()))]  # while the thread is about to say it
        go.set()
        await saying
        told.append(Answers(*pickle.loads(await there.answers())))
        return [what for each in told for _, _, what, _ in each.said]

    assert asyncio.run(talk()) == ["adds"]


def test_what_a_lost_node_may_have_made_unheard_counts_as_called(tmp_path: Path) -> None:
    """What stood behind as many as at once was made again without a word, although these may have been over."""
    place = StandIn("a", per_node=1)
    inputs = [(str(tmp_path), x) for x in range(200)]
    outcomes = list(whilst.map(calls.count_and_die, inputs, executor=place).outcomes())
    made = {int(path.name): path.stat().st_size for path in tmp_path.iterdir()}
    assert not [outcome for outcome in outcomes if made.get(outcome.index, 0) > outcome.attempts]


def test_a_node_says_that_it_has_nothing_to_hand_back() -> None:
    """Else it would not be asked again in this run."""
    actor = Actor(preparation("same", Context()), 2, 0.0)
    try:
        actor.ready.remote().future().result()
        actor.call_back.remote(1)
        told = Answers(*pickle.loads(actor.answers.remote().future().result()))
        assert told.is_all
        assert not told.back
    finally:
        actor.put_out()


def test_what_waits_where_all_calls_are_slow_goes_to_another_node(tmp_path: Path) -> None:
    """Of three that wait, two are on one node, until all the others are here."""
    go = str(tmp_path / "go")
    inputs = [*[""] * 200, *[go] * 3, *[""] * 200]
    values: list[str] = []
    for outcome in whilst.map(calls.wait_for, inputs, executor=StandIn("a", "b", per_node=2), ordered=False).outcomes():
        values.append(outcome.value)
        if len(values) == 400:
            assert go not in values
            (tmp_path / "go").touch()
    assert len(values) == 403


def test_a_node_that_joins_takes_part() -> None:
    place = StandIn("a", per_node=4)
    seen: set[int] = set()
    run = whilst.map(calls.where, itertools.repeat(0.02, 100_000), executor=place)
    for value in run:
        if not seen:
            place.names.append("b")
        seen.add(value)
        if len(seen) == 2:
            break
    assert len(seen) == 2


def test_a_cluster_that_shrinks_to_nothing_is_waited_for_until_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    place = StandIn("a", per_node=2)
    outcomes: list[Any] = []

    def go() -> None:
        for outcome in whilst.map(calls.where, [0.02] * 5000, executor=place, retry=AGAIN, deadline=12.0).outcomes():
            outcomes.append(outcome)
            if len(outcomes) == 5:
                place.names.clear()
                place.signal("a", signal.SIGKILL)

    with pytest.raises(whilst.DeadlineExceeded):
        go()
    assert sum(outcome.ok for outcome in outcomes) >= 5
    assert "where: no node of the cluster is there to make calls: waiting for one" in caplog.text


def test_other_versions_end_the_run_with_both_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link.platform, "python_version", lambda: "3.9.1")
    with pytest.raises(RuntimeError, match=r"a node of the cluster runs Python 3.*, and this program on 3\.9\.1"):
        whilst.map(calls.same, [1], executor=StandIn("a")).list()


def test_a_call_that_cannot_be_ended_is_counted_and_keeps_its_permit_until_it_returns() -> None:
    limit = whilst.Limit(concurrency=1)
    place = StandIn("a", per_node=4)
    run = whilst.map(calls.nap, [0.0, 3.0, 0.0], executor=place, concurrency=2, limit=limit, timeout=1.0)
    told = [(run.summary().left_behind, outcome.ok) for outcome in run.outcomes()]
    assert told[:2] == [((), True), (("1 x nap(), at most until the run ends",), False)]
    assert told[2] == ((), True), "the permit came back with the call"


def test_who_listens_is_told_from_who_does_not() -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        host, port = there.getsockname()
        refused = link.Knock(host, port)
        assert refused.is_refused()
        there.listen()
        stands_still = link.Knock(host, port)
        assert not stands_still.is_refused()
        stands_still.close()
