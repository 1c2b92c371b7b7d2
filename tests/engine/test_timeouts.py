"""Timeouts of calls and deadlines of runs, on virtual time."""

import asyncio

import pytest
from kit import Gauge, outcomes_until_error, values_until_error, virtually

import whilst

LATE = 0.006  # a call past its timeout is seen within 5 ms


@virtually
async def test_a_call_past_its_timeout_is_cancelled_and_fails_with_a_timeout_error() -> None:
    gauge = Gauge({1: 100, 3: 2.9})
    good, bad, *rest = await whilst.map(gauge, range(5), concurrency=2, timeout=3).outcomes()
    assert good.ok
    assert type(bad.error) is TimeoutError
    assert str(bad.error) == "Gauge() took longer than its timeout of 3 s"
    assert 3 <= bad.took <= 3 + LATE
    assert all(o.ok for o in rest)
    assert gauge.cancelled == [1]


@virtually
async def test_every_call_has_its_own_timeout_from_its_own_start() -> None:
    gauge = Gauge(dict.fromkeys(range(40), 2.5) | {7: 10, 23: 10})
    outcomes = await whilst.map(gauge, range(40), concurrency=3, timeout=3).outcomes()
    assert [o.index for o in outcomes if not o.ok] == [7, 23]
    assert all(3 <= o.took <= 3 + LATE for o in outcomes if not o.ok)


@virtually
async def test_in_values_the_timeout_raises_with_its_input() -> None:
    values, error = await values_until_error(whilst.map(Gauge({2: 9}), range(5), concurrency=5, timeout=3))
    assert values == [0, 1]
    assert isinstance(error, TimeoutError)
    assert error.__notes__ == ["whilst: input 2 was 2, attempt 1"]


@virtually
async def test_a_call_that_swallows_its_cancellation_and_returns_succeeds_late() -> None:
    async def stubborn(x: int) -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0.9)
        return "late"

    (outcome,) = await whilst.map(stubborn, [1], timeout=3).outcomes()
    assert outcome.value == "late"
    assert outcome.took >= 3.9


@virtually
async def test_a_lane_serves_on_after_a_call_that_swallowed_its_cancellation() -> None:
    async def stubborn(x: int) -> int:
        try:
            await asyncio.sleep(100 if x == 0 else 1)
        except asyncio.CancelledError:
            pass
        await asyncio.sleep(0.5)  # would raise if a cancellation were still pending
        return x

    assert await whilst.map(stubborn, range(5), concurrency=1, timeout=3) == [0, 1, 2, 3, 4]


@virtually
async def test_what_a_cancelled_call_raises_instead_is_its_error() -> None:
    async def breaks(x: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            raise LookupError("while cleaning up")

    (outcome,) = await whilst.map(breaks, [1], timeout=3).outcomes()
    assert type(outcome.error) is LookupError


@virtually
async def test_a_timeout_error_of_the_functions_own_is_its_own() -> None:
    mine = TimeoutError("mine")
    (outcome,) = await whilst.map(Gauge(bad={1: mine}), [1], timeout=3).outcomes()
    assert outcome.error is mine


@pytest.mark.parametrize("timeout", [None, 3])
@virtually
async def test_asyncio_timeout_inside_the_function_keeps_working(timeout: float | None) -> None:
    async def careful(x: int) -> str:
        for _ in range(3):
            try:
                async with asyncio.timeout(0.5):
                    await asyncio.sleep(100)
            except TimeoutError:
                pass
        await asyncio.sleep(0.1)
        task = asyncio.current_task()
        assert task is not None
        return f"cancelling {task.cancelling()}"

    assert await whilst.map(careful, range(4), concurrency=2, timeout=timeout) == ["cancelling 0"] * 4


@pytest.mark.parametrize("timeout", [None, 3])
@virtually
async def test_a_task_group_inside_the_function_keeps_working(timeout: float | None) -> None:
    async def child(fails: bool) -> int:
        await asyncio.sleep(1)
        if fails:
            raise KeyError("child")
        await asyncio.sleep(1)
        return 1

    async def grouped(x: int) -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(x % 2 == 1 and i == 1)) for i in range(3)]
        return sum(task.result() for task in tasks)

    seen, error = await outcomes_until_error(whilst.map(grouped, range(6), concurrency=2, timeout=timeout))
    assert (seen, error) == ([3, ExceptionGroup] * 3, None)


@virtually
async def test_a_timeout_cancels_what_hangs_on_the_call() -> None:
    ended: list[int] = []

    async def child(x: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(x)

    async def grouped(x: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child(x))
            group.create_task(child(x))

    (outcome,) = await whilst.map(grouped, [7], timeout=3).outcomes()
    assert type(outcome.error) is TimeoutError
    assert ended == [7, 7]


@virtually
async def test_a_deadline_gives_the_values_so_far_then_raises() -> None:
    gauge = Gauge({i: i for i in range(10)})
    run = whilst.map(gauge, range(10), concurrency=10, deadline=4.5, name="slow")
    values, error = await values_until_error(run)
    assert values == [0, 1, 2, 3, 4]
    assert isinstance(error, whilst.DeadlineExceeded)
    assert isinstance(error, TimeoutError)
    assert str(error) == "slow: the deadline of 4.5 s passed"
    assert sorted(gauge.cancelled) == [5, 6, 7, 8, 9]
    assert run.summary().elapsed == 4.5


@pytest.mark.parametrize("ordered", [True, False])
@virtually
async def test_in_outcomes_what_the_deadline_cancels_is_an_outcome_too_and_nothing_that_finished_is_lost(
    ordered: bool,
) -> None:
    gauge = Gauge({0: 9, 1: 1, 2: 9, 3: 2})
    seen, error = await outcomes_until_error(whilst.map(gauge, range(50), concurrency=4, deadline=2.5, ordered=ordered))
    late = whilst.DeadlineExceeded
    assert isinstance(error, late)
    finished = [item for item in gauge.started if item not in gauge.cancelled]
    assert [value for value in seen if value is not late] == finished
    assert seen.count(late) == len(gauge.cancelled)
    assert seen[:4] == ([late, 1, late, 3] if ordered else [1, 3, *seen[2:4]])


@virtually
async def test_a_deadline_passes_although_a_call_ignores_its_cancellation() -> None:
    release = asyncio.Event()

    async def stubborn(x: int) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    run = whilst.map(stubborn, [1], deadline=3)
    _, error = await values_until_error(run)
    assert isinstance(error, whilst.DeadlineExceeded)
    assert run.summary().elapsed <= 4
    assert run.summary().abandoned == 1
    assert run.summary().left_behind == ("1 x stubborn(), which ignored being cancelled",)
    release.set()
    await asyncio.sleep(1)
    assert run.summary().abandoned == 0


@virtually
async def test_a_deadline_that_does_not_pass_changes_nothing() -> None:
    assert await whilst.map(Gauge(), range(4), concurrency=2, deadline=2.5) == [0, 1, 2, 3]


@virtually
async def test_the_deadline_counts_from_the_first_iteration() -> None:
    run = whilst.map(Gauge(), range(4), concurrency=4, deadline=2)
    await asyncio.sleep(100)
    assert await run == [0, 1, 2, 3]
