"""Calls that do what nobody expects of a call: swallow their cancellation, cancel themselves, share one coroutine."""

import asyncio
import contextlib
import functools
import gc
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from kit import virtually

import whilst
from whilst.engine.scope import Scope
from whilst.lanes.calling import wanted


class Stubborn:
    """An async function that goes on for `seconds` whatever happens, for the inputs in `who`."""

    def __init__(self, *who: int, seconds: float = 100.0) -> None:
        self.who, self.seconds = who, seconds
        self.inside = self.most = 0

    async def __call__(self, item: int) -> int:
        self.inside += 1
        self.most = max(self.most, self.inside)
        loop = asyncio.get_running_loop()
        end = loop.time() + (self.seconds if item in self.who else 0.1)
        while (left := end - loop.time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if item not in self.who:
                    raise
        self.inside -= 1
        return item


@virtually
async def test_a_call_that_swallows_its_cancellation_is_settled_and_left_behind() -> None:
    fn, limit = Stubborn(1, seconds=30.0), whilst.Limit(concurrency=3)
    run = whilst.map(fn, range(6), timeout=1.0, concurrency=2, limit=limit)
    outcomes = await run.outcomes()
    assert [o.ok for o in outcomes] == [True, False, True, True, True, True]
    assert isinstance(outcomes[1].error, TimeoutError)
    assert 2.0 <= outcomes[1].took <= 2.1  # its timeout, and a second to clean up
    end = run.summary()
    assert (end.failed, end.abandoned, end.in_flight) == (1, 1, 0)
    assert end.left_behind == ("1 x Stubborn(), which ignored being cancelled",)
    assert limit.statistics().in_flight == 1  # as long as the call goes on
    await asyncio.sleep(30.0)
    assert run.summary().abandoned == 0
    assert limit.statistics().in_flight == 0


@pytest.mark.parametrize("stubborn", [0, 1, 5, 30, 58])
@virtually
async def test_who_waits_for_the_only_permit_gets_it_when_a_call_that_was_left_behind_comes_home(stubborn: int) -> None:
    """Its slot was free, and nobody asked for a permit for it: the run hung."""
    run = whilst.map(
        Stubborn(stubborn, seconds=30.0), range(60), concurrency=2, limit=whilst.Limit(concurrency=1), timeout=1.0
    )
    outcomes = await asyncio.wait_for(run.outcomes(), 1000.0)
    assert [o.index for o in outcomes if not o.ok] == [stubborn]


@virtually
async def test_one_that_waits_for_a_permit_of_its_key_holds_none_when_it_is_left_behind() -> None:
    async def swallows(x: int) -> int:
        if x:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60.0)
        return x

    async def slow_to_end(x: int) -> int:
        try:
            await asyncio.sleep(60.0)
        finally:
            await asyncio.sleep(4.0)
        return x

    limit = whilst.Limit(concurrency=1, by=lambda x: "key")
    run = whilst.map(whilst.sequence(swallows, whilst.step(slow_to_end, limit=limit)), [0, 1], concurrency=2)
    asyncio.get_running_loop().call_later(0.3, run.cancel)
    with pytest.raises(whilst.RunCancelled):
        await run.outcomes()
    await asyncio.sleep(100.0)
    assert limit.statistics().in_flight == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}  # the one that ignored it waits no more


@pytest.mark.parametrize("policies", [{}, {"retry": 3}])
@virtually
async def test_the_place_of_a_step_that_is_left_behind_is_free_once(policies: dict[str, Any]) -> None:
    scopes = list[Scope]()
    made = Scope.__init__

    def noted(self: Scope, *args: Any, **named: Any) -> None:
        made(self, *args, **named)
        scopes.append(self)

    flow = whilst.sequence(whilst.step(Stubborn(0, seconds=6.0), timeout=0.2, **policies), str)
    with mock.patch.object(Scope, "__init__", noted):
        run = whilst.map(flow, [0, *range(1, 40)], concurrency=4)
        seen = list[int]()
        async for _ in run.outcomes():
            seen.append(scopes[0].slots.free)
    assert max(seen) <= 4
    await asyncio.sleep(20.0)
    assert scopes[0].slots.free == 4


