"""Stages: streams in, streams out, item by item, with bounded buffers between them.

A stage pulls: an `each` is a run of its own whose source is the stage before, so backpressure, order and read-ahead
are the run's. When a stage ends, for whatever reason, it closes the one before it, which may be waiting on a full
buffer or on its own source: closing cancels either wait, so a failing stage ends its neighbours without a hang.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, NamedTuple

from ..core.colour import has_method
from ..core.failures import StopAfter
from ..core.outcome import short
from ..core.plan import Plan
from ..lanes.loop import LoopLanes
from .consume import Unpack, consume, value_of
from .driver import Driver
from .ending import Ending
from .handoff import LoopHandoff
from .source import is_container
from .stage import Stage

Stream = AsyncGenerator[Any, None]

NOTHING = object()  # what stands for a record of which nothing is given


class Yields(NamedTuple):
    """What a stage gives for each record of its run."""

    unpack: Unpack = value_of
    fail_fast: bool = True
    leaves_out: bool = False
    """Whether `unpack` returns NOTHING for some."""
    stop_after: StopAfter | None = None
    way_on: str = ""
    """What one would write to go on although every call fails in the same way."""


RAISING = Yields()


def each(
    call: Callable[[Any], Awaitable[Any]],
    source: Any,
    *,
    concurrency: int,
    ordered: bool,
    name: str,
    run_ahead: int | None = None,
    ending: Ending | None = None,
    yields: Yields = RAISING,
    stage: Stage | None = None,
    look: Callable[[], None] | None = None,
) -> Stream:
    """Give `call(item)` for every item of `source`, at most `concurrency` at once; the first failure raises.

    `ending` has it start nothing new, and give what is in flight. `yields` may have it give something else, and
    failures as data. `stage` is what it is a run of, if that is one of the user's; `look` has its steps time a call.
    """
    plan = Plan(
        fn=call,
        inputs=source,
        concurrency=concurrency,
        timeout=None,
        deadline=None,
        ordered=ordered,
        stop_after=yields.stop_after,
        executor="loop",
        total=None,
        progress=False,
        name=name,
        context=contextvars.copy_context(),
        run_ahead=run_ahead,
        composed=True,
    )

    async def begin() -> tuple[Driver, LoopHandoff, Unpack]:
        loop = asyncio.get_running_loop()
        handoff = LoopHandoff(loop)
        driver = Driver(plan, loop, handoff, fail_fast=yields.fail_fast, looked=look)
        driver.failures.way_on = yields.way_on
        if stage is not None:
            assert isinstance(driver.lanes, LoopLanes)
            driver.lanes.places = stage.places
            stage.opened(driver, driver.accounting.account)
        if ending is None or ending.begins(driver.drain):
            driver.start()
        else:
            driver.drain()
        return driver, handoff, yields.unpack

    records = consume(begin, lambda: None)
    return _but(records) if yields.leaves_out else records


async def _but(records: Stream) -> Stream:
    """Leave out what is not to be given."""
    async with aclosing(records):
        async for given in records:
            if given is not NOTHING:
                yield given


async def flatten(source: Any, path: str) -> Stream:
    """Give the items of each item of `source`, one level down."""
    async with aclosing(items(source)) as outer:
        async for item in outer:
            check_stream(item, path)
            inside: Stream
            async with aclosing(items(item)) as inside:
                async for inner in inside:
                    yield inner  # pyright: ignore[reportUnknownVariableType]


async def items(source: Any) -> Stream:
    """Give the items of anything iterable, of either colour; what might block is read on a thread of its own."""
    if has_method(source, "__aiter__"):
        iterator: AsyncIterator[Any] = aiter(source)
        try:
            async for item in iterator:
                yield item
        finally:
            if isinstance(iterator, AsyncGenerator):  # also the one that a class or a run makes
                await iterator.aclose()
    elif is_container(source):
        for item in source:
            yield item
    else:
        async with aclosing(each(_same, source, concurrency=1, ordered=True, name="items")) as stream:
            async for item in stream:
                yield item


async def until(source: Any, ending: Ending) -> Stream:
    """Give the items of anything iterable until the end is asked for, even if it comes to nothing while that waits."""
    if not (is_container(source) or has_method(source, "__aiter__")):
        async with aclosing(each(_same, source, concurrency=1, ordered=True, name="items", ending=ending)) as stream:
            async for item in stream:
                yield item
        return
    task, over, waits, cancelled = asyncio.current_task(), False, False, False

    def end() -> None:
        nonlocal over, cancelled
        over = True
        if waits and task is not None:
            cancelled = task.cancel()

    if not ending.begins(end):
        return
    async with aclosing(items(source)) as stream:
        while not over:
            waits = True
            try:
                item = await anext(stream)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if not cancelled or (task is not None and task.cancelling() > 1):
                    raise
                return
            finally:
                waits = False
                if cancelled and task is not None:
                    task.uncancel()
            yield item


async def _same(item: Any) -> Any:
    return item


def check_stream(value: Any, path: str) -> None:
    """Refuse, by the stage's path, a value that has no items."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Iterable, AsyncIterable)):
        raise TypeError(
            f"{path} needs something to iterate over, got {short(value, 60)} ({type(value).__name__})\n"
            "  try: a step before it that returns a list, or a generator function for many outputs"
        )
