"""Advice is followed, and the run made again: what was announced is reached, and what is only possible is not said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kit import virtually

import whilst


class Server:
    """Takes so many calls at once, each for a tenth of a second; the others queue, which the client cannot see."""

    def __init__(self, takes: int) -> None:
        self._places = asyncio.Semaphore(takes)

    async def __call__(self, item: Any) -> Any:
        async with self._places:
            await asyncio.sleep(0.1)
        return item


async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def taken(run: whilst.Run[Any, Any], each: float = 0.0) -> whilst.Summary:
    async for _ in run:
        if each:
            await asyncio.sleep(each)
    return run.summary()


async def all_taken(run: whilst.Run[Any, Any]) -> whilst.Summary:
    async for _ in run.outcomes():
        pass
    return run.summary()


@virtually
async def test_more_lanes_where_the_other_side_takes_them() -> None:
    arguments: dict[str, Any] = {"concurrency": 4}
    before = await taken(whilst.map(Server(1000), range(400), **arguments))
    (advice,) = before.advice
    assert advice.gain is None
    assert advice.change == {"concurrency": "adaptive"}
    after = await taken(whilst.map(Server(1000), range(400), **{**arguments, **advice.change}))
    assert before.elapsed / after.elapsed > 2.0


@virtually
async def test_where_a_limit_permits_fewer_than_the_concurrency_it_is_the_limit_that_is_named() -> None:
    limit = whilst.Limit(concurrency=2)
    before = await taken(whilst.map(Server(1000), range(100), concurrency=8, limit=limit))
    (advice,) = before.advice
    assert advice.text.startswith("concurrency=2 of its limit is what bounds this run")
    assert advice.change == {"limit": "Limit(concurrency=4)"}
    after = await taken(whilst.map(Server(1000), range(100), concurrency=8, limit=whilst.Limit(concurrency=4)))
    assert before.elapsed / after.elapsed == pytest.approx(2.0, rel=0.1)
    alone = await taken(whilst.map(Server(1000), range(100), concurrency=2, limit=whilst.Limit(concurrency=4)))
    assert alone.advice[0].change == {"concurrency": "adaptive"}, "there it is the run's own"


@virtually
async def test_a_server_that_takes_eight_is_not_promised_more() -> None:
    fixed = await taken(whilst.map(Server(8), range(400), concurrency=8))
    assert [it.gain for it in fixed.advice] == [None]
    found = await taken(whilst.map(Server(8), range(4000), concurrency="adaptive"))
    for advice in found.advice:
        asked = (advice.change or {}).get("concurrency", 0)
        if advice.gain is not None and isinstance(asked, int):
            after = await taken(whilst.map(Server(8), range(4000), concurrency=asked))
            assert found.elapsed / after.elapsed >= 0.7 * advice.gain


class Thrashing:
    """Takes longer the more calls it has, by the square: beyond 20 at once it gets less done."""

    def __init__(self) -> None:
        self._inside = 0

    async def __call__(self, item: Any) -> Any:
        self._inside += 1
        try:
            await asyncio.sleep(0.1 * (1.0 + self._inside * (self._inside - 1) / 400))
        finally:
            self._inside -= 1
        return item


class Refusing:
    """Takes twelve at once, and refuses more in no time."""

    def __init__(self) -> None:
        self._inside = 0

    async def __call__(self, item: Any) -> Any:
        if self._inside >= 12:
            await asyncio.sleep(0.005)
            raise whilst.Throttled
        self._inside += 1
        try:
            await asyncio.sleep(0.1)
        finally:
            self._inside -= 1
        return item


async def some_are_slow(item: int) -> int:
    await asyncio.sleep(1.1 if item % 20 == 7 else 0.1)
    return item


RAMPS: dict[str, tuple[Callable[[], Any], int]] = {  # and what it bears at once
    "takes all": (lambda: Server(10_000), 10_000),
    "takes 64": (lambda: Server(64), 64),
    "takes 8": (lambda: Server(8), 8),
    "thrashes": (Thrashing, 20),
    "refuses": (Refusing, 12),
    "some are slow": (lambda: some_are_slow, 10_000),
}


@pytest.mark.parametrize("count", [150, 400, 3000])
@pytest.mark.parametrize("other", RAMPS)
@virtually
async def test_what_the_ramp_of_an_adaptive_run_has_shown_is_reached_from_the_start(other: str, count: int) -> None:
    make, bears = RAMPS[other]
    retry = whilst.Retry(20, budget=None)
    found = await taken(whilst.map(make(), range(count), concurrency="adaptive", retry=retry))
    firm = [it for it in found.advice if it.gain is not None]
    for advice in found.advice:
        asked = (advice.change or {}).get("concurrency", 0)
        if isinstance(asked, int):
            assert asked <= 1.25 * bears, "nobody is sent where no more gets done"
    for advice in firm:
        assert advice.change is not None
        after = await taken(whilst.map(make(), range(count), retry=retry, **advice.change))
        assert found.elapsed / after.elapsed >= 0.7 * (advice.gain or 0.0)
    if other == "takes all" and count < 3000:
        assert firm, "most of such a run is its ramp"


@virtually
async def test_where_a_limit_was_raised_by_hand_what_that_gave_is_announced() -> None:
    limit = whilst.Limit(concurrency=4)
    run = whilst.map(Server(1000), range(400), limit=limit)

    async def raise_it() -> None:
        await asyncio.sleep(5.0)
        limit.set(concurrency=16)

    raising = asyncio.create_task(raise_it())
    before = await taken(run)
    await raising
    (advice,) = before.advice
    assert advice.gain is not None
    assert advice.change == {"limit": "Limit(concurrency=16)"}
    after = await taken(whilst.map(Server(1000), range(400), limit=whilst.Limit(concurrency=16)))
    assert before.elapsed / after.elapsed == pytest.approx(advice.gain, rel=0.1)


@virtually
async def test_without_the_order_a_slow_input_holds_nobody_up() -> None:
    naps = [30.0 if item % 2000 == 0 else 0.01 for item in range(6000)]
    before = await taken(whilst.map(nap, naps, concurrency=4))
    advice = next(it for it in before.advice if it.change == {"ordered": False})
    assert advice.gain is not None
    after = await taken(whilst.map(nap, naps, concurrency=4, ordered=False))
    assert before.elapsed / after.elapsed >= 0.7 * advice.gain


@virtually
async def test_the_slowest_first_shortens_the_end() -> None:
    naps = [0.1] * 400 + [5.0] * 4
    before = await taken(whilst.map(nap, naps, concurrency=8))
    advice = next(it for it in before.advice if "slowest ones first" in it.text)
    assert advice.gain is not None
    after = await taken(whilst.map(nap, naps[::-1], concurrency=8))
    assert before.elapsed / after.elapsed >= 0.7 * advice.gain


@virtually
async def test_a_higher_limit_is_at_most_what_the_sentence_says() -> None:
    before = await taken(whilst.map(nap, [0.1] * 100, concurrency=8, rate="20/s"))
    (advice,) = before.advice
    assert advice.change == {"rate": "40/s"}
    after = await taken(whilst.map(nap, [0.1] * 100, concurrency=8, **advice.change))
    assert before.elapsed / after.elapsed == pytest.approx(2.0, rel=0.1)


@virtually
async def test_a_faster_source_is_worth_what_was_said() -> None:
    async def source(each: float) -> Any:
        for _ in range(200):
            await asyncio.sleep(each)
            yield 0.1

    before = await taken(whilst.map(nap, source(0.05), concurrency=8))
    assert before.advice[0].text.startswith("The source gives 20/s, the calls could take 8")
    after = await taken(whilst.map(nap, source(0.001), concurrency=8))
    assert 3.5 < before.elapsed / after.elapsed <= 4.1


@virtually
async def test_what_the_loop_does_can_be_done_in_the_calls() -> None:
    before = await taken(whilst.map(nap, [0.02] * 100, concurrency=8), each=0.05)
    assert before.advice[0].text.startswith("Your loop is slower than the calls")

    async def both(seconds: float) -> None:
        await nap(seconds)
        await asyncio.sleep(0.05)

    after = await taken(whilst.map(both, [0.02] * 100, concurrency=8))
    assert before.elapsed / after.elapsed > 4


@virtually
async def test_the_stage_that_the_others_wait_for_is_widened() -> None:
    def pipeline(wide: int) -> whilst.Flow[Any, Any]:
        return whilst.sequence(
            lambda n: range(n),
            whilst.flatten(),
            whilst.each(lambda item: nap(0.01), concurrency=4),
            whilst.each(lambda item: nap(0.1), concurrency=wide),
        )

    before = await taken(pipeline(2).stream(200))
    (advice,) = before.advice
    assert advice.change == {"step": "sequence[3].each", "concurrency": 4}
    after = await taken(pipeline(4).stream(200))
    assert before.elapsed / after.elapsed == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("policies", "more", "change"),
    [
        ({"rate": "40/s"}, {"rate": "80/s"}, {"rate": "80/s"}),
        (
            {"limit": whilst.Limit(concurrency=2), "concurrency": 8},
            {"limit": whilst.Limit(concurrency=4), "concurrency": 8},
            {"limit": "Limit(concurrency=4)"},
        ),
    ],
    ids=["rate", "limit"],
)
@virtually
async def test_of_a_stage_that_a_limit_holds_it_is_the_limit_that_is_raised(
    policies: dict[str, Any], more: dict[str, Any], change: dict[str, Any]
) -> None:
    """More lanes would all wait for it."""

    async def ask(item: int) -> int:
        await asyncio.sleep(0.02)
        return item

    def pipeline(policies: dict[str, Any]) -> whilst.Flow[Any, Any]:
        return whilst.sequence(lambda n: range(n), whilst.flatten(), whilst.each(ask, **policies))

    before = await taken(pipeline(policies).stream(200))
    (advice,) = before.advice
    assert advice.change == {"step": "sequence[2].each (ask)", **change}
    after = await taken(pipeline(more).stream(200))
    assert before.elapsed / after.elapsed == pytest.approx(2.0, rel=0.1)


@virtually
async def test_a_pace_that_the_other_side_keeps_is_its_doing_and_no_gain_is_promised() -> None:
    until = 0.0

    async def call(item: int) -> int:
        nonlocal until
        now = asyncio.get_running_loop().time()
        if now < until:
            raise whilst.Throttled(retry_after=0.2)
        until = now + 0.04
        return item

    again = whilst.Retry(attempts=100, budget=None, breaker=False, base=0.01)
    found = await taken(whilst.map(call, range(300), concurrency=8, retry=again))
    assert next(iter(found.account)) == "pushback"
    assert all(it.gain is None for it in found.advice)


@virtually
async def test_a_higher_limit_is_given_where_the_limit_was_given() -> None:
    before = await taken(whilst.map(nap, [0.1] * 100, concurrency=8, limit=whilst.Limit(rate="20/s")))
    (advice,) = before.advice
    assert advice.change == {"limit": 'Limit(rate="40/s")'}
    after = await taken(whilst.map(nap, [0.1] * 100, concurrency=8, limit=whilst.Limit(rate="40/s")))
    assert before.elapsed / after.elapsed == pytest.approx(2.0, rel=0.1)


LIMITS: dict[str, Callable[[], whilst.Limit]] = {
    "of a key": lambda: whilst.Limit(rate="20/s", by=lambda item: 1),
    "with a weight": lambda: whilst.Limit(rate="20/s", weight=lambda item: 1.0),
    "with a number of calls, too": lambda: whilst.Limit(rate="20/s", concurrency=50),
    "with two rates": lambda: whilst.Limit(rate=["20/s", "5000/h"]),
    "that bursts": lambda: whilst.Limit(rate="20/s", burst=3),
}


@pytest.mark.parametrize("which", LIMITS)
@virtually
async def test_no_line_is_proposed_that_would_drop_what_else_a_limit_says(which: str) -> None:
    before = await taken(whilst.map(nap, [0.1] * 100, concurrency=8, limit=LIMITS[which]()))
    (advice,) = before.advice
    assert "rate=20/s" in advice.text
    assert advice.change is None


@pytest.mark.parametrize("limited", ["by its own rate", "by a limit"])
@virtually
async def test_a_stage_that_was_done_early_is_not_what_the_others_wait_for(limited: str) -> None:
    def pipeline(rate: str) -> whilst.Flow[Any, Any]:
        given: dict[str, Any] = {"rate": rate} if limited == "by its own rate" else {"limit": whilst.Limit(rate=rate)}
        return whilst.sequence(
            lambda n: range(n),
            whilst.flatten(),
            whilst.each(lambda item: nap(0.01), concurrency=4),
            whilst.each(lambda item: nap(0.05), concurrency=4, **given),
        )

    before = await taken(pipeline("50/s").stream(400))
    assert sum(before.stage_time["sequence[2].each"].values()) == pytest.approx(4 * before.elapsed, rel=0.02)
    assert before.stages["sequence[2].each"]["tail"] > 0.8
    (advice,) = before.advice
    assert advice.text.startswith("The other stages wait for sequence[3].each, which is held by rate=50/s")
    assert advice.change is not None
    assert advice.change["step"].startswith("sequence[3].each")
    assert advice.change.get("rate", advice.change.get("limit")) in ("100/s", 'Limit(rate="100/s")')
    after = await taken(pipeline("100/s").stream(400))
    assert before.elapsed / after.elapsed > 1.4


@virtually
async def test_a_shorter_timeout_ends_calls_sooner_that_would_not_answer() -> None:
    async def call(item: int) -> int:
        await asyncio.sleep(60.0 if item % 3 == 0 else 0.02)
        return item

    before = await all_taken(whilst.map(call, range(90), concurrency=8, timeout=2.0))
    advice = next(it for it in before.advice if "timeout" in it.text)
    assert "TimeoutError" in advice.evidence
    after = await all_taken(whilst.map(call, range(90), concurrency=8, timeout=0.5))
    assert before.elapsed / after.elapsed > 3.0


@pytest.mark.parametrize("as_step", [False, True])
@virtually
async def test_what_calls_that_fail_cost_is_at_most_what_is_said(as_step: bool) -> None:
    async def call(item: int) -> int:
        await asyncio.sleep(0.1)
        if broken and whilst.current_call().attempt < 3:  # type: ignore[union-attr]
            raise ConnectionResetError
        return item

    again = whilst.Retry(5, base=0.001, budget=None, breaker=False)
    given: dict[str, Any] = {"concurrency": 8} if as_step else {"concurrency": 8, "retry": again}
    fn: Any = whilst.step(call, retry=again) if as_step else call
    broken = True
    before = await taken(whilst.map(fn, range(200), **given))
    assert before.failed_time["ConnectionResetError"] == pytest.approx(0.1 * 400, rel=0.02)
    (advice,) = [it for it in before.advice if "calls that failed" in it.text]
    assert "at most 2.9x" in advice.text or "at most 3.0x" in advice.text
    broken = False
    after = await taken(whilst.map(fn, range(200), **given))
    assert before.elapsed / after.elapsed > 2.5
