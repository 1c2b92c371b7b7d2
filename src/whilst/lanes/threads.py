"""Thread lanes: a crew of the run's own that serves the run's queue.

Why not asyncio's executor: its `min(32, cpus + 4)` threads are shared with everyone, and Ctrl-C waits for them
(cpython#111358).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any

from ..core.colour import has_method, name_of, place_of
from ..core.headers import Left
from ..errors import TooManyAbandoned
from .clock import announce
from .crew import Crew, Member
from .listening import listening
from .loop import GRACE
from .port import Port
from .slab import Slab, tell

EXIT_WAIT = 0.5  # seconds that a closing run waits for idle threads to be gone; they need microseconds

Pair = tuple[int, Any]


class _Call:
    """A call in progress, as the loop needs to know it."""

    __slots__ = ("error", "future", "given_up", "in_task", "pair", "started", "task", "unwanted")

    def __init__(self, pair: Pair, started: float) -> None:
        self.pair = pair
        self.started = started
        self.in_task = False  # the function has returned an awaitable, which a task on the loop awaits
        self.task: asyncio.Task[Any] | None = None
        self.future: concurrent.futures.Future[Any] | None = None
        self.given_up = False
        self.unwanted = False  # given up without an outcome
        self.error: Exception | None = None  # why we gave it up


class ThreadLanes:
    """Lanes for a blocking function, or one whose colour shows only when it is called; see `Lanes`."""

    def __init__(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float) -> None:
        self._port = port
        self._fn = fn
        self._concurrency = concurrency
        self._patience = patience  # seconds a call may take; for the message
        self._slab = Slab(port.loop, port.emit, port.refill)
        self._gone = asyncio.Event()
        self._crew = Crew(
            port.queue,
            self._serve,
            concurrency,
            on_gone=lambda: tell(port.loop, self._gone.set),
            on_stuck=lambda error: tell(port.loop, port.fatal, error),
        )
        self._context = port.context.copy()  # of calls; one that listens for them all, as to set it takes 0.3 µs a call
        self._context.run(listening.set, self)
        self._tasks: set[asyncio.Task[Any]] = set()  # of awaitables that calls returned
        self._dropped_after = inf
        self._expired: Exception | None = None
        announce(self, port.loop)

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        return len(self._crew.retired)

    @property
    def idle(self) -> bool:
        """Whether a thread stands ready, or could be started."""
        return self._crew.idle

    def at_work(self) -> bool:
        """Whether a thread is in a call, or about to take one, and not waiting for the loop."""
        calls = [self._call_of(member) for member in tuple(self._crew.members)]
        return self._crew.at_work(sum(call is not None and call.in_task for call in calls))

    def wake(self) -> None:
        """Wake one idle thread, or have one started."""
        self._crew.wake()

    def no_more(self) -> None:
        """Let threads end when the queue is empty."""
        self._crew.no_more()

    def sweep(self, now: float) -> float:
        """Give up the calls that are past their time."""
        earliest = inf
        for member in tuple(self._crew.members):
            call = self._call_of(member)
            if call is None:
                continue
            due = self._port.due(call.pair[0], call.started)
            if now >= due:
                self._give_up(member, call, self._port.overdue(call.pair[0], call.started))
            else:
                earliest = min(earliest, due)
        if self.abandoned > self._concurrency:
            self._port.give_up(self._too_many())
        return earliest

    def expire(self, error: Exception) -> None:
        """Give up every call in flight; each becomes an outcome with `error`."""
        self._expired = error  # first: what a thread takes from the queue in this moment is refused by itself
        for member in tuple(self._crew.members):
            if (call := self._call_of(member)) is not None:
                self._give_up(member, call, error)

    def drop(self, after: int) -> None:
        """Give up every call in flight behind `after`; none of them becomes an outcome."""
        self._dropped_after = after  # first, as in `expire`
        for member in tuple(self._crew.members):
            pair = member.job
            if pair is not None and pair[0] > after and self._leave(member, pair):
                self._port.dropped(pair[0])

    def left_behind(self) -> tuple[str, ...]:
        """Say how many calls still run although they were given up."""
        if not self._crew.retired:
            return ()
        where = place_of(self._fn)
        return (f"{self.abandoned} x {name_of(self._fn)}()" + (f" ({where})" if where else ""),)

    def close(self) -> None:
        """Give up what runs and send idle threads home."""
        self._dropped_after = -1  # first, as in `expire`
        self._crew.close()
        for member in tuple(self._crew.members):
            if (pair := member.job) is not None:
                self._leave(member, pair)

    async def gone(self) -> None:
        """Wait until the idle threads are gone, but not long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)
        if not self._crew.gone:
            try:
                await asyncio.wait_for(self._gone.wait(), EXIT_WAIT)
            except TimeoutError:  # an awaitable ignores its cancellation, or the machine is starved
                for member in tuple(self._crew.members):
                    if (pair := member.job) is not None:
                        self._retire(member, pair)

    # -- on the loop ------------------------------------------------------------------------------------------

    def _call_of(self, member: Member) -> _Call | None:
        """Return the call that the thread is in, once it has begun."""
        call: _Call | None = member.state
        return call if call is not None and call.pair is member.job else None

    def _give_up(self, member: Member, call: _Call, error: Exception) -> None:
        if call.in_task:  # the function has returned; what it returned can be cancelled
            if not call.given_up:
                self._cancel(call, error)
        elif self._retire(member, call.pair):
            call.given_up = True  # should it return an awaitable, nobody awaits that any more
            index, item = call.pair
            self._port.emit((index, item, None, error, call.started, self._port.clock() - call.started, 1))
            if self._port.queue:
                self._crew.wake()

    def _leave(self, member: Member, pair: Pair) -> bool:
        call = self._call_of(member)
        if call is not None and call.in_task:  # its thread comes home by itself, once the task is cancelled
            with member.guard:
                left = member.job is pair and not call.unwanted
                call.unwanted = True
        else:
            left = self._retire(member, pair)
        if left and call is not None:
            self._cancel(call, None)
        return left

    def _retire(self, member: Member, pair: Pair) -> bool:
        return self._crew.retire(member, pair, lambda: self._port.left(pair[0]))

    def _cancel(self, call: _Call, error: Exception | None) -> None:
        call.given_up, call.error = True, error
        if call.task is not None:
            call.task.cancel()
        elif call.future is not None:
            call.future.cancel()

    def _adopt(self, call: _Call, awaitable: Awaitable[Any]) -> None:
        """Have a task await what a call returned; from here on the awaitable belongs to the loop alone."""
        if call.given_up:
            return  # its thread knows, and throws the awaitable away
        task = call.task = asyncio.Task(self._finish(call, awaitable), loop=self._port.loop)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._come_back(call, awaitable, task))

    async def _finish(self, call: _Call, awaitable: Awaitable[Any]) -> Any:
        try:
            return await awaitable
        except asyncio.CancelledError as caught:
            assert call.task is not None
            if call.given_up or call.task.cancelling():
                raise
            raise RuntimeError(f"{name_of(self._fn)}() raised CancelledError of its own accord") from caught

    def _come_back(self, call: _Call, awaitable: Awaitable[Any], task: asyncio.Task[Any]) -> None:
        """Let the thread of the call go on with what the task has found."""
        self._tasks.discard(task)
        _discard(awaitable)  # a loop that is torn down cancels tasks before they begin
        call.in_task = False
        assert call.future is not None
        if task.cancelled():
            call.future.cancel()
        elif (error := task.exception()) is not None:
            call.future.set_exception(error)
        else:
            call.future.set_result(task.result())

    def _too_many(self) -> TooManyAbandoned:
        return TooManyAbandoned(
            f"{self.abandoned} calls of {name_of(self._fn)}() outlived their timeout of {self._patience:g} s and still "
            f"run, more than the {self._concurrency} this run may have at once\n"
            f"  a blocking call cannot be stopped from outside ({place_of(self._fn) or 'no source'})\n"
            "  try: a timeout inside the function (requests.get(url, timeout=5)), or a longer timeout= here"
        )

    def told(self, left: Left) -> None:
        """Pass on what the call on this thread is told; elsewhere nobody knows which input it is of."""
        here = threading.get_ident()
        pair = next((it.job for it in tuple(self._crew.members) if it.thread == here), None)
        self._port.told(pair[1] if pair is not None else None, left)

    # -- on the lane's own thread -----------------------------------------------------------------------------

    def _serve(self, member: Member, pair: Pair) -> None:
        clock = self._port.clock
        started = clock()
        member.state = call = _Call(pair, started)
        if pair[0] > self._dropped_after or self._expired is not None:
            self._refuse(member, call)
            return
        value, error = self._context.copy().run(self._invoke, call)
        took = clock() - started
        if not member.finish():
            self._port.came_home(pair[0])
        elif not call.unwanted:
            self._slab.put((pair[0], pair[1], value, error, started, took, 1))
        member.state = None
        del value, error  # the error's traceback leads back to this frame: they would keep each other alive

    def _refuse(self, member: Member, call: _Call) -> None:
        """Do not begin what was taken from the queue in the moment when the run gave up."""
        index, item = call.pair
        if not member.finish():
            self._port.came_home(index)
            return
        if index > self._dropped_after:
            tell(self._port.loop, self._port.dropped, index)
        else:
            self._slab.put((index, item, None, self._expired, call.started, 0.0, 1))
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
        """Await on the loop what the call returned; the thread waits, so that the concurrency holds.

        Everything is in place before the loop is told, so whoever gives the call up finds the task or the future; and
        a call that was given up before it had a task never gets one.
        """
        call.future = future = concurrent.futures.Future[Any]()
        call.in_task = True
        if call.given_up or not tell(self._port.loop, self._adopt, call, awaitable):
            future.cancel()
        try:
            return future.result()
        finally:
            if call.task is None:
                call.in_task = False
                _discard(awaitable)


def _discard(awaitable: Awaitable[Any]) -> None:
    if isinstance(awaitable, Coroutine):
        awaitable.close()
