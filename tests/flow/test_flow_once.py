"""`flow.aio` without a run around it, and blocking steps in a row that share one visit to a thread."""

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from flowkit import Gate, eventually

import whilst
from whilst import testing
from whilst.lanes.calling import wanted
from whilst.lanes.pool import ThreadPool

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


def visit(seen: list[Any]) -> Callable[[int], int]:
    def note(x: int) -> int:
        seen.append(threading.get_ident())
        return x + 1

    return note


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a pool was woken for a call."""
    wakes: list[int] = []
    wake = ThreadPool.wake

    def counted(pool: ThreadPool) -> None:
        if threading.current_thread() is threading.main_thread():
            wakes.append(1)
        wake(pool)

    monkeypatch.setattr(ThreadPool, "wake", counted)
    monkeypatch.setattr(wanted, "is_asked", False)  # as before anybody has asked for `current_call`
    return wakes


def test_blocking_steps_in_a_row_make_one_visit_to_a_thread(hops: list[int]) -> None:
    seen: list[int] = []
    flow = whilst.sequence(*(visit(seen) for _ in range(5)))

    async def main() -> None:
        assert await flow.aio(0) == 5

    asyncio.run(main())
    assert len(hops) == 1
    assert len(seen) == 5
    assert len(set(seen)) == 1
    assert threading.get_ident() not in seen


def test_a_row_inside_a_map_gives_what_its_steps_would() -> None:
    flow = whilst.sequence(str, len, lambda x: x * 10)
    assert whilst.map(flow, [1, 22, 333], concurrency=2).list() == [10, 20, 30]


def test_a_step_with_a_policy_ends_the_row_and_another_begins() -> None:
    seen: list[int] = []
    note = visit(seen)
    flow = whilst.sequence(note, note, whilst.step(note, timeout=20), note, note, whilst.step(note, retry=2))
    assert flow(0) == 6


def test_each_step_of_a_row_has_a_context_of_its_own() -> None:
    def change(x: int) -> str:
        before = var.get()
        var.set(f"changed by {x}")
        return before

    def look(before: str) -> tuple[str, str]:
        return before, var.get()

    async def main() -> None:
        var.set("mine")
        assert await whilst.sequence(lambda x: change(x), lambda x: change(x), look).aio(1) == ("mine", "mine")
        assert var.get() == "mine"

    asyncio.run(main())


def test_async_steps_called_without_a_run_do_not_change_the_callers_context_either() -> None:
    async def change(x: int) -> str:
        var.set("changed")
        return var.get()

    async def main() -> None:
        assert await whilst.sequence(change, change).aio(1) == "changed"
        assert var.get() == "unset"

    asyncio.run(main())


def test_a_cancellation_between_two_steps_of_a_row_begins_no_other_and_leaves_the_one_behind() -> None:
    gate, after = Gate(), []

    def first(x: int) -> int:
        return x

    async def main() -> None:
        run = whilst.map(whilst.sequence(first, gate, after.append), [1])
        taking = asyncio.ensure_future(_list(run))
        await gate.wait_until_entered_aio()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert run.summary().abandoned == 1
        assert run.summary().left_behind[0].startswith("1 x Gate()")
        gate.open.set()
        gate.wait_until_left()
        assert await asyncio.to_thread(eventually, lambda: run.summary().abandoned == 0)

    asyncio.run(main())
    assert after == []


async def _list(run: Any) -> Any:
    return await run


def test_a_failure_in_a_row_names_the_step_that_failed() -> None:
    def fails(x: int) -> int:
        raise LookupError(x)

    async def main() -> None:
        with pytest.raises(LookupError) as caught:
            await whilst.sequence(abs, abs, fails, abs).aio(-1)
        step, given = caught.value.__notes__
        assert step == "whilst: step sequence[2] (fails)"
        assert given == "whilst: input 0 was -1, attempt 1"

    asyncio.run(main())


def test_an_awaitable_in_a_row_is_awaited_on_the_loop_and_its_failure_is_that_steps() -> None:
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        if x > 5:
            raise LookupError(x)
        return x + 1

    async def main() -> None:
        loop_thread = threading.get_ident()

        async def where(x: int) -> int:
            assert threading.get_ident() == loop_thread
            return x

        flow = whilst.sequence(abs, lambda x: later(x), abs, lambda x: where(x), lambda x: later(x))
        assert await flow.aio(-1) == 3
        with pytest.raises(LookupError) as caught:
            await whilst.sequence(abs, lambda x: later(x), abs).aio(-9)
        assert caught.value.__notes__[0].startswith("whilst: step sequence[1] (")

    asyncio.run(main())


def test_a_step_in_a_row_that_takes_no_value_gets_none() -> None:
    assert whilst.sequence(abs, lambda: 7, str)(-1) == "7"
    assert whilst.sequence(lambda: 7, lambda: 8)() == 8


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("colour", ["row", "async"])
def test_an_exit_comes_out_where_the_flow_is_awaited(kind: type[BaseException], colour: str) -> None:
    def stops(_: int) -> None:
        raise kind("enough")

    async def stops_later(_: int) -> None:
        raise kind("enough")

    async def main() -> str:
        flow = whilst.sequence(abs, stops, abs) if colour == "row" else whilst.step(stops_later)
        try:
            await flow.aio(1)
        except kind as error:
            return str(error)
        return ""

    assert asyncio.run(main()) == "enough"


def test_a_step_that_cancels_by_itself_fails_and_does_not_cancel_who_awaits() -> None:
    async def cancels(_: int) -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(RuntimeError, match="raised CancelledError of its own accord"):
            await whilst.step(cancels).aio(1)

    asyncio.run(main())


def test_a_flow_that_ignores_its_cancellation_is_left_behind_after_a_while() -> None:
    release = []

    async def stubborn(_: int) -> None:
        while not release:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                release.append(asyncio.get_running_loop().time())
                await asyncio.sleep(500)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(whilst.step(stubborn).aio(1))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.time() == release[0] + 2
        await asyncio.sleep(600)

    testing.run(main())


def test_what_was_opened_for_one_value_is_closed_before_it_is_returned() -> None:
    log: list[str] = []

    class Connection:
        def __init__(self) -> None:
            log.append("open")

        def close(self) -> None:
            log.append(f"close on {threading.current_thread().name}")

    def use(x: int, db: Connection) -> int:
        return x

    async def main() -> None:
        for per in ("run", "thread"):
            log.clear()
            held: Any = whilst.resource(Connection, per=per)  # type: ignore[arg-type]
            assert await whilst.sequence(abs, whilst.step(use, use={"db": held}), abs).aio(-1) == 1
            assert [line.split()[0] for line in log] == ["open", "close"]

    asyncio.run(main())


def test_a_failure_of_one_value_is_freed_by_its_reference_count() -> None:
    class Failure(Exception):
        pass

    def fails(x: int) -> int:
        raise Failure

    async def fails_later(x: int) -> int:
        raise Failure

    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        for flow in (whilst.sequence(abs, fails), whilst.step(fails), whilst.step(fails_later)):
            try:
                await flow.aio(1)
            except Failure as error:
                seen.append(weakref.ref(error))
        await asyncio.sleep(0)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        assert len(seen) == 3
        assert eventually(lambda: all(ref() is None for ref in seen))
    finally:
        gc.enable()


def test_many_values_at_once_take_as_many_threads_as_they_need() -> None:
    barrier = threading.Barrier(20, timeout=20)

    async def main() -> None:
        flow = whilst.sequence(lambda x: barrier.wait(), lambda x: time.sleep(0))
        await asyncio.gather(*(flow.aio(x) for x in range(20)))

    asyncio.run(main())


def test_a_step_in_a_row_that_is_told_to_pause_goes_on_alone_and_the_results_are_the_same() -> None:
    told = []

    def busy(x: int) -> int:
        if x == 3 and not told:
            told.append(x)
            raise whilst.Throttled(retry_after=0.01)
        return x * 10

    run = whilst.map(whilst.sequence(abs, busy, str), range(8), concurrency=1)
    found = [o.value if o.ok else type(o.error) for o in run.outcomes()]
    assert found == ["0", "10", "20", whilst.Throttled, "40", "50", "60", "70"]
    assert run.summary().rejected == 1