@virtually
async def test_the_place_of_a_second_attempt_that_was_left_behind_is_not_given_back_once_more() -> None:
    """Not even for a moment: who waits would take it."""
    tried = set[int]()
    going: list[int] = []

    async def call(item: int) -> int:
        loop = asyncio.get_running_loop()
        again = item in tried
        tried.add(item)
        going.append(item)
        assert len(going) - going.count(0) <= 1
        ends = loop.time() + (5.0 if not item and again else 0.4)
        try:
            if not again:
                raise ConnectionResetError
            while (left := ends - loop.time()) > 0:
                with contextlib.suppress(*(asyncio.CancelledError,) * (not item)):
                    await asyncio.sleep(left)
        finally:
            going.remove(item)
        return item

    retry = whilst.Retry(2, base=0.01, budget=None, breaker=False)
    outcomes = await whilst.map(
        whilst.step(call, retry=retry, timeout=0.5), range(30), concurrency=1, ordered=False
    ).outcomes()
    assert sorted(outcome.index for outcome in outcomes if not outcome.ok) == [0]


FLOWS: dict[str, Any] = {
    "step": lambda fn, limit: whilst.step(fn, timeout=1.0),
    "with a limit": lambda fn, limit: whilst.step(fn, timeout=1.0, limit=limit, retry=3),
    "sequence": lambda fn, limit: whilst.sequence(whilst.step(fn, timeout=1.0, limit=limit), str, int),
    "together": lambda fn, limit: whilst.sequence(
        whilst.together(whilst.step(fn, timeout=1.0, limit=limit), str), lambda both: both[0]
    ),
    "part": lambda fn, limit: whilst.step(whilst.sequence(fn, str, int), timeout=1.0),
}


@virtually
@pytest.mark.parametrize("form", FLOWS)
async def test_in_a_flow_its_input_is_settled_and_left_behind(form: str) -> None:
    fn, limit = Stubborn(1, seconds=30.0), whilst.Limit(concurrency=3)
    run = whilst.map(FLOWS[form](fn, limit), range(6), concurrency=2)
    outcomes = await run.outcomes()
    assert [o.ok for o in outcomes] == [True, False, True, True, True, True]
    assert isinstance(outcomes[1].error, TimeoutError)
    assert 2.0 <= outcomes[1].took <= 2.1
    end = run.summary()
    assert (end.failed, end.abandoned, end.in_flight, end.retried) == (1, 1, 0, 0)
    assert end.elapsed < 3.0
    limited = form in ("with a limit", "sequence", "together")
    assert limit.statistics().in_flight == limited  # as long as the call goes on
    await asyncio.sleep(30.0)
    assert fn.inside == 0
    assert run.summary().abandoned == 0
    assert limit.statistics().in_flight == 0


@virtually
@pytest.mark.parametrize("form", FLOWS)
@pytest.mark.parametrize("seconds", [2.0, 4.0])
async def test_and_when_it_comes_home_while_the_run_goes_on_it_ends_nothing(form: str, seconds: float) -> None:
    fn, limit = Stubborn(1, seconds=seconds), whilst.Limit(concurrency=3)
    outcomes = await whilst.map(FLOWS[form](fn, limit), range(100), concurrency=2).outcomes()
    assert [o.index for o in outcomes if not o.ok] == [1]
    assert fn.inside == 0


@virtually
async def test_one_that_may_have_a_second_beside_it_later_is_left_behind_as_any_other() -> None:
    """It is in no task of its own yet, as nothing is known of how long calls take."""
    outcomes = await whilst.map(
        whilst.step(Stubborn(0, seconds=9.0), hedge=True, timeout=1.0), range(3), concurrency=1
    ).outcomes()
    assert [type(o.error) for o in outcomes] == [TimeoutError, type(None), type(None)]
    await asyncio.sleep(10.0)


