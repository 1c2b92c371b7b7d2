"""When does a stage give a batch? When it is full, when its first item has waited long enough, and at the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from ..lanes.awaiting import ended, trimmed
from .consume import EndOf
from .stages import Stream, items

MOST_KEYS = 1024  # keys that have a batch begun at a time; of more the oldest is given as it is

KeyOf = Callable[[Any], Awaitable[Any]]


def batched(source: Any, n: int, within: float | None, key_of: KeyOf | None = None) -> Stream:
    """Give lists of at most `n` items: when full, when the first has waited `within` seconds, and at the end.

    With `key_of` a list has items of one key alone.
    """
    if within is None:
        return _by_size(source, n) if key_of is None else _by_size_and_key(source, n, key_of)
    return _by_time(_Pump(source, n) if key_of is None else _SortingPump(source, n, key_of), within)


async def _by_size(source: Any, n: int) -> Stream:
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
        try:
            raise failure
        finally:
            del failure


async def _by_size_and_key(source: Any, n: int, key_of: KeyOf) -> Stream:
    begun: dict[Any, list[Any]] = {}  # the first to be begun come first
    failure: Exception | None = None
    async with aclosing(items(source)) as stream:
        try:
            async for item in stream:
                key = await key_of(item)
                batch = begun.setdefault(key, [])
                batch.append(item)
                if len(batch) == n:
                    yield begun.pop(key)
                elif len(begun) > MOST_KEYS:
                    yield begun.pop(next(iter(begun)))
        except Exception as caught:  # as above
            failure = caught
    for batch in begun.values():
        yield batch
    if failure is not None:
        try:
            raise failure
        finally:
            del failure


async def _by_time(pump: _Pump, within: float) -> Stream:
    pump.start()
    with EndOf(pump):
        try:
            while batch := await pump.take(within):
                yield batch
        finally:
            await pump.close()


class _Pump:
    """Reads a stream into a buffer of at most `n`, so that a batch can be taken by size or by time."""

    def __init__(self, source: Any, n: int) -> None:
        self.error: BaseException | None = None
        self._n = n
        self._source = source
        self._buffer: deque[Any] = deque()
        self._first_at = 0.0  # when the oldest item in the buffer came
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._loop.create_task(self._read())

    async def take(self, within: float) -> list[Any]:
        while not self._ended and len(self._buffer) < self._n:
            left = self._first_at + within - self._loop.time() if self._buffer else None
            if left is not None and left <= 0:
                break
            await self._wait(left)
        batch = list(self._buffer)
        self._buffer.clear()
        self._room.set()
        return batch

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await ended([self._task])
            self._task = None  # it keeps its cancellation, whose frames keep this

    async def _wait(self, left: float | None) -> None:
        """Wait until something has come, for `left` seconds at most."""
        self._changed.clear()
        timer = None if left is None else self._loop.call_later(left, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _read(self) -> None:
        source, self._source = self._source, None
        try:
            async with aclosing(items(source)) as stream:
                async for item in stream:
                    await self._put(item)
        except asyncio.CancelledError as caught:
            if self._task is not None and self._task.cancelling():
                raise
            self.error = RuntimeError("the source raised CancelledError of its own accord")
            self.error.__cause__ = trimmed(caught)
        except BaseException as caught:  # all of them: the consumer of the batches raises it
            self.error = trimmed(caught)
        finally:
            self._ended = True
            self._changed.set()

    async def _put(self, item: Any) -> None:
        while len(self._buffer) >= self._n:
            self._room.clear()
            await self._room.wait()
        if not self._buffer:
            self._first_at = self._loop.time()
        self._buffer.append(item)
        if len(self._buffer) in (1, self._n):
            self._changed.set()


class _SortingPump(_Pump):
    """Does so with a batch for each key; it reads on while none is full."""

    def __init__(self, source: Any, n: int, key_of: KeyOf) -> None:
        super().__init__(source, n)
        self._key_of = key_of
        self._begun: dict[Any, tuple[float, list[Any]]] = {}  # and when; the first to be begun come first
        self._full: list[Any] = []  # the batch that is to be given next, if there is one

    async def take(self, within: float) -> list[Any]:
        while not (self._full or self._ended):
            left = None
            if self._begun:
                left = next(iter(self._begun.values()))[0] + within - self._loop.time()
                if left <= 0:
                    break
            await self._wait(left)
        batch, self._full = self._full or self._oldest(), []
        self._room.set()
        return batch

    async def _put(self, item: Any) -> None:
        key = await self._key_of(item)
        while self._full:
            self._room.clear()
            await self._room.wait()
        if key not in self._begun:
            self._begun[key] = self._loop.time(), []
            self._changed.set()
        batch = self._begun[key][1]
        batch.append(item)
        if len(batch) == self._n:
            self._full = batch
            del self._begun[key]
            self._changed.set()
        elif len(self._begun) > MOST_KEYS:
            self._full = self._oldest()
            self._changed.set()

    def _oldest(self) -> list[Any]:
        return self._begun.pop(next(iter(self._begun)))[1] if self._begun else []
