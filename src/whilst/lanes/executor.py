"""Where are calls made? On the loop, on threads; each of these is an object of one shape.

Whoever composes a run picks one of them and asks it for the rest, so that another place for calls (worker processes,
other machines) is another object here, and nothing else changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ..core.plan import MOST_THREADS
from .calls import Calls
from .loop import LoopLanes
from .port import Lanes, Port
from .threads import ThreadLanes


class SingleCalls(Protocol):
    """Calls that are awaited one by one: those of a flow's leaves; every method is for the loop."""

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        ...

    async def call(self, fn: Callable[..., Any], *args: Any, after: Callable[[], None] | None = None) -> Any:
        """Make one call; `after` is called when it is really over, which may be after its await was cancelled."""

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that were given up and still run."""
        ...

    async def close(self) -> None:
        """End what was kept for other calls."""


class Executor(Protocol):
    """One place where calls are made."""

    @property
    def name(self) -> str:
        """Return what messages and plans call it."""
        ...

    @property
    def most(self) -> int | None:
        """Return how many calls at most one run may have in flight there; None: as many as it likes."""
        ...

    @property
    def kills(self) -> bool:
        """Whether a call can be ended from outside; else one that is given up is left behind, and counted."""
        ...

    @property
    def in_batches(self) -> bool:
        """Whether inputs go there many at a time, and not one by one."""
        ...

    @property
    def opens(self) -> frozenset[str]:
        """Return the `per=` of those resources that are opened where the calls are made, not on the run's loop."""
        ...

    def lanes(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str) -> Lanes:
        """Return the lanes of a run; `patience` is how many seconds a call may take, for messages."""
        ...

    def calls(self, loop: asyncio.AbstractEventLoop, most: int, *, name: str) -> SingleCalls:
        """Return what makes single calls, at most `most` at once where that matters."""
        ...


class LoopExecutor:
    """Calls of async functions, on the run's own loop. They can be cancelled, though one may ignore that."""

    name: str = "loop"
    most: int | None = None
    kills: bool = True
    in_batches: bool = False
    opens: frozenset[str] = frozenset()

    def lanes(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str) -> Lanes:
        """Return coroutine lanes."""
        return LoopLanes(port, fn, concurrency, name=name)

    def calls(self, loop: asyncio.AbstractEventLoop, most: int, *, name: str) -> SingleCalls:
        """Return what awaits in place: nothing is cheaper, and a leaf has a permit of its run already."""
        return _INLINE


class ThreadExecutor:
    """Calls of blocking functions, on threads. They cannot be stopped."""

    name: str = "thread"
    most: int | None = MOST_THREADS
    kills: bool = False
    in_batches: bool = False
    opens: frozenset[str] = frozenset({"thread"})

    def lanes(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str) -> Lanes:
        """Return lanes that are threads."""
        return ThreadLanes(port, fn, concurrency, patience, name=name)

    def calls(self, loop: asyncio.AbstractEventLoop, most: int, *, name: str) -> Calls:
        """Return threads that make single calls."""
        return Calls(loop, most, name=f"whilst-lane {name}")


class _Inline:
    """Single calls of async functions."""

    abandoned: int = 0

    async def call(self, fn: Callable[..., Any], *args: Any, after: Callable[[], None] | None = None) -> Any:
        """Await it here and now."""
        try:
            return await fn(*args)
        finally:
            if after is not None:
                after()

    def left_behind(self) -> tuple[str, ...]:
        """Nothing: the await ends when the call does."""
        return ()

    async def close(self) -> None:
        """Nothing is kept."""


_INLINE = _Inline()

LOOP: LoopExecutor = LoopExecutor()
THREADS: ThreadExecutor = ThreadExecutor()


def executor_of(given: Any) -> Executor:
    """Return the executor that a plan names, or is given."""
    return LOOP if given == "loop" else THREADS if given == "thread" else given