@virtually
async def test_in_a_stage_it_ends_the_stage_as_any_failure_does() -> None:
    fn = Stubborn(1, seconds=30.0)
    flow = whilst.sequence(range, whilst.each(fn, concurrency=2, timeout=1.0))
    (outcome,) = await whilst.map(flow, [4]).outcomes()
    assert isinstance(outcome.error, TimeoutError)
    assert outcome.took <= 2.2
    await asyncio.sleep(30.0)
    assert fn.inside == 0


ONCE: dict[str, Any] = {
    **FLOWS,
    "awaitable of a thread": lambda fn, limit: whilst.step(lambda item: fn(item), timeout=1.0, limit=limit),
    "with a resource": lambda fn, limit: whilst.step(_with, timeout=1.0, use={"fn": whilst.resource(lambda: fn)}),
    "fallback": lambda fn, limit: whilst.fallback(whilst.step(fn, timeout=1.0, limit=limit), str),
}


async def _with(item: int, fn: Any) -> int:
    made: int = await fn(item)
    return made


@virtually
@pytest.mark.parametrize("form", ONCE)
async def test_a_flow_of_one_value_is_settled_too(form: str) -> None:
    fn, limit = Stubborn(1, seconds=30.0), whilst.Limit(concurrency=3)
    clock = asyncio.get_running_loop().time
    with pytest.raises(TimeoutError, match="took longer than its timeout of 1 s"):
        await ONCE[form](fn, limit).aio(1)
    assert 2.0 <= clock() <= 2.3
    assert fn.inside == 1
    await asyncio.sleep(30.0)
    assert fn.inside == 0
    assert limit.statistics().in_flight == 0


@virtually
async def test_a_call_whose_flow_of_one_value_is_given_up_goes_on() -> None:
    """What it does with the failure is its own affair, and not that of the run which makes it."""
    flow = whilst.step(Stubborn(1, seconds=30.0), timeout=1.0)

    async def careful(item: int) -> str:
        try:
            return str(await flow.aio(item))
        except TimeoutError:
            return "handled"

    assert await whilst.map(careful, [0, 1]) == ["0", "handled"]
    await asyncio.sleep(30.0)


async def cancels_itself(item: int) -> int:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    return item


@virtually
@pytest.mark.parametrize(
    "policies", [{}, {"timeout": 5}, {"retry": 2}, {"limit": whilst.Limit(concurrency=1)}], ids=str
)
async def test_a_call_that_cancels_its_own_task_cancels_nobody_else(policies: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="of its own accord"):
        await whilst.step(cancels_itself, **policies).aio(1)
    assert [type(o.error) for o in await whilst.map(lambda item: cancels_itself(item), [1, 2]).outcomes()] == [
        RuntimeError,
        RuntimeError,
    ]


