"""How do several streams become one? Some of them are read at the same time; items go on as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import Any

from ..lanes.awaiting import ended
from ..lanes.caught import trimmed
from .stages import Stream, check_stream, items


async def merged(source: Any, concurrency: int, path: str) -> Stream:
    """Give the items of each item of `source`, of `concurrency` of those at a time."""
    reading = _Reading(source, concurrency, path)
    try:
        while await reading.something():
            yield reading.buffer.popleft()
            reading.room.set()
    finally:
        await reading.close()
    error, reading.error = reading.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error, reading


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

    async def close(self) -> None:
        """End every reader wherever it waits, then the stream of streams."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await ended(tuple(self._tasks))
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
