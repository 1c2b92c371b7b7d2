"""Thread lanes: a crew of the run's own that serves the run's queue.

Why not asyncio's executor: its `min(32, cpus + 4)` threads are shared with everyone, and Ctrl-C waits for them
(cpython#111358).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from ..core.colour import has_method, name_of, place_of
from ..errors import TooManyAbandoned
from .crew import Crew, Member
from .port import Port
from .slab import Slab, tell

EXIT_WAIT = 0.5  # seconds that a closing run waits for idle threads to be gone; they need microseconds

Pair = tuple[int, Any]


class _Call:
    """A call in progress, as the loop needs to know it."""

    __slots__ = ("awaiting", "error", "pair", "started")

    def __init__(self, pair: Pair, started: float) -> None:
        self.pair = pair
        self.started = started
        self.awaiting: concurrent.futures.Future[Any] | None = None  # the awaitable that the function returned
        self.error: Exception | None = None  # why we cancelled it


class ThreadLanes:
    """Lanes for a blocking function, or one whose colour shows only when it is called; see `Lanes`."""

    def __init__(self, port: Port, fn: Callable[[Any], Any], concurrency: int, timeout: float | None) -> None:
        self._port = port
        self._fn = fn
        self._concurrency = concurrency
        self._timeout = timeout
        self._slab = Slab(port.loop, port.emit, port.refill)
        self._gone = asyncio.Event()
        self._crew = Crew(port.queue, self._serve, concurrency, on_gone=lambda: tell(port.loop, self._gone.set))

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        return len(self._crew.retired)

    @property
    def idle(self) -> bool:
        """Whether a thread stands ready, or could be started."""
        return self._crew.idle

    def wake(self) -> None:
        """Wake one idle thread, or have one started."""
        self._crew.wake()

    def sweep(self, now: float) -> float:
        """Give up the calls that are past their timeout."""
        assert self._timeout is not None
        earliest = inf
        for member in tuple(self._crew.members):
            call = self._call_of(member)
            if call is None:
                continue
            if now - call.started >= self._timeout:
                message = f"{name_of(self._fn)}() took longer than its timeout of {self._timeout:g} s"
                self._give_up(member, call, TimeoutError(message))
            else:
                earliest = min(earliest, call.started + self._timeout)
        if self.abandoned > self._concurrency:
            self._port.give_up(self._too_many())
        return earliest

    def expire(self, error: Exception) -> None:
        """Give up every call in flight; each becomes an outcome with `error`."""
        for member in tuple(self._crew.members):
            if (call := self._call_of(member)) is not None:
                self._give_up(member, call, error)

    def drop(self, after: int) -> None:
        """Give up every call in flight behind `after`; none of them becomes an outcome."""
        for member in tuple(self._crew.members):
            pair = member.job
            if pair is not None and pair[0] > after and self._leave(member, pair):
                self._port.dropped(1)

    def left_behind(self) -> tuple[str, ...]:
        """Say how many calls still run although they were given up."""
        if not self._crew.retired:
            return ()
        where = place_of(self._fn)
        return (f"{self.abandoned} x {name_of(self._fn)}()" + (f" ({where})" if where else ""),)

    async def close(self) -> None:
        """Give up what runs, send idle threads home, and wait until those are gone."""
        for member in tuple(self._crew.members):
            if (pair := member.job) is not None:
                self._leave(member, pair)
        self._crew.close()
        if not self._crew.gone:
            try:
                await asyncio.wait_for(self._gone.wait(), EXIT_WAIT)
            except TimeoutError:
                pass  # a thread is between two steps on a starved machine; it ends by itself

    # -- on the loop ------------------------------------------------------------------------------------------

    def _call_of(self, member: Member) -> _Call | None:
        """Return the call that the thread is in, once it has begun."""
        call: _Call | None = member.state
        return call if call is not None and call.pair is member.job else None

    def _give_up(self, member: Member, call: _Call, error: Exception) -> None:
        if call.awaiting is not None:  # the call has returned; what it returned can be cancelled
            call.error = error
            call.awaiting.cancel()
        elif self._crew.retire(member, call.pair):
            index, item = call.pair
            self._port.emit((index, item, None, error, call.started, self._port.clock() - call.started, 1))
            if self._port.queue:
                self._crew.wake()

    def _leave(self, member: Member, pair: Pair) -> bool:
        if not self._crew.retire(member, pair):
            return False
        call = self._call_of(member)
        if call is not None and call.awaiting is not None:
            call.awaiting.cancel()
        return True

    def _too_many(self) -> TooManyAbandoned:
        return TooManyAbandoned(
            f"{self.abandoned} calls of {name_of(self._fn)}() outlived their timeout of {self._timeout:g} s and still "
            f"run, more than the {self._concurrency} this run may have at once\n"
            f"  a blocking call cannot be stopped from outside ({place_of(self._fn) or 'no source'})\n"
            "  try: a timeout inside the function (requests.get(url, timeout=5)), or a longer timeout= here"
        )

    # -- on the lane's own thread -----------------------------------------------------------------------------

    def _serve(self, member: Member, pair: Pair) -> None:
        clock = self._port.clock
        started = clock()
        member.state = call = _Call(pair, started)
        value, error = self._port.context.copy().run(self._invoke, call)
        took = clock() - started
        if member.finish():
            self._slab.put((pair[0], pair[1], value, error, started, took, 1))
        member.state = None

    def _invoke(self, call: _Call) -> tuple[Any, BaseException | None]:
        try:
            value: Any = self._fn(call.pair[1])
            if has_method(value, "__await__"):
                value = self._on_loop(call, value)
            return value, None
        except (StopIteration, asyncio.CancelledError) as caught:  # both would mean something else further up
            error = RuntimeError(f"{name_of(self._fn)}() raised {type(caught).__name__} of its own accord")
            error.__cause__ = caught
            return None, error
        except concurrent.futures.CancelledError as caught:
            return None, call.error or caught
        except BaseException as caught:  # all of them: what is not an Exception is for the consumer to raise
            trace = caught.__traceback__
            return None, caught.with_traceback(trace.tb_next if trace is not None else None)

    def _on_loop(self, call: _Call, awaitable: Awaitable[Any]) -> Any:
        """Await on the loop what the call returned; the thread waits, so that the concurrency holds."""

        async def finish() -> Any:
            return await awaitable

        call.awaiting = asyncio.run_coroutine_threadsafe(finish(), self._port.loop)
        try:
            return call.awaiting.result()
        finally:
            call.awaiting = None
