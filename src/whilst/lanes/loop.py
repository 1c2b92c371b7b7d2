"""Coroutine lanes: tasks that serve one shared queue, each awaiting one call after the other.

Two rules keep this file small:

1. A lane is cancelled by us only with a `reason` set on it first; a cancellation without one comes from outside
   (the loop is being torn down) and ends the run.
2. Whoever puts inputs into the queue wakes a lane; each woken lane that leaves something in the queue wakes two
   more. So a thousand lanes are up in ten steps when calls wait, and only two when calls return at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from math import inf
from typing import Any, Literal

from ..core.colour import name_of
from ..core.headers import Left
from ..errors import RunCancelled
from .listening import listening
from .port import Port

SLICE = 0.002  # seconds that calls which never suspend may hold the loop before other tasks get a turn
GRACE = 1.0  # seconds a cancelled call may take to clean up before it is left behind

Reason = Literal["", "timeout", "expire", "drop", "close"]


class _Lane:
    __slots__ = ("error", "input", "port", "reason", "started", "task", "waiter")

    def __init__(self, port: Port) -> None:
        self.port: Port | None = port  # until it ends: what calls leave running may keep the lane alive
        self.task: asyncio.Task[None] | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.input: tuple[int, Any] | None = None  # (index, input) of the call in flight
        self.started = 0.0
        self.reason: Reason = ""
        self.error: Exception | None = None

    def told(self, left: Left) -> None:
        if self.port is not None and (given := self.input) is not None:
            self.port.told(given[1], left)

    def cancel(self, reason: Reason, error: Exception | None = None) -> None:
        assert self.task is not None
        if not self.reason:  # once: to cancel it again would cancel its clean-up
            self.task.cancel()
        self.reason, self.error = reason, error


class LoopLanes:
    """Lanes for an async function; see `Lanes` for the contract."""

    def __init__(self, port: Port, fn: Callable[[Any], Awaitable[Any]], concurrency: int) -> None:
        self._port = port
        self._fn = fn
        self._concurrency = concurrency
        self._lanes: set[_Lane] = set()
        self._parked: deque[_Lane] = deque()
        self._closing = False
        self._slice_end = 0.0
        self._stubborn: set[asyncio.Task[None]] = set()

    @property
    def abandoned(self) -> int:
        """How many calls did not end when they were cancelled, and still run."""
        return len(self._stubborn)

    @property
    def idle(self) -> bool:
        """Whether a lane stands ready, or could be started."""
        return bool(self._parked) or len(self._lanes) < self._concurrency

    def wake(self) -> None:
        """Wake or start two lanes."""
        for _ in range(min(2, len(self._port.queue))):
            if self._parked:
                waiter = self._parked.pop().waiter
                if waiter is not None and not waiter.done():
                    waiter.set_result(None)
            elif len(self._lanes) < self._concurrency:
                self._start_lane()

    def no_more(self) -> None:
        """Do nothing: an idle task costs nothing to keep and little to end."""

    def sweep(self, now: float) -> float:
        """Cancel the calls that are past their time."""
        earliest = inf
        for lane in self._lanes:
            if lane.input is None or lane.reason:
                continue
            due = self._port.due(lane.input[0], lane.started)
            if now >= due:
                lane.cancel("timeout", self._port.overdue(lane.input[0], lane.started))
            else:
                earliest = min(earliest, due)
        return earliest

    def expire(self, error: Exception) -> None:
        """Cancel every call in flight; each becomes an outcome with `error`."""
        for lane in self._lanes:
            if lane.input is not None and not lane.reason:
                lane.cancel("expire", error)

    def drop(self, after: int) -> None:
        """Cancel every call in flight behind `after`; none of them becomes an outcome."""
        for lane in self._lanes:
            if lane.input is not None and lane.input[0] > after and lane.reason != "drop":
                lane.cancel("drop")

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that did not end when they were cancelled."""
        return (f"{self.abandoned} x {name_of(self._fn)}(), which ignored being cancelled",) * bool(self.abandoned)

    def close(self) -> None:
        """Cancel what runs and let idle lanes end."""
        self._closing = True
        for lane in tuple(self._lanes):
            if lane.input is not None:
                lane.cancel("close")
            elif lane.waiter is not None and not lane.waiter.done():
                lane.waiter.set_result(None)

    async def gone(self) -> None:
        """Wait until the lanes have ended, but not long."""
        tasks = {lane.task: lane for lane in self._lanes if lane.task is not None}
        if tasks:
            _, self._stubborn = await asyncio.wait(tasks, timeout=GRACE)
            for task in self._stubborn:
                task.add_done_callback(self._stubborn.discard)
                if (pair := tasks[task].input) is not None:
                    self._port.left(pair[0])
                    task.add_done_callback(self._came_home(pair[0]))

    def _came_home(self, index: int) -> Callable[[object], None]:
        return lambda _: self._port.came_home(index)

    def _start_lane(self) -> None:
        lane = _Lane(self._port)
        self._lanes.add(lane)
        context = self._port.context.copy()
        context.run(listening.set, lane)
        lane.task = self._port.create_task(self._serve(lane, context), context)

    async def _serve(self, lane: _Lane, context: Context) -> None:
        port, fn = self._port, self._fn
        take, clock, emit = port.queue.popleft, port.clock, port.emit
        untouched = context.copy()
        ended, woken = 0.0, True
        try:
            while not self._closing:
                try:
                    lane.input = given = take()
                except IndexError:
                    await self._work(lane)
                    woken = True
                    continue
                if woken:
                    woken = False
                    if port.queue:
                        self.wake()
                    ended = clock()
                lane.started = started = ended  # a lane that goes straight on saves a look at the clock
                value = error = None
                try:
                    value = await fn(given[1])
                except BaseException as caught:
                    error = self._judge(lane, caught)
                lane.input = None
                ended = clock()
                if lane.reason and self._settle(lane):
                    port.dropped(given[0])
                else:
                    emit((given[0], given[1], value, error, started, ended - started, 1))
                del given, value, error  # an idle lane must not keep a result alive
                try:
                    clean = copy_context() == untouched  # 0.1 µs; what a call did to the context ends with it
                except Exception:  # the __eq__ of a value in there may do anything
                    clean = False
                if not clean:
                    self._replace(lane)
                    return
                if ended >= self._slice_end:
                    self._slice_end = ended + SLICE
                    await asyncio.sleep(0)
                    ended = clock()
                    self._slice_end = ended + SLICE
        except asyncio.CancelledError:
            if not self._closing:
                port.fatal(RunCancelled("the loop that drove this run was shut down"))
            raise
        except Exception as error:  # no call's, those are judged: a fault of the run itself, which must not hang for it
            port.fatal(error)
        finally:
            self._lanes.discard(lane)
            lane.port = None

    async def _work(self, lane: _Lane) -> None:
        """Return when the queue may have something, or the run has ended."""
        self._port.refill()
        if self._port.queue or self._closing:
            return
        lane.waiter = self._port.loop.create_future()
        self._parked.append(lane)
        await lane.waiter
        lane.waiter = None

    def _replace(self, lane: _Lane) -> None:
        self._lanes.discard(lane)
        if not self._closing:
            self._start_lane()

    def _judge(self, lane: _Lane, caught: BaseException) -> BaseException | None:
        """Return the error of this input, or raise what ends the lane."""
        if isinstance(caught, asyncio.CancelledError):
            if lane.reason in ("timeout", "expire"):
                return lane.error
            if lane.reason == "drop":
                return None
            assert lane.task is not None
            if self._closing or lane.task.cancelling():
                lane.input = None
                raise caught
            error: BaseException = RuntimeError(f"{name_of(self._fn)}() raised CancelledError of its own accord")
            error.__cause__ = caught
            return error
        return _trimmed(caught)

    def _settle(self, lane: _Lane) -> bool:
        """Take back our own cancellation; return whether the outcome is unwanted."""
        unwanted = lane.reason in ("drop", "close")
        lane.reason, lane.error = "", None
        assert lane.task is not None
        while lane.task.cancelling():
            lane.task.uncancel()
        return unwanted


def _trimmed(error: BaseException) -> BaseException:
    """Drop this file's frame: it says nothing to the user and would keep the whole run alive."""
    trace = error.__traceback__
    return error.with_traceback(trace.tb_next if trace is not None else None)
