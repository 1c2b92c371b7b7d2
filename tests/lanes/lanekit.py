"""What the tests of the lanes share: a port without a run behind it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

from whilst.core.timings import Timings


class BarePort:
    """A driver that only remembers what its lanes say; see `Port`."""

    def __init__(self, inputs: Any = (), deadline: float = inf) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock: Callable[[], float] = time.monotonic
        self.context = contextvars.copy_context()
        self.queue: deque[tuple[int, Any]] = deque(enumerate(inputs))
        self.names_calls = False
        self.ends_at = deadline
        self.records: list[Any] = []
        self.unwanted: list[int] = []
        self.behind: list[int] = []
        self.late: list[int] = []
        self.errors: list[BaseException] = []
        self.patience = inf
        self.timings = Timings()
        self.changed = asyncio.Event()

    def emit(self, record: Any) -> None:
        self.records.append(record)
        self.changed.set()

    def together(self, begins: bool) -> None:
        pass

    def allow(self, item: Any, left: Any) -> None:
        pass

    def dropped(self, index: int) -> None:
        self.unwanted.append(index)
        self.changed.set()

    def abandon(self, index: int) -> None:
        self.behind.append(index)

    def returned_late(self, index: int) -> None:
        self.late.append(index)

    def unmade(self, pairs: Any) -> None:
        self.queue.extendleft(reversed(pairs))

    def due(self, index: int, started: float) -> float:
        return started + self.patience

    def overdue(self, index: int, started: float) -> TimeoutError:
        return TimeoutError(index)

    def refill(self) -> None:
        pass

    def turn(self) -> None:
        pass

    def fatal(self, error: BaseException) -> None:
        self.errors.append(error)
        self.changed.set()

    def give_up(self, error: Exception) -> None:
        self.errors.append(error)

    def create_task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        return self.loop.create_task(coroutine, context=context)

    def past_deadline(self, took: float) -> None:
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what the lanes have said makes it true."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def threads(prefix: str = "whilst") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
