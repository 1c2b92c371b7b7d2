"""`current_call().spent(cost)` where it cannot be meant, and whom it corrects where it can."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from kit import virtually

import whilst
from whilst.core.throttle import Throttle
from whilst.engine.stage import LONG, Spent


def spend(item: Any) -> None:
    call = whilst.current_call()
    assert call is not None
    call.spent(item)


async def spend_async(item: Any) -> None:
    spend(item)


LIMITS: dict[str, Any] = {
    "none": None,
    "one that has no rate": whilst.Limit(concurrency=2),
    "one that does not weigh": whilst.Limit(rate="1000/s"),
}


@pytest.mark.parametrize("fn", [spend, spend_async])
@pytest.mark.parametrize("as_step", [False, True])
@pytest.mark.parametrize("limit", LIMITS)
def test_where_nothing_weighs_calls_it_says_what_to_write(limit: str, as_step: bool, fn: Any) -> None:
    given = {"limit": LIMITS[limit]} if LIMITS[limit] else {}
    run = whilst.map(whilst.step(fn, **given), [1]) if as_step else whilst.map(fn, [1], **given)
    with pytest.raises(RuntimeError, match=r"no limit of this call has a weight=.*\n  try: limit=whilst.Limit\(rate="):
        run.list()


@pytest.mark.parametrize("as_step", [False, True])
@pytest.mark.parametrize(("cost", "error"), [("3", TypeError), (-1, ValueError), (float("inf"), ValueError)])
def test_what_is_no_cost_is_refused(cost: Any, error: type[Exception], as_step: bool) -> None:
    limit = whilst.Limit(rate="1000/s", weight=lambda item: 1)
    run = whilst.map(whilst.step(spend, limit=limit), [cost]) if as_step else whilst.map(spend, [cost], limit=limit)
    with pytest.raises(error, match="what a call has spent must be a number"):
        run.list()


@virtually
@pytest.mark.parametrize("as_step", [False, True])
async def test_a_call_that_is_over_says_so(as_step: bool) -> None:
    limit = whilst.Limit(rate="1000/s", weight=lambda item: 1)
    calls: list[Any] = []

    async def keep(item: int) -> None:
        calls.append(whilst.current_call())
        if item == 1:
            await asyncio.sleep(1)
            with pytest.raises(RuntimeError, match="this call is over"):
                calls[0].spent(3)

    await (whilst.map(whilst.step(keep, limit=limit), [0, 1]) if as_step else whilst.map(keep, [0, 1], limit=limit))
    with pytest.raises(RuntimeError, match="this call is over"):
        calls[1].spent(3)


@virtually
@pytest.mark.parametrize("as_step", [False, True])
async def test_each_key_and_each_attempt_is_corrected_by_itself(as_step: bool) -> None:
    limit = whilst.Limit(rate="10/s", weight=lambda item: 1, by=lambda item: item[0])
    started: dict[Any, list[float]] = {}
    clock = asyncio.get_running_loop().time

    async def call(item: tuple[str, int]) -> None:
        started.setdefault(item, []).append(clock())
        spend(20 if item[0] == "dear" else 1)
        if len(started[item]) == 1:
            raise ConnectionResetError

    items = [(key, n) for n in range(2) for key in ("dear", "cheap")]
    retry = whilst.Retry(attempts=2, base=0.001)
    if as_step:
        await whilst.map(whilst.step(call, limit=limit, retry=retry), items)
    else:
        await whilst.map(call, items, limit=limit, retry=retry)
    dear = sorted(at for item, times in started.items() if item[0] == "dear" for at in times)
    cheap = sorted(at for item, times in started.items() if item[0] == "cheap" for at in times)
    assert dear[-1] - dear[0] == pytest.approx(6, abs=0.3)
    assert cheap[-1] - cheap[0] < 0.6


def test_of_short_calls_some_are_timed_and_stand_for_all() -> None:
    spent = Spent("step")
    spent.called(LONG / 4)
    spent.called(LONG / 2)
    spent.called(2.0)
    assert spent.seconds(begun=11) == {"busy": pytest.approx(2.0 + 10 * LONG * 3 / 8)}


RETRY = whilst.Retry(attempts=2, base=0.001)
GIVEN_UP: dict[str, Any] = {
    "map": lambda fn, limit: whilst.map(fn, [7], timeout=0.1, retry=RETRY, limit=limit),
    "step": lambda fn, limit: whilst.map(whilst.step(fn, timeout=0.1, retry=RETRY, limit=limit), [7]),
    "part": lambda fn, limit: whilst.map(
        whilst.step(whilst.sequence(str, whilst.step(fn, limit=limit)), timeout=0.1, retry=RETRY), [7]
    ),
}


@pytest.mark.parametrize("form", ["map", "map of async", "step", "part"])
def test_what_a_call_that_was_given_up_has_spent_is_its_own(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said late, and again, it counts in the place of its own estimate, and never of the next attempt's."""
    corrected, correct = list[tuple[object, float]](), Throttle.correct

    def note(throttle: Throttle, cost: Any, real: float, *more: Any) -> None:
        corrected.append((cost, real))
        correct(throttle, cost, real, *more)

    monkeypatch.setattr(Throttle, "correct", note)
    limit, calls, over = whilst.Limit(rate="1000/s", weight=lambda item: 100), list[Any](), threading.Event()

    def call(item: int) -> int:
        calls.append(whilst.current_call())
        if len(calls) == 1:
            assert over.wait(20)
        else:
            for place, cost in ((1, 5), (0, 700), (0, 600), (1, 6)):
                calls[place].spent(cost)
            over.set()
        return item

    async def call_on_loop(item: int) -> int:
        if calls:
            return call(item)
        calls.append(whilst.current_call())
        while not over.is_set():
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                pass
        return item

    run = GIVEN_UP[form.split()[0]](call_on_loop if "async" in form else call, limit)
    assert len(run.list()) == 1
    assert [cost for _, cost in corrected] == [5, 700, 600, 6]
    assert corrected[0][0] is corrected[3][0] is not corrected[1][0] is corrected[2][0]
