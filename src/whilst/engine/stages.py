"""Stages: streams in, streams out, item by item, with bounded buffers between them.

A stage pulls: an `each` is a run of its own whose source is the stage before, so backpressure, order and read-ahead
are the run's. When a stage ends, for whatever reason, it closes the one before it, which may be waiting on a full
buffer or on its own source: closing cancels either wait, so a failing stage ends its neighbours without a hang.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from ..core.colour import has_method
from ..core.outcome import short
from ..core.plan import Plan
from ..lanes.ending import ended
from .consume import Unpack, consume, value_of
from .driver import Driver
from .handoff import LoopHandoff
from .source import is_container

Stream = AsyncGenerator[Any, None]


def each(
    call: Callable[[Any], Awaitable[Any]],
    source: Any,
    *,
    concurrency: int,
    ordered: bool,
    name: str,
    run_ahead: int | None = None,
) -> Stream:
    """Give `call(item)` for every item of `source`, at most `concurrency` at once; the first failure raises."""
    plan = Plan(
        fn=call,
        inputs=source,
        concurrency=concurrency,
        timeout=None,
        deadline=None,
        ordered=ordered,
        stop_after=None,
        on_threads=False,
        total=None,
        progress=False,
        name=name,
        context=contextvars.copy_context(),
        run_ahead=run_ahead,
    )

    def begin() -> tuple[Driver, LoopHandoff, Unpack]:
        loop = asyncio.get_running_loop()
        handoff = LoopHandoff(loop)
        driver = Driver(plan, loop, handoff, fail_fast=True)
        driver.start()
        return driver, handoff, value_of

    return consume(begin, lambda: None)


async def flatten(source: Any, path: str) -> Stream:
    """Give the items of each item of `source`, one level down."""
    async with aclosing(items(source)) as outer:
        async for item in outer:
            check_stream(item, path)
            inside: Stream
            async with aclosing(items(item)) as inside:
                async for inner in inside:
                    yield inner  # pyright: ignore[reportUnknownVariableType]


async def batched(source: Any, n: int, within: float | None) -> Stream:
    """Give lists of at most `n` items: when full, when the first has waited `within` seconds, and at the end."""
    if within is None:
        batch: list[Any] = []
        failure: Exception | None = None
        async with aclosing(items(source)) as stream:
            try:
                async for item in stream:
                    batch.append(item)
                    if len(batch) == n:
                        yield batch
                        batch = []
            except Exception as caught:  # what came before it goes out before it
                failure = caught
        if batch:
            yield batch
        if failure is not None:
            raise failure
        return
    pump = _Pump(source, n)
    try:
        while batch := await pump.take(within):
            yield batch
    finally:
        await pump.close()
    if pump.error is not None:
        raise pump.error


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


async def _same(item: Any) -> Any:
    return item


def check_stream(value: Any, path: str) -> None:
    """Refuse, by the stage's path, a value that has no items."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Iterable, AsyncIterable)):
        raise TypeError(
            f"{path} needs something to iterate over, got {short(value, 60)} ({type(value).__name__})\n"
            "  try: a step before it that returns a list, or a generator function for many outputs"
        )


class _Pump:
    """Reads a stream into a buffer of at most `n`, so that a batch can be taken by size or by time."""

    def __init__(self, source: Any, n: int) -> None:
        self.error: BaseException | None = None
        self._n = n
        self._buffer: deque[Any] = deque()
        self._first_at = 0.0  # when the oldest item in the buffer came
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._read(source))

    async def take(self, within: float) -> list[Any]:
        """Return the next batch; an empty one means the end."""
        while not self._ended and len(self._buffer) < self._n:
            left = self._first_at + within - self._loop.time() if self._buffer else None
            if left is not None and left <= 0:
                break
            self._changed.clear()
            timer = None if left is None else self._loop.call_later(left, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if timer is not None:
                    timer.cancel()
        batch = list(self._buffer)
        self._buffer.clear()
        self._room.set()
        return batch

    async def close(self) -> None:
        """End the reading, wherever it waits."""
        self._task.cancel()
        await ended([self._task])

    async def _read(self, source: Any) -> None:
        try:
            async with aclosing(items(source)) as stream:
                async for item in stream:
                    while len(self._buffer) >= self._n:
                        self._room.clear()
                        await self._room.wait()
                    if not self._buffer:
                        self._first_at = self._loop.time()
                    self._buffer.append(item)
                    if len(self._buffer) in (1, self._n):
                        self._changed.set()
        except asyncio.CancelledError as caught:
            if self._task.cancelling():
                raise
            self.error = RuntimeError("the source raised CancelledError of its own accord")
            self.error.__cause__ = caught
        except BaseException as caught:  # all of them: the consumer of the batches raises it
            self.error = caught
        finally:
            self._ended = True
            self._changed.set()