class Hostile(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


@virtually
async def test_an_exception_that_nobody_may_look_at_fails_its_own_input() -> None:
    async def fn(item: int) -> int:
        if item == 1:
            raise Hostile
        return item

    assert [o.ok for o in await whilst.map(fn, range(3)).outcomes()] == [True, False, True]


@virtually
@pytest.mark.parametrize("form", ["map", "step"])
async def test_an_awaitable_that_swallows_its_cancellation_is_left_behind_with_its_thread(form: str) -> None:
    fn, limit = Stubborn(1, seconds=4.0), whilst.Limit(concurrency=3)

    def starts(item: int) -> Any:
        return fn(item)

    given: Any = whilst.step(starts, timeout=1.0, limit=limit) if form == "step" else starts
    policies: dict[str, Any] = {} if form == "step" else {"timeout": 1.0, "limit": limit}
    run = whilst.map(given, range(4), concurrency=2, **policies)
    outcomes = await run.outcomes()
    assert [o.ok for o in outcomes] == [True, False, True, True]
    assert isinstance(outcomes[1].error, TimeoutError)
    assert outcomes[1].took < 3.0
    end = run.summary()
    assert (end.failed, end.abandoned, limit.statistics().in_flight) == (1, 1, 1)
    while fn.inside or run.summary().abandoned:
        await asyncio.sleep(0.1)
    assert limit.statistics().in_flight == 0


@virtually
@pytest.mark.parametrize("form", ["map", "step", "sequence", "awaitable of a thread"])
async def test_at_a_deadline_they_have_outcomes_as_all_that_is_in_flight_has(form: str) -> None:
    fn = Stubborn(1, 2, seconds=4.0)
    forms: dict[str, Any] = {
        "map": fn,
        "step": whilst.step(fn),
        "sequence": whilst.sequence(fn, str),
        "awaitable of a thread": lambda item: fn(item),
    }
    run, found = whilst.map(forms[form], range(4), concurrency=4, deadline=1.0), list[Any]()

    async def take() -> None:
        async for outcome in run.outcomes():
            found.append(outcome)

    with pytest.raises(whilst.DeadlineExceeded):
        await take()
    assert [(o.index, type(o.error)) for o in found if not o.ok] == [
        (1, whilst.DeadlineExceeded),
        (2, whilst.DeadlineExceeded),
    ]
    assert (run.summary().ok, run.summary().failed, run.summary().abandoned) == (2, 2, 2)
    await asyncio.sleep(4.0)


@virtually
async def test_such_calls_keep_no_lane_from_the_others() -> None:
    fn = Stubborn(*range(4), seconds=50.0)
    run = whilst.map(fn, range(12), timeout=0.5, concurrency=4)
    begun = asyncio.get_running_loop().time()
    outcomes = await run.outcomes()
    assert [o.index for o in outcomes if not o.ok] == [0, 1, 2, 3]
    assert asyncio.get_running_loop().time() - begun < 5.0
    await asyncio.sleep(50.0)


@virtually
async def test_a_function_that_cancels_its_own_task_fails_its_own_input() -> None:
    async def cancels(item: int) -> int:
        if item == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        return item

    for subject in (cancels, whilst.step(cancels)):
        outcomes = await whilst.map(subject, range(4)).outcomes()
        assert [o.ok for o in outcomes] == [True, False, True, True]
        assert str(outcomes[1].error).endswith("cancels() cancelled its own task")
        cause = outcomes[1].error.__cause__
        assert isinstance(cause, asyncio.CancelledError)
        assert "cancels" in [frame.name for frame in traceback.extract_tb(cause.__traceback__)]  # it says where


@virtually
async def test_and_so_does_one_that_returns_before_it_hears_of_that() -> None:
    async def cancels(item: int) -> int:
        if item == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        elif item > 1:
            await asyncio.sleep(0)  # where a cancellation that is left over would come out
        return item

    for subject in (cancels, whilst.step(cancels), whilst.step(cancels, retry=2), whilst.step(cancels, timeout=9)):
        outcomes = await whilst.map(subject, range(4), concurrency=1).outcomes()
        assert [o.ok for o in outcomes] == [True, False, True, True]
        assert str(outcomes[1].error).endswith("cancels() cancelled its own task")


def test_one_coroutine_for_two_inputs_fails_the_second_and_never_hangs() -> None:
    @functools.cache
    async def look_up(item: int) -> int:
        await asyncio.sleep(0.01)
        return item

    async def main() -> list[Any]:
        return await asyncio.wait_for(_outcomes(whilst.map(look_up, [1, 1])), 20)

    first, second = asyncio.run(main())
    assert first.value == 1
    assert str(second.error) in ("coroutine is being awaited already", "cannot reuse already awaited coroutine")


async def _outcomes(run: Any) -> list[Any]:
    return list(await run.outcomes())


@pytest.mark.clocked
def test_a_deadline_is_looked_at_before_the_next_input_where_calls_hold_the_loop() -> None:
    called: list[int] = []

    async def holds(item: int) -> None:
        called.append(item)
        time.sleep(0.15)

    with (
        pytest.warns(RuntimeWarning, match=r"holds\(\) held the loop.*\n  try: a plain def"),
        pytest.raises(whilst.DeadlineExceeded),
    ):
        whilst.map(holds, range(100), deadline=0.4).list()
    assert len(called) < 20  # 32 lanes would have begun one each


def test_what_interrupts_a_wait_is_told_without_the_empty_queue_before_it() -> None:
    async def main() -> str:
        run = whilst.map(asyncio.sleep, [60])

        async def take() -> None:
            await run

        task = asyncio.ensure_future(take())
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as caught:
            return "".join(traceback.format_exception(caught))
        return ""

    said = asyncio.run(main())
    assert "CancelledError" in said
    assert "IndexError" not in said


class Both:
    """A source that can be read either way, and says which."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __iter__(self) -> Any:
        self.read.append("plain")
        return iter([1, 2])

    async def __aiter__(self) -> Any:
        self.read.append("async")
        for item in (1, 2):
            yield item


def test_a_source_of_both_colours_is_read_in_that_of_who_asks() -> None:
    async def taken(source: Both) -> list[int]:
        return await whilst.map(abs, source)

    source = Both()
    assert whilst.map(abs, source).list() == [1, 2]
    assert asyncio.run(taken(source)) == [1, 2]
    assert source.read == ["plain", "async"]


def test_a_coroutine_in_the_place_of_a_function_is_refused_and_closed() -> None:
    async def fetch(item: int) -> int:
        return item

    for use in (whilst.together, whilst.sequence, whilst.first, whilst.step, whilst.each):
        made = fetch(1)
        with pytest.raises(TypeError, match="give the function itself, without calling it"):
            use(made)  # type: ignore[operator]
        assert made.cr_frame is None  # closed, so nobody warns that it was never awaited


@virtually
async def test_a_stubborn_call_of_a_run_that_is_left_keeps_its_permit_until_it_ends() -> None:
    """Its input is known by its index, whatever the input is; another run under the limit waits for the permit."""

    async def fn(item: str) -> str:
        if item == "stubborn":
            until = asyncio.get_running_loop().time() + 30.0
            while (left := until - asyncio.get_running_loop().time()) > 0:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    pass
        return item

    limit = whilst.Limit(concurrency=1, by=str)
    run = whilst.map(fn, ["quick", "stubborn"], limit=limit, concurrency=2)
    async with run:
        async for value in run:
            assert value == "quick"
            break
    left = run.summary()
    assert (left.abandoned, left.left_behind) == (1, ("1 x fn(), which ignored being cancelled",))
    assert limit.statistics().in_flight == 1
    assert asyncio.get_running_loop().time() < 5
    assert await whilst.map(fn, ["quick"], limit=limit) == ["quick"]  # another key
    await asyncio.sleep(30.0)
    assert run.summary().abandoned == 0
    assert limit.statistics().in_flight == 0


LOSERS: dict[str, Any] = {
    "first": lambda fn, limit: whilst.first(whilst.step(fn, limit=limit), _soon),
    "part of first": lambda fn, limit: whilst.first(whilst.sequence(_same, whilst.step(fn, limit=limit)), _soon),
    "first in first": lambda fn, limit: whilst.first(whilst.first(whilst.step(fn, limit=limit), _never), _soon),
    "first with a timeout": lambda fn, limit: whilst.step(
        whilst.first(whilst.step(fn, limit=limit), _soon), timeout=50.0
    ),
    "awaitable of a thread": lambda fn, limit: whilst.first(whilst.step(lambda item: fn(item), limit=limit), _soon),
    "retried": lambda fn, limit: whilst.first(whilst.step(fn, limit=limit, retry=3), _soon),
}


async def _same(item: int) -> int:
    return item


async def _soon(item: int) -> int:
    await asyncio.sleep(0.1)
    return item


async def _never(item: int) -> int:
    await asyncio.sleep(1000.0)
    return item


@virtually
@pytest.mark.parametrize("form", LOSERS)
async def test_a_branch_that_loses_and_does_not_end_is_left_behind(form: str) -> None:
    fn, limit = Stubborn(*range(6), seconds=30.0), whilst.Limit(concurrency=10)
    run = whilst.map(LOSERS[form](fn, limit), range(6), concurrency=2)  # 12 calls hold places, of which there are two
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await run == [*range(6)]
    assert loop.time() - began < 9.0  # three rounds, each with a second to clean up
    end = run.summary()
    assert (end.ok, end.in_flight) == (6, 0)
    assert end.abandoned == fn.inside == limit.statistics().in_flight > 0
    assert end.left_behind == (f"{end.abandoned} x {_name(form)}, which ignored being cancelled",)
    await asyncio.sleep(30.0)
    assert (fn.inside, run.summary().abandoned, limit.statistics().in_flight) == (0, 0, 0)


def _name(form: str) -> str:
    return "<lambda>()" if form == "awaitable of a thread" else "Stubborn()"


@virtually
@pytest.mark.parametrize("form", LOSERS)
async def test_one_value_does_not_wait_for_such_a_branch(form: str) -> None:
    fn, limit = Stubborn(1, seconds=30.0), whilst.Limit(concurrency=3)
    clock = asyncio.get_running_loop().time
    assert await LOSERS[form](fn, limit).aio(1) == 1
    assert clock() < 1.5
    assert fn.inside == limit.statistics().in_flight == 1
    await asyncio.sleep(30.0)
    assert fn.inside == limit.statistics().in_flight == 0


@virtually
async def test_a_failure_does_not_wait_for_a_branch_that_does_not_end() -> None:
    async def fails(item: int) -> int:
        raise KeyError(item)

    fn = Stubborn(1, seconds=30.0)
    run = whilst.map(whilst.together(fn, fails), [1])
    (outcome,) = await run.outcomes()
    assert isinstance(outcome.error, KeyError)
    assert outcome.took < 2.5
    assert run.summary().abandoned == 1
    await asyncio.sleep(30.0)
    assert run.summary().abandoned == 0


@virtually
@pytest.mark.parametrize("limited", [False, True])
async def test_a_late_call_whose_cancellation_is_ignored_does_not_hold_up_the_second_one(limited: bool) -> None:
    limit = whilst.Limit(concurrency=4)
    calls: list[int] = []

    async def fn(item: int) -> int:
        calls.append(item)
        late = item == 60 and calls.count(60) == 1
        until = asyncio.get_running_loop().time() + (100.0 if late else 1.0)
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not late:
                    raise
        return item

    flow = whilst.step(fn, hedge=True, limit=limit) if limited else whilst.step(fn, hedge=True)
    run = whilst.map(flow, range(80), concurrency=2)
    assert await run == [*range(80)]
    end = run.summary()
    assert (calls.count(60), end.hedged, end.abandoned) == (2, 1, 1)
    assert end.elapsed < 90.0
    assert limit.statistics().in_flight == limited
    await asyncio.sleep(100.0)
    assert run.summary().abandoned == limit.statistics().in_flight == 0


BEHIND: dict[str, Any] = {
    "step": lambda fn, then: whilst.sequence(fn, then),
    "limited": lambda fn, then: whilst.sequence(fn, whilst.step(then, limit=whilst.Limit(concurrency=5))),
    "together": lambda fn, then: whilst.sequence(fn, whilst.together(then, then)),
    "first": lambda fn, then: whilst.sequence(fn, whilst.first(then, then)),
    "stage": lambda fn, then: whilst.sequence(fn, range, whilst.each(then)),
    "blocking": lambda fn, then: whilst.sequence(fn, then.blocking, then.blocking),
    "after a thread": lambda fn, then: whilst.sequence(lambda item: fn(item), then.blocking),
    "again": lambda fn, then: whilst.step(whilst.sequence(fn, then, then.fails), retry=5),
}
GIVES_UP: dict[str, Any] = {
    "timeout": lambda flow: whilst.step(flow, timeout=1.0),
    "loser": lambda flow: whilst.first(flow, _soon),
}


class Then:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, item: int) -> int:
        self.calls += 1
        return item

    def blocking(self, item: int) -> int:
        self.calls += 1
        return item

    def fails(self, item: int) -> int:
        raise ConnectionResetError


@virtually
@pytest.mark.parametrize("once", [False, True], ids=["map", "value"])
@pytest.mark.parametrize("way", GIVES_UP)
@pytest.mark.parametrize("form", BEHIND)
async def test_behind_a_call_that_was_left_behind_nothing_else_is_called(form: str, way: str, once: bool) -> None:
    fn, then = Stubborn(1, seconds=4.0), Then()
    await _takes(GIVES_UP[way](BEHIND[form](fn, then)), once=once)
    assert fn.inside == 1
    await asyncio.sleep(30.0)
    assert (fn.inside, then.calls) == (0, 0)


@virtually
@pytest.mark.parametrize("once", [False, True], ids=["map", "value"])
@pytest.mark.parametrize("way", GIVES_UP)
@pytest.mark.parametrize("form", BEHIND)
@pytest.mark.parametrize("asked", [False, True])
async def test_nor_is_it_behind_one_that_returns_soon_after_it_was_told_to_end(
    form: str, way: str, once: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted, "is_asked", asked)
    fn, then = Stubborn(1, seconds=1.3 if way == "timeout" else 0.4), Then()
    await _takes(GIVES_UP[way](BEHIND[form](fn, then)), once=once)
    await asyncio.sleep(30.0)
    assert (fn.inside, then.calls) == (0, 0)


@virtually
@pytest.mark.parametrize("form", ["fallback", "retry"])
@pytest.mark.parametrize("word", ["cancel", "timeout"])
async def test_nor_behind_one_that_makes_a_failure_of_that(form: str, word: str) -> None:
    calls = 0

    async def fails(item: int) -> int:
        nonlocal calls
        calls += 1
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            raise ConnectionResetError from None
        return item

    flow = whilst.fallback(fails, fails) if form == "fallback" else whilst.step(fails, retry=whilst.Retry(3, base=0.01))
    run = whilst.map(whilst.step(whilst.sequence(flow, str), timeout=1.0 if word == "timeout" else None), [1])
    if word == "cancel":
        asyncio.get_running_loop().call_later(1.0, run.cancel)
    with contextlib.suppress(whilst.RunCancelled):
        await run.outcomes()
    assert calls == 1


async def _takes(flow: Any, *, once: bool) -> None:
    if once:
        await asyncio.gather(flow.aio(1), return_exceptions=True)
    else:
        await whilst.map(flow, [1]).outcomes()


@virtually
@pytest.mark.parametrize("staged", [False, True])
async def test_the_places_of_calls_that_were_left_behind_are_free(staged: bool) -> None:
    """Of a part with a timeout, where it is its step that holds one; of a stage, for its other runs."""
    fn = Stubborn(0, seconds=500.0)
    part = whilst.step(whilst.sequence(fn, str), timeout=1.0)
    flow = whilst.sequence(lambda n: range(n, n + 1), whilst.each(part, concurrency=1)) if staged else part
    run = whilst.map(flow, range(4), concurrency=1)
    outcomes = await run.outcomes()
    assert [o.ok for o in outcomes] == [False, True, True, True]
    assert asyncio.get_running_loop().time() < 4.0
    await asyncio.sleep(500.0)
    assert fn.inside == 0


@virtually
@pytest.mark.parametrize("once", [False, True], ids=["map", "value"])
@pytest.mark.parametrize("form", ["first", "again"])
async def test_a_branch_whose_call_is_late_and_does_not_end_fails_alone(form: str, once: bool) -> None:
    """The other one may still win, and a part that is tried again is: its first call is left behind."""
    fn, then = Stubborn(1, seconds=30.0), Then()

    async def late(item: int) -> int:
        await asyncio.sleep(5.0)
        return item

    async def then_well(item: int) -> int:
        return await (then(item) if fn.inside else fn(item))

    flow = (
        whilst.first(whilst.step(fn, timeout=1.0), late)
        if form == "first"
        else whilst.step(whilst.together(whilst.step(then_well, timeout=1.0), str), retry=whilst.Retry(base=0.1))
    )
    value = 1 if form == "first" else (1, "1")
    if once:
        assert await flow.aio(1) == value
    else:
        run = whilst.map(flow, [1])
        assert await run == [value]
        assert (run.summary().abandoned, run.summary().failed) == (1, 0)
    assert fn.inside == 1
    await asyncio.sleep(30.0)
    assert fn.inside == 0


class StubbornSource:
    """Gives an item, then goes on for thirty seconds whatever happens."""

    async def items(self) -> AsyncIterator[int]:
        yield 1
        loop = asyncio.get_running_loop()
        end = loop.time() + 30.0
        while (left := end - loop.time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(left)


STAGES: dict[str, Any] = {
    "batched by time": lambda read: whilst.sequence(read, whilst.batched(1, within=0.5)),
    "batched by key": lambda read: whilst.sequence(read, whilst.batched(1, within=0.5, by=str)),
    "flatten": lambda read: whilst.sequence(
        lambda x: [read(x), read(x)], whilst.flatten(), whilst.flatten(concurrency=2)
    ),
    "flatten of a stubborn one": lambda read: whilst.sequence(read, whilst.batched(1), whilst.flatten(concurrency=2)),
}


@pytest.mark.parametrize("form", STAGES)
@virtually
async def test_a_stage_does_not_wait_for_a_source_that_swallows_its_cancellation(form: str) -> None:
    async def read(_: int) -> AsyncIterator[int]:
        async for item in StubbornSource().items():
            yield item

    loop = asyncio.get_running_loop()
    flow, began = STAGES[form](read), loop.time()
    async with flow.stream(0) as run:
        stream = aiter(run)
        assert await anext(stream) in ([1], 1)
        await asyncio.sleep(1.0)  # by then the source is asked for the next one
    assert loop.time() - began <= 5.0
    path = "[1].batched" if form.startswith("batched") else "[2].flatten"
    assert f"x the source of sequence{path}, which ignored being cancelled" in str(run.summary().left_behind)
    await asyncio.sleep(30.0)
    assert run.summary().abandoned == 0


HEEDLESS: dict[str, Any] = {
    "race": lambda fn: whilst.first(fn, whilst.sequence(_soon, _soon)),
    "hedge": lambda fn: whilst.step(fn, hedge=True, timeout=1.0),
    "hedge in a race": lambda fn: whilst.first(whilst.step(fn, hedge=True), whilst.sequence(_soon, _soon)),
    "hedge in a part": lambda fn: whilst.step(whilst.sequence(whilst.step(fn, hedge=True), str), timeout=1.0),
}


@virtually
@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 9.0])
@pytest.mark.parametrize("form", HEEDLESS)
async def test_what_a_loser_raises_after_it_was_told_to_end_is_nobodys(form: str, seconds: float) -> None:
    """Asyncio would complain that it was never retrieved."""
    told = list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def stubborn(item: int) -> int:
        if item == 60:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60.0)
            ends = asyncio.get_running_loop().time() + seconds
            while (left := ends - asyncio.get_running_loop().time()) > 0:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(left)
            raise ConnectionResetError
        await asyncio.sleep(0.1)
        return item

    await whilst.map(HEEDLESS[form](stubborn), range(80), concurrency=4).outcomes()
    await asyncio.sleep(90.0)
    gc.collect()
    assert not told
