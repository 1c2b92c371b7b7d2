"""Attempts: how many, in which order, for how long, and what they hold meanwhile (nothing)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from kit import asynchronously, outcomes_until_error, values_until_error, virtually
from policykit import Final, Server, busy, reset

import whilst

AT_ONCE = whilst.Retry(attempts=3, on=ConnectionError, base=0.0, budget=None, breaker=False)


def after(seconds: float, attempts: int = 3, **more: Any) -> whilst.Retry:
    """Return a retry that waits just so long."""
    return whilst.Retry(
        attempts=attempts,
        on=lambda error: None if isinstance(error, Final) else seconds,
        budget=None,
        breaker=False,
        **more,
    )


@virtually
async def test_outcomes_tell_how_many_attempts_there_were_and_speak_of_the_last_one() -> None:
    server = Server({1: [reset, None], 2: [reset], 3: [Final]})
    run = whilst.map(server, range(4), retry=after(5))
    seen = await run.outcomes()
    assert [(o.ok, o.attempts, o.started, o.took) for o in seen] == [
        (True, 1, 0, 1),
        (True, 2, 6, 1),
        (False, 3, 12, 1),
        (False, 1, 0, 1),
    ]
    end = run.summary()
    assert (end.ok, end.failed, end.retried, end.waiting, end.elapsed) == (2, 2, 3, 0, 13)
    assert "3 retries" in str(end)


@virtually
async def test_a_failure_after_all_attempts_raises_with_its_note() -> None:
    server = Server({2: [reset]})
    values, raised = await values_until_error(whilst.map(server, range(9), concurrency=4, retry=AT_ONCE))
    assert values == [0, 1]
    assert isinstance(raised, ConnectionResetError)
    assert raised.__notes__ == ["whilst: input 2 was 2, attempt 3"]
    assert server.calls[2] == 3


@virtually
async def test_ordered_outcomes_wait_for_the_retries_before_them() -> None:
    loop, seen = asyncio.get_running_loop(), []
    server = Server({1: [reset, None]})
    async for value in whilst.map(server, range(4), concurrency=4, retry=after(10)):
        seen.append((value, loop.time()))  # noqa: PERF401 - the time is read as each comes
    assert seen == [(0, 1), (1, 12), (2, 12), (3, 12)]


@virtually
async def test_unordered_outcomes_do_not_wait_for_retries() -> None:
    loop, seen = asyncio.get_running_loop(), []
    server = Server({1: [reset, None]})
    async for value in whilst.map(server, range(4), concurrency=4, retry=after(10), ordered=False):
        seen.append((value, loop.time()))  # noqa: PERF401 - the time is read as each comes
    assert seen == [(0, 1), (2, 1), (3, 1), (1, 12)]


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_retry_that_waits_holds_no_lane_no_permit_and_no_room(concurrency: int, ordered: bool) -> None:
    @virtually
    async def main() -> None:
        limit = whilst.Limit(concurrency=concurrency)
        server = Server({0: [reset, None], 1: [reset, None]}, naps=lambda item, attempt: 0.5)
        run = whilst.map(server, range(40), concurrency=concurrency, limit=limit, retry=after(1000), ordered=ordered)
        task = asyncio.ensure_future(_all(run))
        await asyncio.sleep(900)
        now = run.summary()
        assert (now.waiting, now.in_flight) == (2, 0)
        assert limit.statistics().in_flight == 0
        assert len(server.calls) == 40
        assert sorted(await task) == [*range(40)]

    main()


@virtually
async def test_an_input_before_the_failed_one_is_still_delivered_though_it_waits_for_a_retry() -> None:
    server = Server({0: [reset, None], 1: [reset, reset, None], 2: [Final], 3: [reset, None]})
    run = whilst.map(server, range(9), concurrency=4, retry=after(60))
    values, raised = await values_until_error(run)
    assert values == [0, 1]
    assert isinstance(raised, Final)
    assert server.calls == {0: 2, 1: 3, 2: 1, 3: 1}
    assert run.summary().waiting == 0


# -- how a run ends while retries wait -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["in the heap", "in the gate"])
def test_draining_settles_what_waits_with_its_last_failure(place: str) -> None:
    @virtually
    async def main() -> None:
        server = Server({0: [reset], 1: [busy(100.0), None]})
        limit = whilst.Limit(concurrency=5) if place == "in the gate" else None
        retry = after(1 if place == "in the gate" else 50, attempts=9)
        run = whilst.map(server, [0, 1, *range(2, 9)], concurrency=2, limit=limit, retry=retry, ordered=False)
        task = asyncio.ensure_future(outcomes_until_error(run))
        await asyncio.sleep(20)
        run.drain()
        seen, raised = await task
        assert raised is None
        assert seen.count(whilst.Throttled) == 1
        assert seen.count(ConnectionResetError) == 1
        end = run.summary()
        assert (end.failed, end.retried, end.elapsed) == (2, sum(server.calls.values()) - len(server.calls), 20)

    main()


@virtually
async def test_a_deadline_settles_what_waits_with_its_own_failure() -> None:
    server = Server({0: [reset]}, naps=lambda item, attempt: 1 if item == 0 else 100)
    run = whilst.map(server, range(2), concurrency=2, retry=after(50), deadline=20)
    seen, raised = await outcomes_until_error(run)
    assert seen == [ConnectionResetError, whilst.DeadlineExceeded]
    assert isinstance(raised, whilst.DeadlineExceeded)


@virtually
async def test_leaving_drops_what_waits() -> None:
    server = Server({0: [reset], 1: [reset]})
    run = whilst.map(server, range(3), concurrency=3, retry=after(50), ordered=False)
    async with run:
        async for value in run:
            assert value == 2
            break
    assert (run.summary().waiting, run.summary().retried, run.summary().failed) == (0, 0, 0)
    assert asyncio.get_running_loop().time() == 1


@virtually
async def test_cancelling_drops_what_waits() -> None:
    server = Server({0: [reset], 1: [reset]})
    run = whilst.map(server, range(3), concurrency=3, retry=after(50), ordered=False)
    task = asyncio.ensure_future(values_until_error(run))
    await asyncio.sleep(5)
    run.cancel()
    values, raised = await task
    assert values == [2]
    assert isinstance(raised, whilst.RunCancelled)
    assert (run.summary().waiting, run.summary().retried, run.summary().elapsed) == (0, 0, 5)


@virtually
async def test_what_waited_is_not_kept_alive_by_a_run_that_ended() -> None:
    class Big(ConnectionError):
        pass

    async def failing(x: int) -> None:
        error = Big("x")
        alive.append(weakref.ref(error))
        raise error

    alive: list[Any] = []
    run = whilst.map(failing, range(3), retry=after(50))
    task = asyncio.ensure_future(outcomes_until_error(run))
    await asyncio.sleep(1)
    run.drain()
    assert (await task)[0] == [Big] * 3
    del task
    gc.collect()
    assert [one() for one in alive] == [None] * 3


# -- how long ---------------------------------------------------------------------------------------------------------


@virtually
async def test_the_time_for_all_attempts_ends_the_one_in_flight_and_forbids_the_next() -> None:
    server = Server({0: [reset]}, naps=lambda item, attempt: 1 if attempt < 3 else 100)
    (outcome,) = await whilst.map(server, [0], retry=after(2, attempts=9, total=10)).outcomes()
    assert type(outcome.error) is TimeoutError
    assert str(outcome.error) == "Server() took longer than 10 s over all its attempts (Retry(total=10))"
    assert (outcome.attempts, outcome.started + outcome.took) == (3, 10)
    assert server.ends[-1][0] == 10


@virtually
async def test_a_retry_that_would_begin_too_late_is_not_waited_for() -> None:
    server = Server({0: [reset]})
    run = whilst.map(server, [0], retry=after(9, total=10))
    (outcome,) = await run.outcomes()
    assert (type(outcome.error), outcome.attempts, run.summary().elapsed) == (ConnectionResetError, 1, 1)


@virtually
async def test_each_input_has_its_own_time_and_it_begins_with_its_first_call() -> None:
    """A sweep that is set by the first calls alone came up to twice as late for the others."""
    naps = {1: [7.0], 2: [1.0, 100.0], 3: [1.0, 100.0]}
    server = Server({2: [reset], 3: [reset]}, naps=lambda item, attempt: naps[item][min(attempt, len(naps[item])) - 1])
    run = whilst.map(server, asynchronously([1, 2, 3], gap=3.1), concurrency=4, retry=after(3.5, attempts=9, total=10))
    seen = await run.outcomes()
    assert [(o.ok, o.attempts) for o in seen] == [(True, 1), (False, 2), (False, 2)]
    for item in (2, 3):
        ended = [when for when, one in server.ends if one == item]
        assert 10 <= ended[-1] - server.starts_of(item)[0] <= 10.006


@virtually
async def test_no_attempt_begins_after_the_time_for_all_whatever_held_it_up() -> None:
    server = Server({0: [busy(60.0), None], 1: [reset, None]})
    retry = whilst.Retry(attempts=5, on=lambda _: 1.0, total=10, breaker=False)
    run = whilst.map(server, [0, 1], concurrency=2, retry=retry)
    seen = await run.outcomes()
    assert [(type(o.error), o.attempts) for o in seen] == [(whilst.Throttled, 1), (ConnectionResetError, 1)]
    assert 10 <= run.summary().elapsed <= 10.1
    assert run.summary().retried == 0


@virtually
async def test_inputs_behind_one_whose_time_is_over_get_their_turn() -> None:
    """The line had stood in for the weight of the one that was taken out, and nobody asked again."""
    server = Server({0: [busy(3.0), None]}, naps=lambda item, attempt: 0.5)
    limit = whilst.Limit(rate="2/s", weight=lambda item: 1 + item % 2)
    retry = whilst.Retry(attempts=3, on=lambda _: 0.1, total=2.0, breaker=False)
    seen = await whilst.map(server, range(6), concurrency=9, limit=limit, retry=retry).outcomes()
    assert [(o.ok, o.attempts) for o in seen] == [(False, 1)] + [(True, 1)] * 5


@virtually
async def test_a_retry_that_its_budget_would_hold_up_too_long_is_not_made() -> None:
    server = Server({x: [reset] for x in range(50)}, naps=lambda item, attempt: 0)
    retry = whilst.Retry(attempts=2, base=0, total=2.0, breaker=False, budget=0.0)
    run = whilst.map(server, range(50), concurrency=50, retry=retry)
    seen = await run.outcomes()
    assert sum(o.attempts == 2 for o in seen) == run.summary().retried == 19
    assert run.summary().elapsed <= 2.0


@pytest.mark.parametrize("way", ["map", "step", "one of two", "with a limit"])
@virtually
async def test_every_call_that_is_begun_earns_for_the_budget(way: str) -> None:
    """A fifth of 200 calls: 40 retries need not wait. Those of the reserve come ten a second."""
    server = Server({x: [reset, None] for x in range(200, 230)}, naps=lambda item, attempt: 0)
    retry = whilst.Retry(attempts=2, on=ConnectionError, base=0, budget=0.2, breaker=False)
    several = {"limit": whilst.Limit(concurrency=50)} if way == "with a limit" else {}
    step = whilst.step(server, retry=retry, **several)
    if way == "map":
        run = whilst.map(server, range(230), concurrency=1, retry=retry)
    else:
        flow = whilst.sequence(step, Server(naps=lambda item, attempt: 0)) if way == "one of two" else step
        run = whilst.map(flow, range(230), concurrency=1)
    assert await run == list(range(230))
    assert run.summary().retried == 30
    assert run.summary().elapsed < 0.1


@virtually
async def test_an_attempt_past_its_timeout_is_tried_again() -> None:
    server = Server(naps=lambda item, attempt: 100 if attempt == 1 else 1)
    (outcome,) = await whilst.map(server, [0], timeout=3, retry=after(1)).outcomes()
    assert (outcome.value, outcome.attempts) == (0, 2)
    assert 4 <= outcome.started <= 4.01


@pytest.mark.parametrize("values", [True, False], ids=["values", "outcomes"])
@virtually
async def test_a_run_that_is_told_to_end_counts_who_waits_for_a_permit_of_its_second_attempt(values: bool) -> None:
    """The first input failed, and its next attempt is due, but the second has the only permit."""
    server = Server({0: [reset]}, naps=lambda item, attempt: 10.0 if item else 0.0)
    run = whilst.map(server, range(5), concurrency=2, limit=whilst.Limit(concurrency=1), retry=after(1))
    asyncio.get_running_loop().call_later(5, run.drain)
    if values:
        assert await values_until_error(run) == ([], None)
    else:
        assert [(o.input, o.ok, o.attempts) for o in await run.outcomes()] == [(0, False, 1), (1, True, 1)]
    end = run.summary()
    assert (end.ok, end.failed, end.in_flight, end.waiting, server.calls[0]) == (1, int(not values), 0, 0, 1)


# -- the judge -------------------------------------------------------------------------------------------------------


@virtually
async def test_a_judge_that_raises_ends_the_attempts_with_a_note() -> None:
    def broken(error: BaseException) -> bool:
        raise KeyError("mine")

    server = Server({0: [reset]})
    (outcome,) = await whilst.map(server, [0], retry=whilst.Retry(on=broken)).outcomes()
    assert isinstance(outcome.error, ConnectionResetError)
    assert outcome.attempts == 1
    assert outcome.error.__notes__ == ["whilst: no further attempt, because Retry(on=…) itself raised KeyError('mine')"]


def test_an_exception_that_inputs_share_is_noted_once_when_the_judge_raises() -> None:
    shared = LookupError("the same object")

    def fail(_: int) -> None:
        raise shared

    def judge(_: BaseException) -> bool:
        raise KeyError("mine")

    run = whilst.map(fail, range(3), retry=whilst.Retry(on=judge))
    assert [outcome.error for outcome in run.outcomes()] == [shared] * 3
    assert len(shared.__notes__) == 1


@virtually
async def test_a_programming_error_and_a_401_are_not_tried_again() -> None:
    class Unauthorized(Exception):
        status = 401

    server = Server({0: [TypeError("mine")], 1: [Unauthorized]})
    seen = await whilst.map(server, range(2), retry=5).outcomes()
    assert [o.attempts for o in seen] == [1, 1]


# -- promise 6 -------------------------------------------------------------------------------------------------------


class ServerError(Exception):
    status = 500


@pytest.mark.parametrize("breaker", [True, False])
@pytest.mark.parametrize("concurrency", [5, 200])
@pytest.mark.parametrize("level", ["map", "step"])
def test_an_outage_of_a_minute_makes_no_storm(breaker: bool, concurrency: int, level: str) -> None:
    @virtually
    async def main() -> None:
        server = Server(naps=lambda item, attempt: 0.05)
        server.script = _Always([ServerError])  # type: ignore[assignment]
        retry = whilst.Retry(attempts=6, breaker=breaker)
        policies: dict[str, Any] = {"concurrency": concurrency, "ordered": False, "deadline": 60}
        run = (
            whilst.map(server, range(10**6), retry=retry, **policies)
            if level == "map"
            else whilst.map(whilst.step(server, retry=retry), range(10**6), **policies)
        )
        await outcomes_until_error(run)
        firsts = len(server.calls)
        for until in (1.0, 5.0, 20.0, 60.0):
            starts = [item for when, item in server.starts if when <= until]
            first = len(set(starts))
            assert len(starts) <= 1.2 * first + 10 * until
        if breaker:
            assert run.summary().notes[-1].startswith("paused ")
            assert len(server.starts) <= 20 + concurrency + 6  # five or six probes
        assert firsts >= (
            5 if level == "step" else 10
        )  # some of the 20 calls that open a breaker are retries; in a flow an input keeps its place while it waits

    main()


class _Always(dict[Any, Any]):
    def __init__(self, script: list[Any]) -> None:
        super().__init__()
        self.always = script

    def get(self, item: Any, default: Any = None) -> Any:
        return self.always


@virtually
async def test_outcomes_from_a_journal_earn_no_retries() -> None:
    run = whilst.map(Server({x: [reset] for x in range(100)}), range(100), retry=whilst.Retry(breaker=False))
    driver = run._assemble(asyncio.get_running_loop(), _handoff(), True, None, in_hand=False)
    driver._judging.uncalled = 1_000_000  # as after a resume
    run._begin(driver)
    await asyncio.sleep(5)
    assert driver.summary().retried <= 1.2 * 100 + 10 * 5
    await driver.close()


def _handoff() -> Any:
    from whilst.engine.handoff import LoopHandoff

    return LoopHandoff(asyncio.get_running_loop())


# -- two levels of retries -------------------------------------------------------------------------------------------


def test_retries_inside_the_function_are_mentioned() -> None:
    import tenacity

    @tenacity.retry(stop=tenacity.stop_after_attempt(2), reraise=True)
    async def fetch(x: int) -> None:
        raise ConnectionResetError("reset")

    @virtually
    async def main() -> None:
        note = "fetch() is retried at two levels: by tenacity inside it and by retry= here"
        run = whilst.map(fetch, range(3), retry=AT_ONCE)
        await run.outcomes()
        assert run.summary().notes == (note,)
        stepped = whilst.map(whilst.step(fetch, retry=AT_ONCE), range(3))
        await stepped.outcomes()
        assert stepped.summary().notes == (note,)
        assert stepped.summary().retried == 6
        once = whilst.map(fetch, range(3))
        await once.outcomes()
        assert once.summary().notes == ()

    main()


def test_retries_inside_are_seen_in_a_later_failure_too_and_said_once() -> None:
    import tenacity

    @tenacity.retry(stop=tenacity.stop_after_attempt(2))
    async def inside(x: int) -> None:
        raise ConnectionResetError("reset")

    async def fetch(x: int) -> None:
        if x == 0:
            raise ConnectionResetError("reset")
        await inside(x)

    @virtually
    async def main() -> None:
        twice = whilst.Retry(attempts=2, on=Exception, base=0.01)
        for run in (whilst.map(fetch, range(4), retry=twice), whilst.map(whilst.step(fetch, retry=twice), range(4))):
            await run.outcomes()
            note = "fetch() is retried at two levels: by tenacity inside it and by retry= here"
            assert run.summary().notes == (note,)

    main()


# -- in flows --------------------------------------------------------------------------------------------------------


@virtually
async def test_an_input_of_a_flow_that_waits_for_its_next_attempt_is_said_to_wait() -> None:
    server = Server({1: [reset, None]})
    run = whilst.map(whilst.step(server, retry=whilst.Retry(attempts=2, on=lambda error: 10.0)), range(3))
    taking = asyncio.ensure_future(outcomes_until_error(run))
    await asyncio.sleep(5)
    assert run.summary().waiting == 1
    await taking
    assert run.summary().waiting == 0


@virtually
async def test_a_steps_time_for_all_attempts_begins_when_it_has_its_permit() -> None:
    server = Server(naps=lambda item, attempt: 0.5)
    flow = whilst.step(server, rate="1/s", retry=whilst.Retry(total=2.0))
    seen = await whilst.map(flow, range(10), concurrency=10).outcomes()
    assert [o.ok for o in seen] == [True] * 10


@virtually
async def test_a_steps_time_for_all_attempts_holds_for_waits_and_calls() -> None:
    server = Server({0: [reset], 1: [reset]}, naps=lambda item, attempt: 100 if item and attempt == 2 else 1)
    for limit in (None, whilst.Limit(concurrency=5)):
        server.calls.clear()
        flow = whilst.step(server, limit=limit, retry=after(2, attempts=9, total=11))
        run = whilst.map(flow, range(2))
        waited, hung = await run.outcomes()
        assert (type(waited.error), waited.started, waited.took) == (ConnectionResetError, 9, 1)  # its last call
        assert type(hung.error) is TimeoutError
        assert 11 <= hung.started + hung.took <= 11.006
        assert str(hung.error).startswith("Server() took longer than 11 s over all its attempts")
        assert server.calls == {0: 4, 1: 2}
        assert run.summary().retried == 4


@virtually
async def test_a_flow_may_be_tried_again_as_a_whole() -> None:
    server, before = Server({0: [reset, reset, None]}), Server()
    flow = whilst.step(whilst.sequence(before, server), retry=AT_ONCE)
    assert await flow.aio(0) == 0
    assert (server.calls[0], before.calls[0]) == (3, 3)


@virtually
async def test_a_step_that_waits_for_a_retry_holds_no_permit() -> None:
    limit = whilst.Limit(concurrency=1)
    server = Server({0: [reset, None]})
    run = whilst.map(whilst.step(server, limit=limit, retry=after(100)), range(5), ordered=False)
    assert sorted(await run) == [0, 1, 2, 3, 4]
    assert server.most_in_all == 1
    assert [item for _, item in sorted(server.ends)][-1] == 0
    assert run.summary().elapsed == 102


async def _all(run: Any) -> list[Any]:
    return [value async for value in run]
