"""A second call beside a late one: rarely, never while throttled, and the loser is cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from kit import values_until_error, virtually
from policykit import Server, busy, reset

import whilst
from whilst.core.hedge import LEAST

SLOW = {100: 60.0, 150: 60.0}  # at the first attempt


def slow_once(item: Any, attempt: int) -> float:
    """Take 1.5 s while latencies are learned, then less, so that nothing ends in the moment of a hedge."""
    return SLOW.get(item, 1.5 if item < LEAST else 1.0) if attempt == 1 else 2.0


async def hedged(server: Any, count: int = 200, **more: Any) -> tuple[list[Any], whilst.Summary]:
    run = whilst.map(whilst.step(server, hedge=True, **more), range(count), concurrency=8)
    return [value async for value in run], run.summary()


@virtually
async def test_a_late_call_gets_a_second_one_and_the_first_success_counts() -> None:
    server = Server(naps=slow_once)
    values, end = await hedged(server)
    assert values == [*range(200)]
    assert {item: calls for item, calls in server.calls.items() if calls > 1} == {100: 2, 150: 2}
    assert end.hedged == 2
    assert end.elapsed < 40
    for item in SLOW:
        began = server.starts_of(item)
        assert 1.5 <= began[1] - began[0] <= 2.5  # the 95th percentile, and the wait for a permit of the run
        lost = [when for when, one in server.ends if one == item]
        assert lost == [began[1] + 2] * 2  # the loser was cancelled in that moment, and its end was awaited


@virtually
async def test_there_is_none_for_an_answer_that_comes_in_the_same_moment() -> None:
    server = Server(naps=lambda item, attempt: 1.0)
    run = whilst.map(whilst.step(server, hedge=True), range(LEAST + 20), concurrency=1)
    await run
    assert run.summary().hedged == 0


@virtually
async def test_there_are_none_before_enough_is_known() -> None:
    server = Server(naps=lambda item, attempt: 60.0 if item == LEAST - 2 else 1.0)
    run = whilst.map(whilst.step(server, hedge=True), range(LEAST), concurrency=1)
    await run
    assert run.summary().hedged == 0


@virtually
async def test_hedges_are_at_most_five_in_a_hundred_calls() -> None:
    server = Server(naps=lambda item, attempt: 50.0 if item % 4 == 0 and attempt == 1 and item > 100 else 1.0)
    _, end = await hedged(server, 600)
    assert 0 < end.hedged <= 0.05 * 600 + 1


@virtually
async def test_there_are_none_after_the_other_side_said_slower() -> None:
    naps = {100: 5.0, 150: 1.0, 215: 60.0}
    server = Server({98: [busy(), None]}, naps=lambda item, attempt: naps.get(item, slow_once(item, attempt)))
    _, end = await hedged(server, 220, retry=whilst.Retry(base=0.0))
    assert (server.calls[100], server.calls[215]) == (1, 2)
    assert end.hedged == 1


@virtually
async def test_when_both_fail_the_first_ones_failure_comes_out() -> None:
    first, second = KeyError("first"), KeyError("second")
    server = Server({100: [first, second]}, naps=slow_once)
    values, raised = await values_until_error(whilst.map(whilst.step(server, hedge=True), range(200), concurrency=8))
    assert (values, raised) == ([*range(100)], first)


@virtually
async def test_a_failure_of_one_leaves_the_other_to_succeed() -> None:
    server = Server({100: [None, reset]}, naps=lambda item, attempt: 10.0 if item == 100 and attempt == 1 else 1.0)
    values, _ = await hedged(server)
    assert values == [*range(200)]


@virtually
async def test_each_of_both_calls_holds_a_permit_and_both_go_back() -> None:
    limit = whilst.Limit(concurrency=8)
    server = Server(naps=slow_once)
    values, end = await hedged(server, limit=limit)
    assert values == [*range(200)]
    assert server.most_in_all <= 8
    assert end.hedged == 2
    assert limit.statistics().in_flight == limit.statistics().waiting == 0


@pytest.mark.parametrize("after", [14.0, 16.5, 17.1, 18.0])
def test_cancelling_while_both_are_out_ends_both(after: float) -> None:
    @virtually
    async def main() -> None:
        limit = whilst.Limit(concurrency=8)
        server = Server(naps=slow_once)
        task = asyncio.ensure_future(hedged(server, limit=limit))
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.wait([task])
        assert not server.inside[Server]
        assert limit.statistics().in_flight == limit.statistics().waiting == 0

    main()


def test_a_blocking_call_that_loses_is_left_behind_and_counted(eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.core.hedge.SHARE", 1.0)  # the others' times are noise, which must not use up all hedges
    release, calls = threading.Event(), []

    def work(x: int) -> int:
        calls.append(x)
        if x == LEAST + 20 and calls.count(x) == 1:
            assert release.wait(20)
        return x

    run = whilst.map(whilst.step(work, hedge=True), range(LEAST + 40), concurrency=2)
    try:
        assert run.list() == [*range(LEAST + 40)]
        assert run.summary().hedged >= 1
        assert run.summary().abandoned == 1
    finally:
        release.set()
    assert eventually(lambda: run.summary().abandoned == 0)


def test_what_hedge_may_not_be_given() -> None:
    with pytest.raises(TypeError, match="hedge must be True or False, got 1"):
        whilst.step(str, hedge=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="hedge= belongs to a function; give it to the steps inside the flow"):
        whilst.step(whilst.sequence(str, len), hedge=True)


@virtually
async def test_a_hedged_call_that_ignores_its_cancellation_fails_alone() -> None:
    begun: list[Any] = []

    async def call(item: Any) -> Any:
        begun.append(item)
        if item != 100 or begun.count(item) > 2:
            await asyncio.sleep(1.0)
            return item
        loop = asyncio.get_running_loop()
        end = loop.time() + 30.0
        while (left := end - loop.time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                pass
        return item

    run = whilst.map(whilst.step(call, hedge=True, timeout=5.0, retry=2), range(120), concurrency=4)
    outcomes, end = await run.outcomes(), run.summary()
    assert [one.value for one in outcomes] == [*range(120)]  # the third call, the second attempt, went well
    assert begun.count(100) == 3
    assert outcomes[100].attempts == 2
    assert end.left_behind == ("2 x call(), which ignored being cancelled",)
    await asyncio.sleep(40.0)
    assert run.summary().abandoned == 0
