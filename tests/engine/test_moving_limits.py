"""Limits that move while runs hold to them: more room, less room, a pause, other rates."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import pytest
from kit import Gauge, virtually

import whilst

COLOURS = ["async", "blocking"]


class Blocking:
    """A blocking function that knows how many of it are inside, and waits until it is let go."""

    def __init__(self) -> None:
        self.inside = self.most = self.calls = 0
        self.changed = threading.Condition()
        self.open = threading.Event()

    def __call__(self, item: Any) -> Any:
        self.enter()
        self.open.wait(20)
        self.leave()
        return item

    def enter(self) -> None:
        with self.changed:
            self.inside += 1
            self.calls += 1
            self.most = max(self.most, self.inside)
            self.changed.notify_all()

    def leave(self) -> None:
        with self.changed:
            self.inside -= 1
            self.changed.notify_all()

    def wait_for(self, inside: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.inside == inside, 20)


# -- more and less at once ----------------------------------------------------------------------------------------


@virtually
async def test_more_room_is_used_at_once() -> None:
    limit, gauge = whilst.Limit(concurrency=2), Gauge()
    run = whilst.map(gauge, range(40), limit=limit)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(0.5)
    assert (gauge.inside, run.summary().concurrency) == (2, 2)
    limit.set(concurrency=6)
    await asyncio.sleep(0.01)
    assert (gauge.inside, run.summary().concurrency) == (6, 6)
    assert await task == list(range(40))
    assert gauge.most == 6


@virtually
async def test_with_less_room_nothing_starts_until_enough_have_returned() -> None:
    limit = whilst.Limit(concurrency=6)
    gauge = Gauge({item: 1 + item / 10 for item in range(40)})
    task = asyncio.ensure_future(_all(whilst.map(gauge, range(40), limit=limit)))
    await asyncio.sleep(0.5)
    limit.set(concurrency=2)
    await asyncio.sleep(0.85)  # until 1.35: those of 1.0 to 1.3 have returned
    assert gauge.started == list(range(6))
    assert gauge.inside == 2
    gauge.most = 2
    await asyncio.sleep(0.1)
    assert gauge.started == list(range(7))
    assert await task == list(range(40))
    assert gauge.most == 2


@pytest.mark.parametrize("colour", COLOURS)
def test_another_thread_moves_a_run_that_nothing_else_would_wake(colour: str) -> None:
    """No call returns meanwhile. 50 ms are asked for, which the row `limit-set` of the bench holds."""
    limit, calls = whilst.Limit(concurrency=2), Blocking()
    found: list[Any] = []

    async def wait(item: Any) -> Any:
        calls.enter()
        while not calls.open.is_set():
            await asyncio.sleep(0.001)
        calls.leave()
        return item

    fn: Any = calls if colour == "blocking" else wait
    thread = threading.Thread(target=lambda: found.extend(whilst.map(fn, range(20), limit=limit).list()))
    thread.start()
    assert calls.wait_for(2)
    limit.set(concurrency=6)
    assert calls.wait_for(6)
    limit.set(concurrency=1)
    calls.most = 0
    calls.open.set()
    thread.join(20)
    assert found == list(range(20))
    assert calls.most <= 1


@virtually
async def test_a_number_of_its_own_bounds_how_far_a_run_follows() -> None:
    limit, gauge = whilst.Limit(concurrency=2), Gauge()
    task = asyncio.ensure_future(_all(whilst.map(gauge, range(30), limit=limit, concurrency=4)))
    await asyncio.sleep(0.5)
    limit.set(concurrency=10)
    await asyncio.sleep(0.1)
    assert gauge.inside == 4
    await task
    assert gauge.most == 4


@virtually
async def test_a_limit_without_a_number_may_get_one() -> None:
    limit, gauge = whilst.Limit(rate="1000/s"), Gauge()
    task = asyncio.ensure_future(_all(whilst.map(gauge, range(200), limit=limit)))
    await asyncio.sleep(0.5)
    assert gauge.inside == 32
    limit.set(concurrency=50)
    await asyncio.sleep(0.3)
    assert gauge.inside == 50
    limit.set(concurrency=3)
    await asyncio.sleep(1.5)
    assert gauge.inside == 3
    await task
    assert len(gauge.ended) == 200


@virtually
async def test_the_window_moves_with_the_limit() -> None:
    limit, gauge = whilst.Limit(concurrency=1), Gauge(dict.fromkeys(range(4000), 100))
    run = whilst.map(gauge, range(4000), limit=limit)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(1)
    limit.set(concurrency=3000)
    await asyncio.sleep(1)
    assert gauge.inside == 3000
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        await task


@virtually
async def test_the_steps_of_a_mapped_flow_follow_too() -> None:
    limit, gauge = whilst.Limit(concurrency=2), Gauge()
    flow = whilst.sequence(gauge, lambda value: value)
    task = asyncio.ensure_future(_all(whilst.map(flow, range(30), limit=limit)))
    await asyncio.sleep(0.5)
    assert gauge.inside == 2
    limit.set(concurrency=6)
    await asyncio.sleep(0.1)
    assert gauge.inside == 6
    limit.set(concurrency=1)
    assert await task == list(range(30))


# -- other rates --------------------------------------------------------------------------------------------------


@virtually
async def test_another_rate_holds_from_now_on() -> None:
    limit, gauge = whilst.Limit(rate="1/s"), Gauge(dict.fromkeys(range(300), 0))
    task = asyncio.ensure_future(_all(whilst.map(gauge, range(300), limit=limit)))
    await asyncio.sleep(2.5)
    assert len(gauge.started) == 3
    limit.set(rate="10/s")
    await asyncio.sleep(1)
    assert 12 <= len(gauge.started) <= 14
    limit.set(rate="1/s")
    await asyncio.sleep(3)
    assert 14 <= len(gauge.started) <= 18
    limit.set(rate=None)
    await asyncio.sleep(0.1)
    assert len(gauge.started) == 300
    assert len(await task) == 300


@virtually
async def test_a_rate_may_come_to_a_run_that_had_none() -> None:
    limit, gauge = whilst.Limit(concurrency=8), Gauge(dict.fromkeys(range(500), 0.1))
    task = asyncio.ensure_future(_all(whilst.map(gauge, range(500), limit=limit)))
    await asyncio.sleep(1.05)
    before = len(gauge.started)
    limit.set(rate="5/s")
    await asyncio.sleep(4)
    assert 19 <= len(gauge.started) - before <= 22
    limit.set(rate=None)
    assert len(await task) == 500


@virtually
async def test_each_key_has_terms_of_its_own() -> None:
    rates, at_once = {"slow": "1/s", "quick": "20/s"}, {"slow": 1, "quick": 3}
    limit = whilst.Limit(by=lambda item: item[0], rate=rates.get, concurrency=at_once.get)
    started: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def call(item: tuple[str, int]) -> None:
        started[item[0]] += 1
        inside[item[0]] += 1
        most[item[0]] = max(most[item[0]], inside[item[0]])
        await asyncio.sleep(0.2 if item[0] == "quick" else 0.9)
        inside[item[0]] -= 1

    items = [(key, n) for n in range(100) for key in ("slow", "quick", "free")]
    run = whilst.map(call, items, limit=limit, concurrency=300)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(4.5)
    assert most == {"slow": 1, "quick": 3, "free": most["free"]}
    assert started["slow"] == 5
    assert 60 <= started["quick"] <= 70  # 3 at once of 0.2 s each are 15 a second
    assert most["free"] > 3
    at_once["quick"] = 1
    limit.set(concurrency=at_once.get)
    most.clear()
    await asyncio.sleep(0.3)
    most.clear()
    await asyncio.sleep(1)
    assert most["quick"] == 1
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        await task


# -- pauses -------------------------------------------------------------------------------------------------------


@virtually
async def test_a_paused_limit_starts_nothing_and_goes_on() -> None:
    limit, gauge = whilst.Limit(concurrency=4), Gauge()
    run = whilst.map(gauge, range(20), limit=limit)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(0.5)
    limit.pause()
    limit.pause()
    await asyncio.sleep(10)
    assert gauge.started == [0, 1, 2, 3]
    assert gauge.inside == 0
    assert run.summary().held[0].startswith("paused by limit.pause() since ")
    limit.resume()
    await asyncio.sleep(0.01)
    assert gauge.inside == 4
    assert run.summary().held == ()
    assert await task == list(range(20))


@virtually
async def test_a_key_is_paused_by_itself() -> None:
    limit, gauge = whilst.Limit(concurrency=1, by=lambda item: item % 2), Gauge()
    limit.pause(key=1)
    run = whilst.map(gauge, range(10), limit=limit, ordered=False)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(20)
    assert gauge.ended == [0, 2, 4, 6, 8]
    assert run.summary().held[0].startswith("1 paused by limit.pause() since ")
    limit.resume()  # another flag
    await asyncio.sleep(1)
    assert gauge.inside == 0
    limit.resume(key=1)
    await task
    assert gauge.ended[5:] == [1, 3, 5, 7, 9]


@virtually
async def test_what_the_other_side_asked_for_is_not_lifted() -> None:
    limit = whilst.Limit(concurrency=4)
    started: list[float] = []
    clock = asyncio.get_running_loop().time

    async def call(item: int) -> int:
        started.append(clock())
        if item == 0 and len(started) == 1:
            raise whilst.Throttled(retry_after=30)
        return item

    began = clock()
    task = asyncio.ensure_future(_all(whilst.map(call, range(3), limit=limit, retry=2, concurrency=1)))
    await asyncio.sleep(1)
    limit.pause()
    limit.resume()
    await asyncio.sleep(20)
    assert len(started) == 1
    await task
    assert started[1] - began >= 30


@virtually
@pytest.mark.parametrize("way", ["map", "flow", "each"])
async def test_a_run_is_paused_and_goes_on(way: str) -> None:
    gauge = Gauge()
    if way == "map":
        run: Any = whilst.map(gauge, range(20), concurrency=4)
    elif way == "flow":
        run = whilst.map(whilst.sequence(gauge, whilst.step(_same, name="same")), range(20), concurrency=4)
    else:
        run = whilst.sequence(range, whilst.each(gauge, concurrency=4)).stream(20)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(0.5)
    run.pause()
    run.pause()
    await asyncio.sleep(10)
    assert len(gauge.started) == 4
    assert gauge.inside == 0
    assert run.summary().held[0].startswith("paused by run.pause() since ")
    run.resume()
    await asyncio.sleep(0.01)
    assert gauge.inside == 4
    assert await task == list(range(20))
    with pytest.raises(RuntimeError, match="has ended"):
        run.pause()
    run.resume()


@virtually
@pytest.mark.parametrize("who", ["limit", "key", "run", "flow"])
async def test_the_log_says_who_has_paused_what(who: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "whilst")
    limit = whilst.Limit(concurrency=2, by=lambda item: item % 2)
    call: Any = whilst.step(_same, name="call") if who == "flow" else _same
    run = whilst.map(call, range(4), limit=limit, name="fetch")
    paused: Any = run if who in ("run", "flow") else limit
    what = {"key": 1} if who == "key" else {}
    paused.pause(**what)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(1)
    paused.resume(**what)
    assert await task == [0, 1, 2, 3]
    by, key = ("run", "") if who in ("run", "flow") else ("limit", " 1" if who == "key" else "")
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith(f"fetch:{key} paused by {by}.pause() since ")
    assert said[1:] == [f"fetch:{key} goes on"]


@virtually
async def test_a_run_that_is_paused_before_it_begins() -> None:
    gauge = Gauge()
    run = whilst.map(gauge, range(4))
    run.pause()
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(5)
    assert gauge.started == []
    run.resume()
    assert await task == [0, 1, 2, 3]


@virtually
@pytest.mark.parametrize("policies", [{"limit": whilst.Limit(concurrency=3)}, {"rate": "1000/s"}, {"retry": 2}])
async def test_a_run_with_policies_is_paused(policies: dict[str, Any]) -> None:
    gauge = Gauge(dict.fromkeys(range(2000), 0.01))
    run = whilst.map(gauge, range(2000), **policies)
    task = asyncio.ensure_future(_all(run))
    for _ in range(5):
        await asyncio.sleep(0.05)
        run.pause()
        await asyncio.sleep(0.011)
        before = len(gauge.started)
        await asyncio.sleep(1)
        assert (gauge.inside, len(gauge.started)) == (0, before)
        run.resume()
    assert await task == list(range(2000))


def test_a_blocking_run_is_paused_from_another_thread() -> None:
    calls = Blocking()
    calls.open.set()
    run = whilst.map(calls, range(10**6), concurrency=4)
    seen: list[Any] = []

    def consume() -> None:
        try:
            for value in run:
                seen.append(value)  # noqa: PERF402
        except whilst.RunCancelled:
            pass

    thread = threading.Thread(target=consume)
    thread.start()
    while not seen:
        time.sleep(0.001)
    run.pause()
    while not run.summary().held:
        time.sleep(0.001)
    assert calls.wait_for(0)
    before = calls.calls
    time.sleep(0.1)
    assert calls.calls == before
    run.resume()
    while calls.calls == before:
        time.sleep(0.001)
    run.cancel()
    thread.join(20)
    assert not thread.is_alive()


def test_what_a_run_would_not_hear_of_is_refused() -> None:
    run: Any = whilst.map(len, ["a"])
    with pytest.raises(AttributeError, match=r"run.concurrency cannot be assigned.*\n  try: limit=limit in map"):
        run.concurrency = 5
    assert run.list() == [1]


# -- time goes on, but for `total` --------------------------------------------------------------------------------


@virtually
async def test_the_deadline_goes_on_in_a_pause() -> None:
    run = whilst.map(Gauge(), range(20), concurrency=2, deadline=5)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(1.5)
    run.pause()
    with pytest.raises(whilst.DeadlineExceeded):
        await task


@virtually
@pytest.mark.parametrize("as_step", [False, True])
@pytest.mark.parametrize("who", ["limit", "run"])
async def test_the_time_for_all_attempts_stands_still(who: str, as_step: bool) -> None:
    limit, tries = whilst.Limit(concurrency=2), Counter[int]()

    async def call(item: int) -> int:
        tries[item] += 1
        await asyncio.sleep(1)
        if tries[item] == 1:
            raise ConnectionResetError
        return item

    retry = whilst.Retry(attempts=2, total=5, base=0.001)
    if as_step:
        run = whilst.map(whilst.step(call, retry=retry, limit=limit), range(2))
    else:
        run = whilst.map(call, range(2), retry=retry, limit=limit)
    task = asyncio.ensure_future(_all(run))
    paused: Any = limit if who == "limit" else run
    await asyncio.sleep(0.5)
    paused.pause()
    await asyncio.sleep(60)
    paused.resume()
    assert await task == [0, 1]


@virtually
@pytest.mark.parametrize("as_step", [False, True])
async def test_and_is_over_when_it_is_over(as_step: bool) -> None:
    limit = whilst.Limit(concurrency=2)

    async def call(item: int) -> int:
        await asyncio.sleep(20)
        return item

    retry = whilst.Retry(attempts=2, total=5)
    if as_step:
        run = whilst.map(whilst.step(call, retry=retry, limit=limit), [0])
    else:
        run = whilst.map(call, [0], retry=retry, limit=limit)
    loop = asyncio.get_running_loop()
    began = loop.time()
    loop.call_later(1, limit.pause)
    loop.call_later(11, limit.resume)
    with pytest.raises(TimeoutError):
        await _all(run)
    assert 14.9 < loop.time() - began < 15.2


# -- several at once ----------------------------------------------------------------------------------------------


@virtually
async def test_each_of_several_limits_holds() -> None:
    a, b, gauge = whilst.Limit(concurrency=3), whilst.Limit(rate="10/s"), Gauge(dict.fromkeys(range(30), 0.1))
    run = whilst.map(gauge, range(30), limit=[a, b])
    began = asyncio.get_running_loop().time()
    assert await run == list(range(30))
    assert 2.8 < asyncio.get_running_loop().time() - began < 3.3
    assert a.statistics().started == b.statistics().started == 30
    stage = whilst.sequence(whilst.each(whilst.step(gauge, limit=(a, b)), limit=[a]))
    await stage.aio(range(3))
    assert a.statistics().started == b.statistics().started == 33


@pytest.mark.parametrize("wrong", [[1], ["100/s"], [None], [[whilst.Limit(concurrency=1)]]])
def test_what_is_no_limit_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"limit must be a whilst.Limit, or a list of them"):
        whilst.map(len, ["a"], limit=wrong)


async def _same(value: Any) -> Any:
    return value


async def _all(run: Any) -> Any:
    return [value async for value in run]
