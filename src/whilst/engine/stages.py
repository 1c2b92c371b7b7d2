"""Stages: streams in, streams out, item by item, with bounded buffers between them.

A stage pulls: an `each` is a run of its own whose source is the stage before, so backpressure, order and read-ahead
are the run's. When a stage ends, for whatever reason, it closes the one before it, which may be waiting on a full
buffer or on its own source: closing cancels either wait, so a failing stage ends its neighbours without a hang.

Several streams that become one are read at the same time; items go on as they come.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from ..core.colour import has_method
from ..core.failures import StopAfter
from ..core.frozen import NamedTuple
from ..core.outcome import short
from ..core.plan import Plan
from ..lanes.awaiting import GRACE, ended, insist, trimmed
from ..lanes.loop import LoopLanes
from ..lanes.port import nothing
from .consume import EndOf, Unpack, consume, value_of
from .driver import Driver
from .handoff import LoopHandoff
from .source import is_container
from .stage import Ending, Stage

Stream = AsyncGenerator[Any, None]
Left = Callable[[asyncio.Task[Any]], object]
LeftOf = Callable[[asyncio.Task[Any], int], object]
"""Told of a task that ignores its cancellation."""

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
    left: LeftOf = nothing,
) -> Stream:
    """Give `call(item)` for every item of `source`, at most `concurrency` at once; the first failure raises.

    `ending` has it start nothing new, and give what is in flight. `yields` may have it give something else, and
    failures as data. `stage` is what it is a run of, if that is one of the user's; `look` has its steps time a call,
    and `left` is told of tasks that ignore their cancellation.
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
        handoff = LoopHandoff(loop, values=yields.unpack is value_of)
        driver = Driver(plan, loop, handoff, fail_fast=yields.fail_fast, looked=look, stage=stage)
        driver.failures.way_on = yields.way_on
        assert isinstance(driver.lanes, LoopLanes)
        driver.lanes.left = left
        if stage is not None:
            driver.lanes.places = stage.places
            stage.opened(driver, driver.accounting.account)
        if ending is None or ending.begins(driver.drain):
            driver.start()
        else:
            driver.drain()
        return driver, handoff, yields.unpack

    records = consume(begin)
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
        async with aclosing(each(same, source, concurrency=1, ordered=True, name="items")) as stream:
            async for item in stream:
                yield item


async def until(source: Any, ending: Ending) -> Stream:
    """Give the items of anything iterable until the end is asked for, even if it comes to nothing while that waits."""
    if not (is_container(source) or has_method(source, "__aiter__")):
        async with aclosing(each(same, source, concurrency=1, ordered=True, name="items", ending=ending)) as stream:
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


async def same(item: Any) -> Any:
    """Return what is given."""
    return item


def check_stream(value: Any, path: str) -> None:
    """Refuse, by the stage's path, a value that has no items."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Iterable, AsyncIterable)):
        raise TypeError(
            f"{path} needs something to iterate over, got {short(value, 60)} ({type(value).__name__})\n"
            "  try: a step before it that returns a list, or a generator function for many outputs"
        )


async def merged(source: Any, concurrency: int, path: str, left: Left = insist) -> Stream:
    """Give the items of each item of `source`, of `concurrency` of those at a time; `left` is told who does not end."""
    reading = _Reading(source, concurrency, path)
    with EndOf(reading):
        try:
            while await reading.something():
                yield reading.buffer.popleft()
                reading.room.set()
        finally:
            await reading.close(left)


class _Reading:
    """Readers that take one stream after the other, into a buffer with as many places as there may be readers."""

    def __init__(self, source: Any, most: int, path: str) -> None:
        self.buffer: deque[Any] = deque()
        self.room: asyncio.Event = asyncio.Event()
        self.error: BaseException | None = None
        self._outer = items(source)
        self._most = most
        self._path = path
        self._left = 0  # readers that have not ended
        self._over = self._closing = False
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_more()

    async def something(self) -> bool:
        """Whether there is an item; waits for one, unless all is over."""
        while not self.buffer:
            if not self._left or self.error is not None:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    async def close(self, left: Left) -> None:
        """End every reader wherever it waits, then the stream of streams."""
        self._closing, tasks = True, tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await ended(tasks, GRACE, left)
        if all(task.done() for task in tasks):  # else one may be inside
            await self._outer.aclose()

    def _one_more(self) -> None:
        if not self._over and self._left < self._most:
            self._left += 1
            task = asyncio.get_running_loop().create_task(self._read())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        try:
            while not self._over and self.error is None:
                async with self._turn:
                    if self._over:
                        break
                    try:
                        stream = await anext(self._outer)
                    except StopAsyncIteration:
                        self._over = True
                        break
                self._one_more()
                await self._read_one(stream)
                del stream
        except asyncio.CancelledError as caught:
            if self._closing:
                raise
            self._failed(RuntimeError("a stream raised CancelledError of its own accord"), caught)
        except BaseException as caught:  # all of them: the consumer raises it
            self._failed(trimmed(caught))
        finally:
            self._left -= 1
            self._changed.set()

    async def _read_one(self, stream: Any) -> None:
        check_stream(stream, self._path)
        async with aclosing(items(stream)) as inside:
            async for item in inside:
                while len(self.buffer) >= self._most:
                    self.room.clear()
                    await self.room.wait()
                if self.error is not None:  # of another stream: what came before it goes out before it, and no more
                    return
                self.buffer.append(item)
                if len(self.buffer) == 1:
                    self._changed.set()

    def _failed(self, error: BaseException, cause: BaseException | None = None) -> None:
        if cause is not None:
            error.__cause__ = trimmed(cause)
        if self.error is None:
            self.error = error
