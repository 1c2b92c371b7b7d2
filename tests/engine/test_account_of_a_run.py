"""Where did the lane-time go? One scenario for each cause: its name comes first, on virtual and on real clocks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from kit import virtually

import whilst
from whilst import testing
from whilst.core.account import MEANINGS

TRIES = 3  # twenties of runs on the real clock, of which one must be good
Made = tuple["whilst.Run[Any, Any]", float]  # a run, and the seconds that its consumer takes for an outcome


async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def slow_source(count: int, each: float, takes: float) -> AsyncIterator[float]:
    for _ in range(count):
        await asyncio.sleep(each)
        yield takes


def busy() -> Made:
    return whilst.map(nap, [0.02] * 80, concurrency=8), 0.0


def source() -> Made:
    return whilst.map(nap, slow_source(40, 0.008, 0.004), concurrency=8), 0.0


def consumer() -> Made:
    return whilst.map(nap, [0.002] * 30, concurrency=4), 0.01


def rate() -> Made:
    return whilst.map(nap, [0.005] * 40, concurrency=8, rate="150/s"), 0.0


def quota() -> Made:
    return whilst.map(nap, [0.005] * 24, concurrency=8, rate=["1000/s", "12/300ms"]), 0.0


def keys() -> Made:
    limit = whilst.Limit(concurrency=1, by=lambda seconds: seconds)
    return whilst.map(nap, [0.01] * 30, concurrency=8, limit=limit), 0.0


def pushback() -> Made:
    calls = iter(range(1000))

    async def refused_once(seconds: float) -> None:
        if next(calls) == 10:
            raise whilst.Throttled(retry_after=0.4)
        await asyncio.sleep(seconds)

    return whilst.map(refused_once, [0.01] * 60, concurrency=8, retry=3), 0.0


def retries() -> Made:
    tried: set[int] = set()

    async def reset_once(item: int) -> None:
        await asyncio.sleep(0.01)
        if item % 3 == 0 and item not in tried:
            tried.add(item)
            raise ConnectionResetError

    again = whilst.Retry(attempts=3, on=lambda error: 0.3, budget=None, breaker=False)
    return whilst.map(reset_once, range(24), concurrency=12, retry=again), 0.0


def order() -> Made:
    return whilst.map(nap, [2.0, *[0.0] * 1500], concurrency=8), 0.0


def tail() -> Made:
    return whilst.map(nap, [*[0.01] * 30, 0.5], concurrency=8), 0.0


def shared() -> Made:
    """Other calls have permits of the same limit."""
    limit = whilst.Limit(concurrency=4)

    async def other() -> None:
        async with limit:
            await asyncio.sleep(0.05)

    async def among_others() -> AsyncIterator[float]:
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(other())
            for _ in range(20):
                yield 0.01

    return whilst.map(nap, among_others(), concurrency=4, limit=limit), 0.0


def opening() -> Made:
    @contextlib.asynccontextmanager
    async def slowly() -> AsyncIterator[None]:
        await asyncio.sleep(0.5)
        yield

    async def query(seconds: float, db: None) -> None:
        await asyncio.sleep(seconds)

    return whilst.map(query, [0.01] * 30, concurrency=8, use={"db": whilst.resource(slowly, per="run")}), 0.0


CAUSES: dict[str, Callable[[], Made]] = {
    "busy": busy,
    "source": source,
    "consumer": consumer,
    "limit: rate=150/s": rate,
    "limit: rate=12/300ms": quota,
    "limit: concurrency=1 per key": keys,
    "limit: concurrency=4": shared,
    "pushback": pushback,
    "retries": retries,
    "order": order,
    "tail": tail,
    "start": opening,
}


async def taken(made: Made) -> whilst.Summary:
    run, each = made
    async for _ in run:
        if each:
            await asyncio.sleep(each)
    return run.summary()


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_comes_first(cause: str) -> None:
    now = testing.run(taken(CAUSES[cause]()))
    assert next(iter(now.account)) == cause, now.account
    assert sum(now.account.values()) == pytest.approx(1.0, abs=0.01)
    assert sum(now.lane_time.values()) == pytest.approx(now.concurrency * now.elapsed, rel=0.01)


def comes_first(cause: str, twenty: Callable[[], list[dict[str, float]]]) -> None:
    """Nineteen of twenty runs tell this cause; what a busy machine spoils, a second or third twenty may show."""
    told: list[list[str]] = []
    for _ in range(TRIES):
        found = twenty()
        assert all(sum(account.values()) == pytest.approx(1.0, abs=0.01) for account in found)
        told.append([next(iter(account)) for account in found])
        if told[-1].count(cause) >= 19:
            return
    raise AssertionError(told)


@pytest.mark.slow
@pytest.mark.clocked
@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_comes_first_on_the_real_clock_in_nineteen_of_twenty_runs(cause: str) -> None:
    async def main() -> list[dict[str, float]]:
        return [now.account for now in await asyncio.gather(*(taken(CAUSES[cause]()) for _ in range(5)))]

    comes_first(cause, lambda: [account for _ in range(4) for account in asyncio.run(main())])


# -- blocking functions, plain consumers ------------------------------------------------------------------------------


def slow_list(count: int, each: float, takes: float) -> Iterator[float]:
    for _ in range(count):
        time.sleep(each)
        yield takes


def plain_consumer() -> whilst.Run[float, None]:
    run = whilst.map(time.sleep, [0.001] * 30, concurrency=4)
    for _ in run:
        time.sleep(0.01)
    return run


def plainly(run: whilst.Run[Any, Any]) -> whilst.Run[Any, Any]:
    with contextlib.suppress(Exception):
        run.list()
    return run


def opened_on_threads() -> whilst.Run[float, None]:
    db = whilst.resource(lambda: time.sleep(0.2), per="thread")
    return whilst.map(lambda seconds, db: time.sleep(seconds), [0.005] * 20, concurrency=4, use={"db": db})


PLAIN: dict[str, Callable[[], whilst.Run[Any, Any]]] = {
    "busy": lambda: plainly(whilst.map(time.sleep, [0.02] * 80, concurrency=8)),
    "source": lambda: plainly(whilst.map(time.sleep, slow_list(40, 0.008, 0.004), concurrency=8)),
    "consumer": plain_consumer,
    "limit: rate=150/s": lambda: plainly(whilst.map(time.sleep, [0.005] * 40, concurrency=8, rate="150/s")),
    "tail": lambda: plainly(whilst.map(time.sleep, [*[0.01] * 30, 0.4], concurrency=8)),
    "start": lambda: plainly(opened_on_threads()),
}


@pytest.mark.slow
@pytest.mark.clocked
@pytest.mark.parametrize("cause", PLAIN)
def test_the_cause_comes_first_for_blocking_functions_in_nineteen_of_twenty_runs(cause: str) -> None:
    comes_first(cause, lambda: [PLAIN[cause]().summary().account for _ in range(20)])


@pytest.mark.clocked
def test_the_start_is_told_where_threads_are_being_started() -> None:
    run = whilst.map(time.sleep, [0.2] * 400, concurrency=400)
    run.list()
    assert run.summary().account.get("start", 0.0) > 0.0


@pytest.mark.slow
@pytest.mark.clocked
def test_a_slow_start_comes_first_in_nineteen_of_twenty_runs() -> None:
    start = threading.Thread.start

    def late(thread: threading.Thread) -> None:
        if thread.name.startswith("whilst-lane"):
            time.sleep(0.03)
        start(thread)

    def account() -> dict[str, float]:
        return plainly(whilst.map(time.sleep, [0.001] * 4, concurrency=1)).summary().account

    with mock.patch.object(threading.Thread, "start", late):
        comes_first("start", lambda: [account() for _ in range(20)])


@pytest.mark.slow
@pytest.mark.clocked
def test_a_strict_journal_on_a_slow_disk_comes_first_in_nineteen_of_twenty_runs(tmp_path: Path) -> None:
    def slow_fsync(_: int) -> None:
        time.sleep(0.02)

    def account() -> dict[str, float]:
        journal = whilst.Journal(tmp_path / f"{next(number)}.db", commit="strict")
        return plainly(whilst.map(abs, range(40), concurrency=4, journal=journal)).summary().account

    number = itertools.count()
    with mock.patch("os.fsync", slow_fsync):
        comes_first("journal", lambda: [account() for _ in range(20)])


@virtually
async def test_one_lane_that_a_key_keeps_idle_names_its_limit() -> None:
    run = whilst.map(nap, [1.0] * 6, concurrency=2, limit=whilst.Limit(concurrency=1, by=lambda _: "key"))
    await run
    assert run.summary().lane_time.keys() - {"tail"} == {"busy", "limit: concurrency=1 per key"}


@virtually
async def test_a_pause_by_hand_has_its_name() -> None:
    run = whilst.map(nap, [0.1] * 40, concurrency=4)

    async def pause() -> None:
        await asyncio.sleep(0.25)
        run.pause()
        await asyncio.sleep(10.0)
        run.resume()

    pausing = asyncio.create_task(pause())
    await run
    await pausing
    assert next(iter(run.summary().account)) == "paused"
    assert run.summary().lane_time["paused"] == pytest.approx(4 * 10.0, rel=0.05)


# -- what moves -------------------------------------------------------------------------------------------------------


@virtually
async def test_an_adaptive_limit_counts_the_slots_that_it_permits() -> None:
    run = whilst.map(nap, [0.1] * 400, concurrency="adaptive")
    await run
    now = run.summary()
    assert sum(now.lane_time.values()) < 0.9 * now.concurrency * now.elapsed or now.account["busy"] > 0.9
    assert now.account["busy"] > 0.5


@virtually
async def test_the_account_is_there_while_the_run_goes_on() -> None:
    run = whilst.map(nap, [1.0] * 8, concurrency=2)
    async for _ in run:
        break_at = run.summary()
        if break_at.elapsed >= 2.0:
            break
    assert break_at.account == {"busy": 1.0}
    assert break_at.lane_time["busy"] == pytest.approx(2 * break_at.elapsed)


@virtually
async def test_peak_is_how_many_were_in_flight_at_once() -> None:
    run = whilst.map(nap, [1.0] * 5, concurrency=32)
    await run
    assert run.summary().peak == 5


@virtually
async def test_a_run_that_was_not_begun_has_no_account() -> None:
    now = whilst.map(nap, [1.0]).summary()
    assert (now.account, now.advice, now.times.calls, now.speedup) == ({}, (), 0, None)
    assert now.keeps_up


# -- how long calls took ----------------------------------------------------------------------------------------------


@virtually
async def test_times_and_what_was_replaced() -> None:
    run = whilst.map(nap, [1.0] * 98 + [3.0, 5.0], concurrency=10)
    await run
    now = run.summary()
    assert (now.called, now.times.calls) == (100, 100)
    assert (now.times.p50, now.times.p99, now.times.longest) == pytest.approx((1.0, 3.0, 5.0))
    assert [(it.index, it.took) for it in now.times.slowest[:2]] == [(99, pytest.approx(5.0)), (98, pytest.approx(3.0))]
    assert now.sequential == pytest.approx(106.0)
    assert now.speedup == pytest.approx(106.0 / now.elapsed)
    assert now.best_speedup == pytest.approx(10.0)


def test_blocking_calls_are_timed_too() -> None:
    run = whilst.map(time.sleep, [0.001] * 50 + [0.05], concurrency=4)
    run.list()
    times = run.summary().times
    assert times.slowest[0].index == 50
    assert 0.001 <= times.p50 < 0.04
    assert times.longest >= 0.05


def test_of_no_ops_some_are_timed_and_it_is_said() -> None:
    run = whilst.map(abs, range(5000))
    run.list()
    times = run.summary().times
    assert times.sampled
    assert times.calls == 5000
    assert 0 < times.p50 < 1e-3


@virtually
async def test_what_hangs_now_is_named_with_its_time() -> None:
    run = whilst.map(nap, [0.1, 50.0, 0.1, 90.0], concurrency=4)
    async for _ in run:
        await asyncio.sleep(10)
        now = run.summary()
        break
    assert [(it.index, round(it.took)) for it in now.hanging] == [(1, 10), (3, 10)]


@virtually
async def test_what_hangs_is_looked_for_four_times_a_second_however_often_one_asks() -> None:
    run = whilst.map(nap, [0.1, 50.0], concurrency=2)
    async for _ in run:
        await asyncio.sleep(10)
        seen = []
        for _ in range(4):
            seen += [it.took for it in run.summary().hanging]
            await asyncio.sleep(0.1)
        break
    assert [took - seen[0] for took in seen] == pytest.approx([0.0, 0.0, 0.0, 0.3])


@virtually
async def test_retries_say_what_they_waited_for() -> None:
    made = retries()[0]
    await made
    assert made.summary().retry_waits == {"backoff": pytest.approx(8 * 0.3)}
    made = pushback()[0]
    await made
    assert made.summary().retry_waits == {"retry_after": pytest.approx(0.4, abs=0.2)}


# -- flows ------------------------------------------------------------------------------------------------------------


@virtually
async def test_a_flow_tells_which_step_took_the_time_and_what_it_waited_for() -> None:
    async def first(x: int) -> int:
        await asyncio.sleep(1.0)
        return x

    async def second(x: int) -> int:
        await asyncio.sleep(0.1)
        return x

    flow = whilst.sequence(first, whilst.step(second, rate="2/s"))
    run = whilst.map(flow, range(40), concurrency=8)
    await run
    now = run.summary()
    assert next(iter(now.account)) == "limit: rate=2/s"
    assert [path.partition(" ")[0] for path in now.steps] == ["sequence[0]", "sequence[1]"]
    one, two = now.steps.values()
    assert next(iter(now.step_time.values())) == {"busy": pytest.approx(40.0)}
    assert next(iter(two)) == "limit: rate=2/s"
    assert sum(one.values()) + sum(two.values()) == pytest.approx(1.0)


def asleep(seconds: float) -> Callable[[int], int]:
    def sleep(x: int) -> int:
        time.sleep(seconds)
        return x

    return sleep


def test_blocking_steps_in_one_visit_to_a_thread_have_each_its_time() -> None:
    flow = whilst.sequence(asleep(0.004), asleep(0.012), int)
    run = whilst.map(flow, range(60), concurrency=6)
    whole = sum(outcome.took for outcome in run.outcomes())
    now = run.summary()
    assert [path.partition(" ")[0] for path in now.step_time] == ["sequence[0]", "sequence[1]", "sequence[2]"]
    one, two, three = (sum(spent.values()) for spent in now.step_time.values())
    assert one + two + three <= 1.01 * whole
    assert one >= 60 * 0.004
    assert two >= 60 * 0.012
    assert sum(map(sum, (it.values() for it in now.steps.values()))) == pytest.approx(1.0)


def test_a_step_of_a_visit_that_fails_or_gives_back_a_coroutine_has_its_time_too() -> None:
    def fails(x: int) -> int:
        time.sleep(0.01)
        if x % 2:
            raise ValueError("no")
        return x

    flow = whilst.sequence(asleep(0.002), lambda x: nap(0.02), fails, int)
    run = whilst.map(flow, range(20), concurrency=4)
    whole = sum(outcome.took for outcome in run.outcomes())
    spent = [sum(it.values()) for it in run.summary().step_time.values()]
    assert sum(spent) <= 1.01 * whole
    assert spent[0] >= 20 * 0.002
    assert spent[1] >= 20 * 0.02
    assert spent[2] >= 20 * 0.01


def test_the_time_of_short_steps_of_a_visit_is_told_by_some_of_them() -> None:
    flow = whilst.sequence(abs, int, float)
    run = whilst.map(flow, range(3000), concurrency=4)
    whole = sum(outcome.took for outcome in run.outcomes())
    spent = [sum(it.values()) for it in run.summary().step_time.values()]
    assert len(spent) == 3
    assert 0 < sum(spent) < 1.5 * whole


def test_a_stage_of_blocking_steps_has_each_its_time() -> None:
    flow = whilst.sequence(
        lambda n: range(n),
        whilst.flatten(),
        whilst.each(whilst.sequence(asleep(0.002), asleep(0.006)), concurrency=4),
    )
    run = flow.stream(60)
    run.list()
    now = run.summary()
    (account,) = now.stages.values()
    assert sum(account.values()) == pytest.approx(1.0, abs=0.01)
    two, six = (sum(spent.values()) for path, spent in now.step_time.items() if "each" in path)
    assert two >= 60 * 0.002
    assert six >= 60 * 0.006
    assert two + six <= 1.5 * next(iter(now.stage_time.values()))["busy"]


@virtually
async def test_branches_tell_for_which_one_the_others_waited() -> None:
    async def quick(x: int) -> int:
        await asyncio.sleep(0.5)
        return x

    async def slow(x: int) -> int:
        await asyncio.sleep(2.0)
        return x

    run = whilst.map(whilst.together(a=quick, b=slow), range(10), concurrency=20)
    await run
    assert run.summary().join_time == {"together": {"b": pytest.approx(10 * 1.5)}}


@virtually
async def test_stages_have_accounts_of_their_own() -> None:
    async def quick(x: int) -> int:
        await asyncio.sleep(0.1)
        return x

    async def slow(x: int) -> int:
        await asyncio.sleep(1.0)
        return x

    flow = whilst.sequence(
        lambda n: range(n), whilst.flatten(), whilst.each(quick, concurrency=4), whilst.each(slow, concurrency=2)
    )
    run = flow.stream(200)
    await run
    stages = run.summary().stages
    assert [next(iter(account)) for account in stages.values()] == ["consumer", "busy"]
    (advice,) = run.summary().advice
    assert "The other stages wait for sequence[3].each" in advice.text
    assert advice.change == {"step": "sequence[3].each", "concurrency": 4}


@virtually
async def test_a_step_that_is_tried_again_counts_its_calls_and_its_waits_once() -> None:
    tried: set[int] = set()

    async def reset_once(x: int) -> int:
        await asyncio.sleep(1.0)
        if x not in tried:
            tried.add(x)
            raise ConnectionResetError
        return x

    again = whilst.Retry(attempts=2, on=lambda error: 5.0, budget=None, breaker=False)
    run = whilst.map(whilst.sequence(whilst.step(reset_once, retry=again), nap_none), range(6), concurrency=3)
    await run
    spent = next(it for path, it in run.summary().step_time.items() if "reset_once" in path)
    assert spent == {"busy": pytest.approx(12.0), "retries": pytest.approx(30.0)}


async def nap_none(x: int) -> int:
    await asyncio.sleep(0.001)
    return x


def test_every_reason_of_the_scenarios_is_documented() -> None:
    assert {cause for cause in CAUSES if not cause.startswith("limit: ")} <= set(MEANINGS)
    page = (Path(__file__).parents[2] / "docs" / "where-the-time-goes.md").read_text(encoding="utf-8")
    assert all(f"`{reason}`" in page for reason in MEANINGS)


@virtually
async def test_a_consumer_that_takes_its_time_with_the_last_outcomes_adds_nothing() -> None:
    run = whilst.map(nap, [1.0] * 4, concurrency=4)
    async for _ in run:
        await asyncio.sleep(10.0)
        assert run.summary().lane_time == {"busy": pytest.approx(4.0)}
    assert run.summary().lane_time == {"busy": pytest.approx(4.0)}
    assert run.summary().elapsed == pytest.approx(1.0)


PLACES: dict[
    str, tuple[Callable[[Any], Any], int]
] = {  # flows whose steps wait for places, and how many places there are
    "stage": (lambda call: whilst.each(call(0.02)), 5),
    "branches": (lambda call: whilst.together(call(0.05), call(0.01), call(0.02)), 3),
    "race": (lambda call: whilst.first(call(0.05), call(0.02)), 2),
    "part": (lambda call: whilst.step(whilst.sequence(call(0.05), call(0.02)), retry=3, timeout=9.0), 2),
    "with policies": (lambda call: whilst.together(whilst.step(call(0.05), retry=3, timeout=9.0), call(0.02)), 2),
    "with a limit": (
        lambda call: whilst.together(whilst.step(call(0.05), limit=whilst.Limit(concurrency=9)), call(0.02)),
        2,
    ),
}


@pytest.mark.parametrize("form", PLACES)
@virtually
async def test_a_wait_for_a_place_of_the_concurrency_is_no_call(form: str) -> None:
    """It counted as one, and a run seemed more times as fast than it makes calls at once."""
    truly = 0.0

    def call(seconds: float) -> Callable[[Any], Any]:
        async def fn(value: Any) -> Any:
            nonlocal truly
            began = clock_here()
            try:
                await asyncio.sleep(seconds)
            finally:
                truly += clock_here() - began
            return value

        return fn

    flow, concurrency = PLACES[form]
    run = whilst.map(flow(call), [range(10)] * 12, concurrency=concurrency)
    await run
    now = run.summary()
    assert now.sequential == pytest.approx(truly, rel=1e-3)
    assert now.speedup is not None
    assert now.speedup <= concurrency + 0.01
    assert form == "part" or any(f"limit: concurrency={concurrency}" in spent for spent in now.step_time.values())


def clock_here() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        ({"rate": "40/s"}, "limit: rate=40/s"),
        ({"limit": whilst.Limit(concurrency=2), "concurrency": 8}, "busy"),
        ({"limit": whilst.Limit(concurrency=2, by=lambda _: "key"), "concurrency": 8}, "limit: concurrency=2 per key"),
        ({"retry": whilst.Retry(2, on=lambda _: 5.0, budget=None, breaker=False), "concurrency": 4}, "retries"),
    ],
    ids=["rate", "limit", "limit by key", "retries"],
)
@virtually
async def test_the_lanes_of_a_stage_are_held_by_what_its_calls_wait_for(policies: dict[str, Any], reason: str) -> None:
    tried = set[int]()

    async def ask(item: int) -> int:
        await asyncio.sleep(0.02)
        if "retry" in policies and item not in tried:
            tried.add(item)
            raise ConnectionResetError
        return item

    async def save(item: int) -> int:
        await asyncio.sleep(0.005)
        return item

    flow = whilst.sequence(lambda _: range(80), whilst.each(ask, **policies), whilst.each(save, concurrency=2))
    run = flow.stream(None)
    await run
    assert next(iter(run.summary().stages["sequence[1].each"])) == reason


@pytest.mark.parametrize(
    "flow",
    [
        lambda fails: fails,
        lambda fails: whilst.sequence(nap_none, fails),
        lambda fails: whilst.step(whilst.sequence(nap_none, fails), retry=2),
        lambda fails: whilst.fallback(fails, nap_none),
        lambda fails: whilst.sequence(nap_none, whilst.step(fails, timeout=9.0)),
    ],
    ids=["alone", "last", "part", "branch", "timeout"],
)
@virtually
async def test_the_time_of_calls_that_fail_is_told_for_every_step(flow: Any) -> None:
    async def fails(item: int) -> int:
        await asyncio.sleep(0.5)
        raise LookupError(item)

    run = whilst.map(flow(fails), range(20), concurrency=5)
    await run.outcomes()
    assert run.summary().failed_time == {"LookupError": pytest.approx(10.0, rel=0.01)}


def test_and_for_blocking_steps_in_a_row() -> None:
    def fails(item: int) -> int:
        time.sleep(0.02)
        raise LookupError(item)

    run = whilst.map(whilst.sequence(str, fails), range(20), concurrency=5)
    run.outcomes().list()
    assert run.summary().failed_time["LookupError"] >= 0.4
