"""Limits as parties meet them: turns, keys, pauses, several limits, loops and threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import signal
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import virtually
from partykit import party, states

import whilst
from whilst import testing
from whilst.limit.acquire import acquire
from whilst.limit.acquirer import Acquirer
from whilst.limit.feedback import Report
from whilst.limit.limit import state_of
from whilst.limit.queue import told
from whilst.limit.state import REMEMBERED, LimitState


def idle(limit: whilst.Limit) -> bool:
    now = limit.statistics()
    return (now.in_flight, now.waiting) == (0, 0)


def now() -> float:
    return asyncio.get_running_loop().time()


class Gate:
    """A party that wants many permits, and keeps what it gets in a list of times."""

    def __init__(self, *limits: whilst.Limit | LimitState, item: Any = None) -> None:
        self.got: list[float] = []
        self.acquirer = party(limits, item, loop=asyncio.get_running_loop(), granted=self.granted)

    def ask(self, count: int) -> int:
        taken = self.acquirer.ask(count)
        self.granted(taken)
        return taken

    def granted(self, count: int) -> None:
        self.got += [now()] * count


@pytest.fixture(autouse=True)
def nobody_is_left_untold() -> Iterator[None]:
    yield
    assert not told


# -- what a limit may be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, TypeError, "limits nothing.*try"),
        ({"concurrency": "fast"}, TypeError, "whole number or \"adaptive\", got 'fast'"),
        ({"concurrency": 0}, ValueError, "at least 1"),
        ({"rate": "ten"}, ValueError, "got 'ten'"),
        ({"rate": "0/s"}, ValueError, "more than 0"),
        ({"rate": 5}, TypeError, "must be text"),
        ({"concurrency": 1, "burst": 5}, TypeError, "burst=5 needs a rate"),
        ({"rate": "1/s", "burst": 0}, ValueError, "burst must be at least 1"),
        ({"rate": "1/s", "burst": True}, TypeError, "burst must be a whole number"),
        ({"concurrency": 1, "weight": len}, TypeError, "weight= needs a rate"),
        ({"concurrency": 1, "by": "host"}, TypeError, "by must be callable, got 'host'"),
        ({"rate": "1/s", "weight": 3}, TypeError, "weight must be callable"),
        ({"rate": ["100/s", "5/s"]}, ValueError, "two values"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=f"(?s){says}"):
        whilst.Limit(**given)


def test_the_repr_and_the_statistics_tell_the_state() -> None:
    limit = whilst.Limit(concurrency=32, rate=["100/s", "5000/h"])
    assert repr(limit) == "<Limit 0/32 in flight, 100/s, 5000/h>"
    with limit:
        assert repr(limit) == "<Limit 1/32 in flight, 100/s, 5000/h>"
        seen = limit.statistics()
    assert (seen.concurrency, seen.in_flight, seen.waiting, seen.started) == (32, 1, 0, 1)
    assert (seen.rates, seen.adaptive, seen.keys, seen.paused_for) == (("100/s", "5000/h"), False, 1, 0.0)
    assert repr(whilst.Limit(rate="2/s")) == "<Limit 0 in flight, 2/s>"
    keyed = whilst.Limit(concurrency=4, by=str)
    for key in "ab":
        assert party((keyed,), key, loop=None, granted=print).ask(1) == 1
    assert repr(keyed) == "<Limit 2 in flight, 4 per key, 2 keys>"


@pytest.mark.parametrize(("given", "asks"), [({"by": str}, "by"), ({"weight": len}, "weight")])
def test_a_limit_that_asks_an_item_must_be_told_which(given: dict[str, Any], asks: str) -> None:
    limit = whilst.Limit(rate="1/s", **given)
    with pytest.raises(TypeError, match=rf"(?s)has {asks}=.*limit\.of\(item\)"), limit:
        pass

    async def main() -> None:
        async with limit:
            pass

    with pytest.raises(TypeError, match=r"limit\.of"):
        asyncio.run(main())


# -- rates --------------------------------------------------------------------------------------------------------


@virtually
async def test_hand_written_code_is_paced() -> None:
    limit, times = whilst.Limit(rate="10/s"), list[float]()

    async def call() -> None:
        async with limit:
            times.append(now())

    await asyncio.gather(*(call() for _ in range(31)))
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(3.0, abs=0.02)
    assert all(later - earlier > 0.09 for earlier, later in itertools.pairwise(times))
    assert idle(limit)


@virtually
async def test_a_quota_is_spent_as_fast_as_the_pace_allows() -> None:
    limit, times = whilst.Limit(rate=["1000/s", "20/min"], burst=20), list[float]()
    gate = Gate(limit)
    assert gate.ask(50) == 20
    await asyncio.sleep(200)
    times = gate.got
    assert [round(when) for when in times] == [0] * 20 + [60] * 20 + [120] * 10


@virtually
async def test_weights_are_what_the_rate_counts() -> None:
    limit, times = whilst.Limit(rate="100/s", weight=len), list[float]()
    for item in ("x" * 50, "x" * 100, "", "x", "x"):
        async with limit.of(item):
            times.append(now())
    assert times == pytest.approx([0, 0.495, 0.495, 1.495, 1.505], abs=0.011)


@pytest.mark.parametrize(
    ("weight", "error", "says"),
    [
        (lambda _: "3", TypeError, "weight must return a number, it returned '3' for 'item'"),
        (lambda _: True, TypeError, "must return a number"),
        (lambda _: -1, ValueError, "of at least 0, it returned -1"),
        (lambda _: math.nan, ValueError, "of at least 0"),
        (lambda _: math.inf, ValueError, "of at least 0"),
        (lambda _: 21, ValueError, "weighs 21, more than 20/min can ever allow"),
        (lambda item: item.missing, AttributeError, "missing"),
    ],
)
def test_a_weight_that_cannot_be_meant_fails_its_input(weight: Any, error: type[Exception], says: str) -> None:
    limit = whilst.Limit(rate=["1/s", "20/min"], weight=weight)
    with pytest.raises(error, match=says), limit.of("item"):
        pass
    run = whilst.map(whilst.step(str.upper, limit=limit), ["item"])
    (outcome,) = run.outcomes()
    assert isinstance(outcome.error, error)
    assert idle(limit)


@virtually
async def test_permits_of_a_rate_come_back_with_a_refund() -> None:
    limit = whilst.Limit(rate="1/min", burst=3)
    gate = Gate(limit)
    assert gate.ask(3) == 3
    gate.acquirer.refund(2)
    gate.acquirer.give_back()
    assert (gate.ask(3), gate.acquirer.wanted) == (2, 1)
    gate.acquirer.withdraw()
    assert limit.statistics().started == 3


@virtually
async def test_no_more_of_a_rate_comes_back_than_was_taken_in_the_latest_moment() -> None:
    limit = whilst.Limit(rate="1/min", burst=3)
    gate = Gate(limit)
    assert gate.ask(3) == 3
    await asyncio.sleep(60)
    assert gate.ask(1) == 1
    for _ in range(4):  # of which three were taken a minute ago
        gate.acquirer.refund(1)
    assert (gate.ask(3), gate.acquirer.wanted) == (1, 2)
    gate.acquirer.withdraw()
    gate.acquirer.give_back()
    assert idle(limit)


def test_jumps_of_the_wall_clock_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = [1e9]
    monkeypatch.setattr(time, "time", lambda: wall[0])

    async def main() -> list[float]:
        limit, times = whilst.Limit(rate="10/s"), list[float]()
        for jump in (86_400, -86_400, 0, 3600, -3600, 1e12, -1e12) * 5:
            async with limit:
                times.append(now())
            wall[0] += jump
        return times

    times: list[float] = []

    async def keep() -> None:
        times.extend(await main())

    testing.run(keep())
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(10, rel=0.01)


def test_a_limit_that_meets_another_clock_keeps_its_debts_and_nobody_waits_for_ever() -> None:
    limit = whilst.Limit(rate="1/s")
    waits: list[float] = []

    async def call() -> None:
        began = now()
        async with limit:
            waits.append(now() - began)

    async def late() -> None:
        await asyncio.sleep(1e6)
        await call()

    with limit:
        pass
    testing.run(call())  # from years of uptime to second 0
    testing.run(late())
    testing.run(call())  # from a million seconds back to 0
    assert waits[0] == pytest.approx(0.995, abs=0.1)
    assert waits[1] <= 1.0
    assert waits[2] == pytest.approx(0.995, abs=0.01)


# -- turns --------------------------------------------------------------------------------------------------------


@virtually
async def test_one_who_wants_many_gets_one_a_turn_while_others_stand_behind() -> None:
    limit = whilst.Limit(rate="10/s")
    gate = Gate(limit)
    gate.ask(1000)
    waits = []
    for _ in range(20):
        await asyncio.sleep(0.33)
        began = now()
        async with limit:
            waits.append(now() - began)
    assert max(waits) <= 0.21
    assert len(gate.got) > 50
    gate.acquirer.withdraw()
    assert not limit.statistics().waiting


@virtually
async def test_parties_that_want_many_share_evenly() -> None:
    limit = whilst.Limit(rate="100/s")
    gates = [Gate(limit) for _ in range(3)]
    for gate in gates:
        gate.ask(10_000)
    await asyncio.sleep(30)
    counts = [len(gate.got) for gate in gates]
    assert sum(counts) == pytest.approx(3000, rel=0.01)
    assert max(counts) - min(counts) <= 2


@virtually
async def test_alone_everything_possible_is_taken_and_told_at_once() -> None:
    limit, told_of = whilst.Limit(concurrency=100), list[int]()
    acquirer = party((limit,), None, loop=asyncio.get_running_loop(), granted=told_of.append)
    assert (acquirer.ask(1000), acquirer.wanted) == (100, 900)
    acquirer.give_back(60)
    acquirer.give_back(3)
    assert told_of == []  # never from inside a call
    await asyncio.sleep(0)
    assert (told_of, acquirer.wanted) == ([63], 837)
    assert acquirer.ask(5) == 0  # it stands in line; now for 5
    assert acquirer.wanted == 5
    acquirer.give_back(50)
    await asyncio.sleep(0)
    assert (told_of, acquirer.wanted) == ([63, 5], 0)
    assert limit.statistics().in_flight == 55


@virtually
async def test_what_is_granted_when_one_withdraws_still_arrives() -> None:
    limit, told_of = whilst.Limit(concurrency=2), list[int]()
    acquirer = party((limit,), None, loop=asyncio.get_running_loop(), granted=told_of.append)
    assert acquirer.ask(3) == 2
    acquirer.give_back(1)
    acquirer.withdraw()
    await asyncio.sleep(0)
    assert told_of == [1]
    acquirer.refund(1)
    acquirer.give_back(1)
    assert idle(limit)


@virtually
async def test_an_acquirer_is_asked_anew_for_the_weight_of_another_item_of_its_key() -> None:
    limit = whilst.Limit(rate="10/s", by=lambda item: item[0], weight=lambda item: item[1])
    gate = Gate(limit, item=("a", 1))
    assert gate.acquirer.set.keys == ("a",)
    assert gate.acquirer.ask(1, ("a", 20)) == 1
    assert gate.acquirer.set.weights == (20.0,)
    with pytest.raises(ValueError, match="this acquirer is for"):
        gate.acquirer.ask(1, ("b", 1))
    gate.ask(1)
    await asyncio.sleep(3)
    assert gate.got == pytest.approx([2.0], abs=0.02)
    gate.acquirer.give_back(2)


# -- keys ---------------------------------------------------------------------------------------------------------


@virtually
async def test_each_key_has_permits_and_rates_of_its_own() -> None:
    limit = whilst.Limit(concurrency=2, rate="10/s", burst=2, by=lambda item: item[0])
    most: Counter[str] = Counter()
    inside: Counter[str] = Counter()

    async def call(item: str) -> str:
        inside[item[0]] += 1
        most[item[0]] = max(most[item[0]], inside[item[0]])
        await asyncio.sleep(1)
        inside[item[0]] -= 1
        return item

    items = [f"{key}{i}" for i in range(4) for key in "abcde"]
    run = whilst.map(whilst.step(call, limit=limit), items, concurrency=100)
    assert await run == items
    assert run.summary().elapsed == pytest.approx(2, abs=0.05)
    assert most == dict.fromkeys("abcde", 2)
    assert limit.statistics().keys == 5


def test_a_by_that_raises_fails_its_input_and_the_run_goes_on() -> None:
    limit = whilst.Limit(concurrency=2, by=lambda item: item["host"])
    outcomes = list(
        whilst.map(whilst.step(len, limit=limit), [{"host": "a"}, {}, {"host": []}, {"host": "b"}]).outcomes()
    )
    assert [type(outcome.error) for outcome in outcomes] == [type(None), KeyError, TypeError, type(None)]
    assert "by must return something hashable" in str(outcomes[2].error)
    assert idle(limit)


@virtually
async def test_idle_keys_are_forgotten_and_busy_ones_are_not() -> None:
    limit = whilst.Limit(concurrency=1, rate="100/s", by=lambda item: item)
    busy = Gate(limit, item="busy")
    busy.ask(1)
    for i in range(30_000):
        async with limit.of(i):
            pass
        if i % 100 == 0:
            await asyncio.sleep(0.02)
        if i % 5000 == 0:
            assert limit.statistics().keys <= 2 * REMEMBERED + 1
    seen = limit.statistics()
    assert seen.in_flight == 1
    assert seen.started == 30_001
    waiting = asyncio.create_task(_enter(limit.of("busy")))
    await asyncio.sleep(1)
    assert not waiting.done()
    busy.acquirer.give_back()
    await waiting
    assert idle(limit)


@virtually
async def test_keys_that_come_in_turn_and_are_a_few_too_many_are_remembered_for_the_most_part() -> None:
    asked = 0

    def concurrency(_: int) -> int:
        nonlocal asked
        asked += 1  # when a key is new, or was forgotten
        return 1

    count = REMEMBERED + REMEMBERED // 10
    limit = whilst.Limit(concurrency=concurrency, by=lambda item: item % count)
    rounds = 3
    assert len(await whilst.map(_same, range(rounds * count), limit=limit)) == rounds * count
    assert asked < count * (1 + 0.6 * (rounds - 1))


@virtually
async def test_a_run_asks_by_once_of_each_input() -> None:
    asked: list[int] = []

    def by(item: int) -> int:
        asked.append(item)
        return item

    await whilst.map(_same, range(50), limit=whilst.Limit(concurrency=1, by=by))
    assert asked == [*range(50)]


async def _same(item: int) -> int:
    return item


async def _enter(entry: Any) -> None:
    async with entry:
        pass


@virtually
async def test_an_acquirer_whose_key_was_forgotten_meanwhile_shares_with_those_who_came_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whilst.limit.state.REMEMBERED", 1)
    limit = whilst.Limit(concurrency=1, by=lambda item: item)
    early = Gate(limit, item="a")
    Gate(limit, item="b")
    assert limit.statistics().keys == 1
    late = Gate(limit, item="a")
    assert (late.ask(1), early.ask(1)) == (1, 0)
    late.acquirer.give_back()
    await asyncio.sleep(0)
    assert early.got == [0.0]
    early.acquirer.give_back()
    assert idle(limit)


# -- pauses and feedback ------------------------------------------------------------------------------------------


@virtually
async def test_a_retry_after_pauses_the_whole_key_and_no_other() -> None:
    limit = whilst.Limit(concurrency=5, by=lambda item: item)
    a, b = Gate(limit, item="a"), Gate(limit, item="b")
    assert a.ask(3) == 3
    a.acquirer.finished(0.0, Report("rejected", retry_after=10.0))
    assert a.acquirer.paused_until == pytest.approx(10.05, abs=0.051)
    assert b.acquirer.paused_until < 0
    assert (a.ask(1), b.ask(1)) == (0, 1)
    await asyncio.sleep(9.99)
    assert len(a.got) == 3
    assert "paused for" in repr(limit)
    await asyncio.sleep(0.26)
    assert len(a.got) == 4
    assert limit.statistics().rejected == 1


@virtually
async def test_of_several_limits_the_one_with_keys_pauses() -> None:
    mine, shared = whilst.Limit(concurrency=5), whilst.Limit(concurrency=5, by=lambda item: item)
    a, b = Gate(mine, shared, item="a"), Gate(mine, shared, item="b")
    a.ask(1)
    a.acquirer.finished(0.0, Report("rejected", retry_after=10.0))
    assert (a.ask(1), b.ask(1)) == (0, 1)


@virtually
async def test_a_rate_that_the_other_side_asks_for_holds_for_its_window() -> None:
    limit = LimitState()
    gate = Gate(limit)
    assert gate.ask(100) == 100
    gate.acquirer.finished(0.0, Report("ok", rate=2.0, window=5.0))
    gate.ask(10)
    await asyncio.sleep(4.99)
    assert len(gate.got) == 110
    gate.ask(1000)
    await asyncio.sleep(0.5)
    assert len(gate.got) == 1110


@virtually
@pytest.mark.parametrize("nonsense", [-1.0, math.nan, math.inf, 0.0])
async def test_a_wait_that_is_none_does_not_pause(nonsense: float) -> None:
    limit = whilst.Limit(concurrency=5)
    gate = Gate(limit)
    gate.ask(1)
    gate.acquirer.finished(0.0, Report("rejected", nonsense, rate=nonsense, window=nonsense))
    assert gate.ask(5) == 5


@virtually
async def test_an_absurd_wait_is_a_day() -> None:
    limit = whilst.Limit(concurrency=5)
    gate = Gate(limit)
    gate.ask(1)
    gate.acquirer.finished(0.0, Report("rejected", 99_999_999))
    assert limit.statistics().paused_for == pytest.approx(86_400, abs=0.2)


class Two:
    """A controller of two that remembers verdicts."""

    limit, rate = 2, None

    def __init__(self) -> None:
        self.told: list[str] = []

    def delay(self, in_flight: int, now: float) -> float:
        return 0.0 if in_flight < self.limit else math.inf

    def sent(self, in_flight: int, now: float) -> None:
        self.told.append("sent")

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        self.told.append("ok")

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None) -> None:
        self.told.append(f"rejected {retry_after}")

    def paused(self, until: float) -> None:
        self.told.append("paused")

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        self.told.append("failed")


class Slower(whilst.Throttled):
    def __init__(self) -> None:
        super().__init__(retry_after=3.0)


@pytest.fixture
def controllers(monkeypatch: pytest.MonkeyPatch) -> list[Two]:
    """Put a stand-in in the place of the adaptive controller."""
    made: list[Two] = []

    def make() -> Two:
        made.append(Two())
        return made[-1]

    adaptive: Any = types.ModuleType("whilst.core.adaptive")
    adaptive.Controller = make
    monkeypatch.setitem(sys.modules, "whilst.core.adaptive", adaptive)
    return made


def test_an_adaptive_limit_has_a_controller_for_each_key_and_tells_it_everything(controllers: list[Two]) -> None:
    limit = whilst.Limit(concurrency="adaptive", by=lambda item: item[0])
    assert repr(limit) == "<Limit 0 in flight, 2 per key, 0 keys, adaptive>"
    controllers.clear()

    async def main() -> None:
        gates = [Gate(limit, item=item) for item in ("a1", "a2", "b1")]
        assert [gate.ask(5) for gate in gates] == [2, 0, 2]
        gates[0].acquirer.finished(0.0, Report("ok"))
        gates[0].acquirer.finished(0.0, Report("rejected"))
        gates[2].acquirer.finished(0.0, Report("failed"))
        await asyncio.sleep(1)

    testing.run(main())
    assert [two.told[:4] for two in controllers] == [["sent", "sent", "ok", "sent"], ["sent", "sent", "failed", "sent"]]
    assert limit.statistics().adaptive


@virtually
async def test_an_adaptive_limit_finds_what_a_server_of_fifty_slots_bears() -> None:
    limit = whilst.Limit(concurrency="adaptive")
    inside = ok = rejected = 0
    inputs = iter(range(20_000))

    async def serve() -> None:
        nonlocal inside
        inside += 1
        try:
            await asyncio.sleep(0.1 if inside <= 50 else 0.01)
            if inside > 50:
                raise whilst.Throttled("no slot is free")
        finally:
            inside -= 1

    async def work() -> None:
        nonlocal ok, rejected
        for _ in inputs:
            try:
                async with limit:
                    await serve()
                ok += 1
            except whilst.Throttled:
                rejected += 1

    await asyncio.gather(*(work() for _ in range(400)))
    assert ok / now() >= 0.93 * 500  # a second; fifty slots of 0.1 s
    assert rejected <= 0.03 * ok
    assert limit.statistics().rejected == rejected


def test_a_block_tells_how_it_ended(controllers: list[Two]) -> None:
    for error in (None, ValueError(), Slower(), KeyboardInterrupt(), asyncio.CancelledError()):
        limit = whilst.Limit(concurrency="adaptive")
        with contextlib.suppress(ValueError, Slower, KeyboardInterrupt, asyncio.CancelledError), limit:
            if error is not None:
                raise error
        assert idle(limit)
    told_of = [two.told[1:] for two in controllers if two.told]
    assert told_of == [["ok"], ["failed"], ["paused"], [], []]


def test_pushback_out_of_a_block_or_a_step_pauses_the_limit(controllers: list[Two]) -> None:
    async def refused(value: int) -> int:
        raise Slower

    async def main() -> None:
        by_hand, by_step = whilst.Limit(concurrency=5), whilst.Limit(concurrency=5)
        with pytest.raises(Slower):
            async with by_hand:
                raise Slower
        with pytest.raises(Slower):
            await whilst.step(refused, limit=by_step).aio(1)
        for limit in (by_hand, by_step):
            async with limit:
                pass
            assert 3.0 <= now() <= 3.25
            assert limit.statistics().rejected == 1

    testing.run(main())


# -- several limits -----------------------------------------------------------------------------------------------


@virtually
async def test_several_limits_are_taken_all_or_none() -> None:
    a, b, rate = whilst.Limit(concurrency=3), whilst.Limit(concurrency=1), whilst.Limit(rate="1/s")
    gate = Gate(a, b, rate)
    assert gate.ask(5) == 1
    assert [limit.statistics().in_flight for limit in (a, b, rate)] == [1, 1, 1]
    await asyncio.sleep(10)
    gate.acquirer.give_back()
    await asyncio.sleep(0)
    assert gate.got == [0.0, 10.0]
    assert [limit.statistics().in_flight for limit in (a, b, rate)] == [1, 1, 1]
    gate.acquirer.withdraw()
    gate.acquirer.give_back()
    assert idle(a)


@virtually
async def test_one_who_waits_for_one_limit_holds_up_nobody_at_the_other() -> None:
    free, full = whilst.Limit(concurrency=2), whilst.Limit(concurrency=1)
    async with full:
        both = Gate(free, full)
        both.ask(1)
        one = Gate(free)
        assert one.ask(5) == 2
    await asyncio.sleep(0)
    assert both.got == []
    one.acquirer.withdraw()
    one.acquirer.give_back(2)
    await asyncio.sleep(0)
    assert both.got == [0.0]
    both.acquirer.give_back()


@virtually
async def test_whoever_needs_two_busy_limits_is_not_starved_by_those_who_need_one() -> None:
    a, b = whilst.Limit(concurrency=2), whilst.Limit(concurrency=2)
    ended = False

    async def busy(limit: whilst.Limit, seconds: float) -> None:
        while not ended:
            async with limit:
                await asyncio.sleep(seconds)

    others = [asyncio.create_task(busy(limit, 1 + i / 7)) for i in range(5) for limit in (a, b)]
    await asyncio.sleep(5)
    for _ in range(3):
        both, began = Gate(a, b), now()
        both.ask(1)
        while not both.got:
            await asyncio.sleep(0.1)
            assert now() - began < 60
        both.acquirer.give_back()
    assert all(line.kept_for is None for limit in (a, b) for line in state_of(limit).keys.queues)
    ended = True
    await asyncio.gather(*others)
    assert idle(a)
    assert idle(b)


async def same(item: int) -> int:
    return item


@pytest.mark.parametrize("second", [{"concurrency": 1}, {"rate": "2/s"}], ids=["bounded", "rate"])
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
@virtually
async def test_what_is_kept_for_who_needs_two_limits_is_open_to_those_it_waits_for(
    second: dict[str, Any], far: bool
) -> None:
    """A task holds one of them and asks for the other, or waits for one who does: all stood still for ever."""
    a, b, c = whilst.Limit(concurrency=1), whilst.Limit(**second), whilst.Limit(concurrency=1)
    ended, times = False, 0

    async def alone() -> None:
        while not ended:
            async with b:
                await asyncio.sleep(0.7)

    async def holds_the_first() -> None:
        nonlocal times
        while not ended:
            async with a:
                await asyncio.sleep(1)
                async with c if far else b:
                    times += 1

    async def holds_the_third() -> None:
        while not ended:
            async with c:
                await asyncio.sleep(1)
                async with b:
                    pass

    tasks = [asyncio.create_task(it()) for it in (alone, holds_the_first, *(holds_the_third,) * far)]
    async with asyncio.timeout(1000.0):
        await whilst.map(same, range(20), limit=[a, b])
    before = times
    await asyncio.sleep(100)
    assert times > before
    ended = True
    await asyncio.gather(*tasks)


@virtually
async def test_a_key_is_not_forgotten_while_a_call_of_it_waits_at_another_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whilst.limit.state.REMEMBERED", 8)
    host, pool = whilst.Limit(concurrency=1, by=str), whilst.Limit(concurrency=1)
    inside = most = 0

    async def call(_: str) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(10)
        inside -= 1

    async def run() -> None:
        await whilst.map(call, ["a"] * 3, limit=[host, pool])

    permit = pool.try_acquire()
    assert permit is not None
    task = asyncio.create_task(run())
    await asyncio.sleep(1)
    for key in range(200):
        other = host.try_acquire(key)
        assert other is not None
        other.release()
    permit.release()
    await asyncio.sleep(1)
    async with host.of("a"):
        assert inside == 0
        await asyncio.sleep(1)
    await task
    assert most == 1
    assert idle(host)


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 2), min_size=1), st.integers(1, 4), st.floats(0, 2)), min_size=1, max_size=12
    )
)
@settings(max_examples=60)
def test_any_mixture_of_parties_and_limits_comes_to_its_end(parties: list[tuple[set[int], int, float]]) -> None:
    limits = [
        whilst.Limit(concurrency=2),
        whilst.Limit(concurrency=1, rate="20/s"),
        whilst.Limit(rate=["50/s", "15/3s"], burst=2),
    ]
    inside: Counter[int] = Counter()

    async def one(places: set[int], calls: int, nap: float) -> None:
        for _ in range(calls):
            acquirer = await acquire(states(limits[place] for place in places), None)
            inside.update(places)
            assert inside[0] <= 2
            assert inside[1] <= 1
            await asyncio.sleep(nap)
            inside.subtract(places)
            acquirer.finished(acquirer.clock(), Report("ok"))

    async def main() -> None:
        await asyncio.gather(*(one(*party) for party in parties))

    testing.run(main())
    assert all(idle(limit) for limit in limits)


# -- cancellation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["with", "of", "hold"])
def test_cancelled_in_any_round_a_wait_takes_nothing(style: str) -> None:
    index, rounds = 0, -1
    while rounds < 0:
        a = whilst.Limit(concurrency=1, rate="10/s", **({"by": lambda item: item} if style == "of" else {}))
        b = whilst.Limit(concurrency=2)

        async def one(limit: whilst.Limit = a, other: whilst.Limit = b) -> None:
            if style == "hold":
                acquirer = await acquire(states([limit, other]), None)
                try:
                    await asyncio.sleep(0)
                finally:
                    acquirer.give_back()
            else:
                async with limit.of(1) if style == "of" else limit:
                    await asyncio.sleep(0)

        async def main(index: int = index, one: Callable[[], Coroutine[Any, Any, None]] = one) -> int:
            tasks = [asyncio.create_task(one()) for _ in range(4)]
            for step in range(index):
                await asyncio.sleep(0.03 if step % 3 == 2 else 0)
            cancelled = [task.cancel() for task in tasks[1:3]]
            await asyncio.gather(*tasks, return_exceptions=True)
            assert tasks[0].exception() is None
            assert tasks[3].exception() is None
            return -1 if any(cancelled) else index

        with asyncio.Runner(loop_factory=testing.VirtualTimeLoop) as runner:
            rounds = runner.run(main())
        assert idle(a)
        assert idle(b)
        assert 2 <= a.statistics().started <= 4
        index += 1
    assert rounds >= 5


@virtually
async def test_one_cancelled_in_the_moment_of_its_grant_passes_it_on() -> None:
    limit, order = whilst.Limit(concurrency=1), list[int]()

    async def call(name: int) -> None:
        async with limit:
            order.append(name)

    gate = Gate(limit)
    gate.ask(1)
    tasks = [asyncio.create_task(call(name)) for name in range(3)]
    await asyncio.sleep(0)
    gate.acquirer.give_back()
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 2]
    assert idle(limit)


@virtually
async def test_entered_in_one_context_and_left_in_another_a_permit_goes_back_once() -> None:
    limit = whilst.Limit(concurrency=2)

    async def numbers() -> Any:
        async with limit:
            yield 1

    agen = numbers()
    await asyncio.create_task(agen.__anext__())
    async with limit:
        await asyncio.create_task(agen.aclose())
        assert limit.statistics().in_flight == 1
    assert idle(limit)


def test_a_call_of_a_run_cannot_wait_for_the_limit_that_it_is_under() -> None:
    limit = whilst.Limit(concurrency=1)

    def blocking(x: int) -> int:
        with limit:
            return x

    async def native(x: int) -> int:
        async with limit:
            return x

    def nested(x: int) -> list[int]:
        return whilst.map(abs, [x], limit=limit).list()

    for call in (blocking, native, nested):
        [outcome] = whilst.map(call, [1], limit=limit).outcomes()
        assert isinstance(outcome.error, RuntimeError)
        assert "this call holds a permit of this limit already" in str(outcome.error)
    with limit, pytest.raises(RuntimeError, match="holds a permit"):
        whilst.map(abs, [1], limit=limit).list()
    assert idle(limit)


def test_a_source_may_use_the_limit_of_its_run() -> None:
    limit = whilst.Limit(concurrency=1)

    def pages() -> Iterator[int]:
        for page in range(3):
            with limit:
                pass
            yield page

    async def pages_async() -> AsyncIterator[int]:
        for page in range(3):
            async with limit:
                pass
            yield page

    assert whilst.map(abs, pages(), limit=limit).list() == [0, 1, 2]
    assert whilst.map(abs, pages_async(), limit=limit).list() == [0, 1, 2]
    assert idle(limit)


def test_a_block_inside_a_block_of_the_same_limit_raises_and_of_a_rate_does_not() -> None:
    limit, rate = whilst.Limit(concurrency=5), whilst.Limit(rate="1000/s")
    with limit, pytest.raises(RuntimeError, match="holds a permit of this limit already"), limit:
        pass
    keyed = whilst.Limit(concurrency=5, by=str)
    with keyed.of("a"), pytest.raises(RuntimeError, match="holds a permit"), keyed.of("b"):
        pass
    with limit, pytest.raises(RuntimeError, match="holds a permit"):
        whilst.step(abs, limit=limit)(-1)
    with rate, rate:
        assert rate.statistics().in_flight == 2
    assert idle(limit)
    assert idle(rate)


def test_a_permit_is_for_one_block_at_a_time() -> None:
    rate = whilst.Limit(rate="1000/s")
    permit = rate.of(1)
    with permit, pytest.raises(RuntimeError, match="in use"), permit:
        pass
    with permit:
        assert "a permit for 1" in repr(permit)


def test_a_function_that_uses_a_limit_does_not_cost_its_run_a_lane_a_call() -> None:
    limit, tasks = whilst.Limit(concurrency=5), set[Any]()

    async def call(value: int) -> int:
        tasks.add(asyncio.current_task())
        async with limit:
            await asyncio.sleep(0)
        return value

    assert len(whilst.map(call, range(200), concurrency=2).list()) == 200
    assert len(tasks) <= 4


# -- loops and threads --------------------------------------------------------------------------------------------


def test_threads_and_loops_share_one_limit(eventually: Callable[..., bool]) -> None:
    limit, guard = whilst.Limit(concurrency=3, rate="20000/s"), threading.Lock()
    inside = most = calls = 0

    def enter() -> None:
        nonlocal inside, most, calls
        with guard:
            inside += 1
            calls += 1
            most = max(most, inside)

    def leave() -> None:
        nonlocal inside
        with guard:
            inside -= 1

    def plain() -> None:
        for _ in range(100):
            with limit:
                enter()
                time.sleep(0)
                leave()

    async def many() -> None:
        async def one() -> None:
            for _ in range(20):
                async with limit:
                    enter()
                    await asyncio.sleep(0)
                    leave()

        await asyncio.gather(*(one() for _ in range(5)))

    targets = (plain, lambda: asyncio.run(many())) * 3
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (calls, inside) == (600, 0)
    assert most <= 3
    assert idle(limit)
    assert limit.statistics().started == 600


def test_plain_threads_are_paced_too() -> None:
    limit, times = whilst.Limit(rate="200/s"), list[float]()

    def plain() -> None:
        for _ in range(20):
            with limit:
                times.append(time.monotonic())

    threads = [threading.Thread(target=plain) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    times.sort()
    for i, first in enumerate(times):
        for j in range(i + 1, len(times)):
            # two in 5 ms; and each thread may have one that it was granted before, when the system stopped it
            assert j - i + 1 <= 200 * (times[j] - first) + 2 + len(threads) + 1e-6


def test_a_thread_behind_a_loop_that_stopped_is_served_all_the_same() -> None:
    limit = whilst.Limit(rate="50/s")
    loop = asyncio.new_event_loop()

    async def stand() -> Acquirer:
        acquirer = party((limit,), None, loop=loop, granted=lambda count: None)
        acquirer.ask(5)
        return acquirer

    acquirer = loop.run_until_complete(stand())  # and its timer never fires
    with limit:
        pass
    loop.run_until_complete(asyncio.sleep(0))
    acquirer.withdraw()
    loop.close()


def test_the_parties_of_a_closed_loop_are_dropped(eventually: Callable[..., bool]) -> None:
    limit = whilst.Limit(concurrency=1)
    loop = asyncio.new_event_loop()

    async def stand() -> None:
        for _ in range(3):
            party((limit,), None, loop=loop, granted=lambda count: None).ask(2)

    with limit:
        loop.run_until_complete(stand())
        loop.close()
        assert limit.statistics().waiting == 3
    assert idle(limit)
    with limit:
        assert limit.statistics().in_flight == 1


def test_a_loop_behind_a_closed_loop_is_served() -> None:
    limit = whilst.Limit(rate="20/s")
    closed = asyncio.new_event_loop()

    async def stand() -> None:
        party((limit,), None, loop=closed, granted=lambda count: None).ask(3)

    async def call() -> None:
        async with limit:
            pass

    with limit:
        pass
    closed.run_until_complete(stand())
    closed.close()
    asyncio.run(asyncio.wait_for(call(), 5))
    assert limit.statistics().waiting == 0


def test_an_interrupt_ends_a_wait_in_a_block_and_takes_nothing() -> None:
    limit = whilst.Limit(concurrency=1)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with limit:
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    main = threading.get_ident()

    def interrupt() -> None:
        while not limit.statistics().waiting:
            time.sleep(0.001)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt), limit:
        pass
    assert limit.statistics().in_flight == 1  # the holder is still inside
    assert limit.statistics().waiting == 0
    leave.set()
    holder.join(10)
    interrupter.join(10)
    assert idle(limit)


def test_a_permit_given_back_on_another_thread_wakes_the_loop() -> None:
    limit = whilst.Limit(concurrency=1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        acquirer = party((limit,), None, loop=loop, granted=lambda count: None)
        assert acquirer.ask(1) == 1
        waiting = asyncio.create_task(_enter(limit))
        await asyncio.sleep(0)
        thread = threading.Thread(target=acquirer.finished, args=(0.0, Report("ok")))
        thread.start()
        await asyncio.wait_for(waiting, 5)
        thread.join(5)

    asyncio.run(main())
    assert idle(limit)


def test_nothing_of_a_loop_is_kept_by_a_limit_that_outlives_it() -> None:
    limit = whilst.Limit(concurrency=1, rate="1000/s")

    async def main() -> None:
        await asyncio.gather(*(_enter(limit) for _ in range(5)))

    asyncio.run(main())
    gc.collect()
    assert all(not line.alarms and not line.parties for line in state_of(limit).keys.queues)
