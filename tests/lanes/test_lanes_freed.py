"""What calls on threads leave behind is freed by its reference count alone, with the garbage collector off."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from lanekit import BarePort

import whilst
from whilst.lanes.calls import Calls
from whilst.lanes.threads import ThreadLanes
from whilst.lanes.worker import Supply

pytestmark = pytest.mark.usefixtures("no_collector")


class Big:
    """Something whose end can be seen."""


class Failure(Exception):
    pass


def fail_with(seen: list[weakref.ref[Any]], context: bool = False) -> None:
    """Fail in a frame that holds something."""
    big = Big()
    seen.append(weakref.ref(big))
    error = Failure("no") if not context else Failure("no", big)
    seen.append(weakref.ref(error))
    try:
        raise error
    finally:
        del error


class Failing:
    """As pytest.raises does, but it keeps nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, *_: object) -> bool:
        assert kind is Failure
        return True


def gone(seen: list[weakref.ref[Any]], eventually: Callable[..., bool]) -> bool:
    return bool(seen) and eventually(lambda: all(ref() is None for ref in seen))


def test_the_failure_of_an_unblocked_function(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        fails = whilst.unblock(fail_with)
        for context in (False, True):
            with Failing():
                await fails(seen, context)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert gone(seen, eventually)


def test_the_value_and_the_arguments_of_an_unblocked_function(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    def make(given: Big) -> Big:
        seen.append(weakref.ref(given))
        made = Big()
        seen.append(weakref.ref(made))
        return made

    async def main() -> None:
        unblocked = whilst.unblock(make)
        await unblocked(Big())
        await asyncio.sleep(0)

    asyncio.run(main())
    assert gone(seen, eventually)


def test_the_failure_of_a_blocked_function(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    async def fail_later(context: bool) -> None:
        await asyncio.sleep(0)
        fail_with(seen, context)

    fails = whilst.block(fail_later)
    for context in (False, True):
        with Failing():
            fails(context)
    assert gone(seen, eventually)


def test_the_value_of_a_blocked_function(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    async def make(given: Big) -> Big:
        seen.append(weakref.ref(given))
        made = Big()
        seen.append(weakref.ref(made))
        return made

    whilst.block(make)(Big())
    assert gone(seen, eventually)


def test_the_failure_of_a_context_manager_either_way(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    class Fails:
        def __enter__(self) -> None:
            fail_with(seen)

        def __exit__(self, *_: object) -> None:
            pass

    class FailsLater:
        async def __aenter__(self) -> None:
            fail_with(seen)

        async def __aexit__(self, *_: object) -> None:
            pass

    async def main() -> None:
        with Failing():
            async with whilst.unblock(Fails)():
                pass

    asyncio.run(main())
    with Failing(), whilst.block(FailsLater)():
        pass
    assert gone(seen, eventually)


def test_calls_once_they_are_closed(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    async def main() -> None:
        calls = Calls(asyncio.get_running_loop(), 4)
        seen.extend((weakref.ref(calls), weakref.ref(calls._pool)))
        with Failing():
            await calls.call(fail_with, seen)
        await asyncio.gather(*(calls.call(str, x) for x in range(9)))
        await calls.close()

    asyncio.run(main())
    assert gone(seen, eventually)


@pytest.mark.parametrize("kind", ["value", "failure", "awaitable", "awaitable that fails", "cancelled awaitable"])
def test_lanes_once_they_are_closed_and_what_they_called(kind: str, eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    async def later(fails: bool) -> None:
        await asyncio.sleep(0)
        if fails:
            fail_with(seen)

    async def never() -> None:
        await asyncio.sleep(1000)

    def work(item: Big) -> Any:
        seen.append(weakref.ref(item))
        if kind == "failure":
            fail_with(seen)
        elif kind == "cancelled awaitable":
            return never()
        return later("fails" in kind) if "awaitable" in kind else Big()

    async def main() -> None:
        port = BarePort([Big() for _ in range(9)])
        lanes = ThreadLanes(port, work, 3, 0.05)
        seen.extend((weakref.ref(lanes), weakref.ref(lanes._pool), weakref.ref(port)))
        lanes.wake()
        while kind == "cancelled awaitable" and len(port.records) < 9:
            await asyncio.sleep(0.01)
            port.patience = 0.0
            lanes.sweep(port.clock())
        await port.until(lambda: len(port.records) == 9)
        lanes.close()
        await lanes.gone()

    asyncio.run(main())
    assert gone(seen, eventually)


def test_the_failures_of_a_run_when_their_outcomes_are_dropped(eventually: Callable[..., bool]) -> None:
    seen: list[weakref.ref[Any]] = []

    def work(item: int) -> None:
        fail_with(seen)

    run = whilst.map(work, range(5), concurrency=2, stop_after=100)
    for outcome in run.outcomes():
        assert type(outcome.error) is Failure
        trace = outcome.error.__traceback__
        assert trace is not None
        assert trace.tb_frame.f_code is work.__code__  # none of ours, which say nothing to a user
        del outcome, trace
    del run
    assert gone(seen, eventually)


class PoolThatWants:
    """A pool of a run, as far as a supply asks it: all its threads are busy."""

    def __init__(self, *, closing: bool) -> None:
        self.workers = {object()}
        self.of_run, self.is_short, self.wanted, self.closing = True, False, False, closing


@pytest.mark.parametrize("first", ["the want", "the end"])
def test_a_pool_that_is_closed_while_it_wants_a_thread_is_not_kept_for_it(first: str) -> None:
    """It stood there until another run of the process wanted one, and kept its run."""
    found: Any = Supply()
    found._spawner = threading.current_thread()  # asleep: it would look, and forget
    pool: Any = PoolThatWants(closing=first == "the end")
    if first == "the end":
        found.closed(pool)
    found.give(pool)
    assert (pool in found._wanting) is (first == "the want")
    pool.closing = True
    if first == "the want":
        found.closed(pool)
    assert pool not in found._wanting
    assert pool not in found._users
