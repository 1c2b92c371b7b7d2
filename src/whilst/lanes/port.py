"""What a lane needs from the driver, and what the driver needs from its lanes."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..core.headers import Left
from ..core.outcome import Record


class Port(Protocol):
    """The driver as its lanes see it; every method is called on the loop."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    context: contextvars.Context
    queue: deque[tuple[int, Any]]
    """Inputs that may start, as (index, input); lanes take from the left, on any thread."""

    def emit(self, record: Record) -> None:
        """Take what became of one input."""

    def told(self, item: Any, left: Left) -> None:
        """Take note of what an answer says in the middle of the call of this input; on any thread."""

    def dropped(self, index: int) -> None:
        """Take note that a started input will have no outcome, because nobody wants one any more."""

    def left(self, index: int) -> None:
        """Take note that a call is left behind; called before its outcome is emitted or dropped."""

    def came_home(self, index: int) -> None:
        """Take note, on any thread, that a call that was left behind has returned."""

    def due(self, index: int, started: float) -> float:
        """Return when a call that began at `started` is past its time (inf: never)."""
        ...

    def overdue(self, index: int, started: float) -> TimeoutError:
        """Return the error of a call that is past its time."""
        ...

    def refill(self) -> None:
        """Put inputs into the queue, if the window has room and the source has any."""

    def fatal(self, error: BaseException) -> None:
        """End the run now with an error that is not one input's: KeyboardInterrupt, SystemExit, a lost loop."""

    def give_up(self, error: Exception) -> None:
        """Start nothing new, let what is in flight finish, then raise `error`."""

    def create_task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        """Start a task that the driver owns."""
        ...


class Lanes(Protocol):
    """A set of lanes of one kind; every method is called on the loop unless it says otherwise."""

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        ...

    @property
    def idle(self) -> bool:
        """Whether a lane stands ready without work, or could be started."""
        ...

    def wake(self) -> None:
        """Start on the queue, which has something now: each lane that wakes up wakes the next."""

    def no_more(self) -> None:
        """Take note that the queue will not be filled again; idle lanes may end."""

    def sweep(self, now: float) -> float:
        """End the calls that are past their timeout; return when the next one may be (inf: none in flight)."""
        ...

    def expire(self, error: Exception) -> None:
        """End every call in flight, each with an outcome whose error is `error`."""

    def drop(self, after: int) -> None:
        """End every call in flight whose input stands after index `after`, without an outcome."""

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that were abandoned and still run."""
        ...

    def close(self) -> None:
        """End every lane; idempotent."""

    async def gone(self) -> None:
        """Return when the lanes have ended, or when waiting longer would be rude."""
