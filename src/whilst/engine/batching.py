"""When does a stage give a batch? When it is full, when its first item has waited long enough, and at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from ..lanes.awaiting import GRACE, ended, trimmed
from .consume import EndOf
from .stages import Left, Stream, items

MOST_KEYS = 1024  # keys that have a batch begun at a time; of more the oldest is given as it is

KeyOf = Callable[[Any], Awaitable[Any]]


def batched(source: Any, n: int, within: float | None, key_of: KeyOf | None, left: Left) -> Stream:
    """Give lists of at most `n` items: when full, when the first has waited `within` seconds, and at the end.

    With `key_of` a list has items of one key alone. `left` is told of the task of a source that does not end when it is
    cancelled.
    """
    return _by_size(source, n, key_of) if within is None else _by_time(_Pump(source, n, key_of), within, left)


async def _by_size(source: Any, n: int, key_of: KeyOf | None) -> Stream:
    begun: dict[Any, list[Any]] = {}  # the first to be begun come first
    failure: Exception | None = None
    async with aclosing(items(source)) as stream:
        try:
            async for item in stream:
                key = None if key_of is None else await key_of(item)
                batch = begun.get(key)
                if batch is None:
                    batch = begun[key] = []
                batch.append(item)
                if len(batch) == n:
                    yield begun.pop(key)
                elif len(begun) > MOST_KEYS:
                    yield begun.pop(next(iter(begun)))
        except Exception as caught:  # what came before it goes out before it
            failure = caught
    for batch in begun.values():
        yield batch
    if failure is not None:
        try:
            raise failure
        finally:
            del failure


async def _by_time(pump: _Pump, within: float, left: Left) -> Stream:
    pump.start()
    with EndOf(pump):
        try:
            while batch := await pump.take(within):
                yield batch
        finally:
            await pump.close(left)


class _Pump:
    """Reads a stream until a batch is full, which can be taken then, or begun as it is when its time has come."""

    def __init__(self, source: Any, n: int, key_of: KeyOf | None) -> None:
        self.error: BaseException | None = None
        self._n = n
        self._source = source
        self._key_of = key_of
        self._begun: dict[Any, tuple[float, list[Any]]] = {}  # and when; the first to be begun come first
        self._full: list[Any] = []  # the batch that is to be given next, if there is one
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._loop.create_task(self._read())

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

    async def close(self, left: Left) -> None:
        if self._task is not None:
            self._task.cancel()
            await ended([self._task], GRACE, left)
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
            if self._task is None or self._task.cancelling():
                raise
            self.error = RuntimeError("the source raised CancelledError of its own accord")
            self.error.__cause__ = trimmed(caught)
        except BaseException as caught:  # all of them: the consumer of the batches raises it
            self.error = trimmed(caught)
        finally:
            self._ended = True
            self._changed.set()

    async def _put(self, item: Any) -> None:
        key = None if self._key_of is None else await self._key_of(item)
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
