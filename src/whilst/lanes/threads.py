"""The lanes of a run whose function blocks, or shows its colour only when it is called: a pool of threads.

Why not asyncio's executor: its `min(32, cpus + 4)` threads are shared with everyone, and Ctrl-C waits for them
(cpython#111358).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..core.call import Call
from ..core.colour import name_of
from .awaiting import GRACE, Awaiting
from .calling import calling, current, listening, maker, task_here, wanted
from .pool import ThreadPool
from .port import Here, Lanes, Port
from .results import Pair
from .worker import Worker, current_worker

if TYPE_CHECKING:
    from ..core.headers import Left

EXIT_WAIT = 0.5  # seconds that a closing run waits for idle threads to be gone; they need microseconds


class ThreadLanes(Lanes):
    """Lanes for a blocking function; see `Lanes`."""

    def __init__(
        self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str = ""
    ) -> None:
        self._port = port
        self._name = name_of(fn)
        self._patience = patience  # seconds a call may take; for the message
        self._awaiting = Awaiting(port.loop, self._name)
        self._listener = _Listener(port)
        context = port.context.copy()
        context.run(listening.set, self._listener)  # one for all calls, as to set it takes 0.3 µs a call
        context.run(current.set, None)
        if port.names_calls:
            context.run(maker.set, _MAKER)
        self._pool = ThreadPool(
            port.loop,
            port,
            _named(fn, self._listener) if port.names_calls else fn,
            concurrency,
            name=f"whilst-lane {name or self._name}",
            context=context,
            settle=self._awaiting.settle,
            fn_of=lambda _: fn,
            frames=1 + port.names_calls,
        )
        self._pool.bridge.timings = port.timings
        self._pool.ends_at(port.ends_at)

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        return len(self._pool.left_behind)

    @property
    def idle(self) -> bool:
        """Whether a thread stands ready, or could be started."""
        return self._pool.idle

    def wake(self) -> None:
        """Wake one idle thread, or have one come."""
        self._pool.wake()

    def resize(self, concurrency: int) -> None:
        """Have another number of threads at most; what is busy stays, and gets no more inputs than there are slots."""
        self._pool.resize(concurrency)

    def no_more(self) -> None:
        """Let threads end when the queue is empty."""
        self._pool.no_more()

    def more(self) -> None:
        """Have threads stay again."""
        self._pool.more()

    def sweep(self, now: float) -> float:
        """Give up the calls that are past their time."""
        earliest = inf
        for worker, call, pair in self._calls():
            awaited, started, index = worker.awaited, worker.started, pair[0]
            given_up = awaited.error if awaited is not None else None
            due = self._port.due(index, started) if awaited is None or given_up is None else awaited.patience
            if now < due:
                earliest = min(earliest, due)
            elif given_up is not None:
                self._abandon(worker, call, pair, given_up)
            else:
                self._give_up(worker, call, pair, self._port.overdue(index, started))
                if awaited is not None:
                    earliest = min(earliest, awaited.patience)
        outlived = f"{self.abandoned} calls of {self._name}() outlived their timeout of {self._patience:g} s"
        if (error := self._pool.left_behind.too_many(outlived)) is not None:
            self._port.give_up(error)
        return earliest

    def expire(self, error: Exception) -> None:
        """Give up every call in flight; each becomes an outcome with `error`."""
        self._pool.refuse(error)  # first: what a thread takes from the queue in this moment is refused by itself
        for worker, call, pair in self._calls():
            self._give_up(worker, call, pair, error)

    def leave_stubborn(self) -> None:
        """Settle the inputs of calls whose awaitables ignore their cancellation."""
        for worker, call, pair in self._calls():
            if (awaited := worker.awaited) is not None and awaited.error is not None:
                self._abandon(worker, call, pair, awaited.error)

    def drop(self, after: int) -> None:
        """Give up every call in flight behind `after`; none of them becomes an outcome."""
        self._pool.refuse(None, after)  # first, as in `expire`
        for worker, call, (index, _) in self._calls():
            if index > after and self._leave(worker, call):
                self._port.dropped(index)

    def in_calls(self) -> list[tuple[int, float]]:
        """Return index and start of calls in flight; from any thread."""
        return [(index, worker.started) for worker, _, (index, _) in self._calls()]

    def left_behind(self) -> tuple[str, ...]:
        """Say how many calls still run although they were given up."""
        return self._pool.left_behind.names()

    def close(self) -> None:
        """Give up what runs and send idle threads away."""
        self._pool.close()
        for worker, call, _ in self._calls():
            self._leave(worker, call)

    async def gone(self) -> None:
        """Wait until the idle threads are gone, but not long."""
        if self._awaiting.tasks:
            await asyncio.wait(self._awaiting.tasks, timeout=GRACE)
        if not await self._pool.gone(EXIT_WAIT):  # an awaitable ignores its cancellation, or the machine is starved
            for worker in tuple(self._pool.workers):
                awaited = worker.awaited
                call = worker.call if awaited is None or not awaited.dropped else awaited.dropped
                self._pool.abandon(worker, call, self._port.abandon)
        self._listener.port = None

    def let_go(self) -> None:
        """Have the pool forget whose calls these were."""
        self._pool.forget()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _calls(self) -> list[tuple[Worker, list[Pair], Pair]]:
        """Return the calls that have begun and are not over, each with its thread."""
        calls: list[tuple[Worker, list[Pair], Pair]] = []
        for worker in tuple(self._pool.workers):
            call = worker.call
            try:
                calls.append((worker, call, call[0]))
            except IndexError:
                pass  # it is between two calls
        return calls

    def _give_up(self, worker: Worker, call: list[Pair], pair: Pair, error: Exception) -> None:
        """End a call with an outcome, unless it has ended meanwhile."""
        awaited = worker.awaited
        if not call:  # looked at last: what is awaited may be of the next call of this thread
            return
        if awaited is None:
            self._abandon(worker, call, pair, error)
        else:  # the function has returned; what it returned can be cancelled, though it may ignore that
            awaited.give_up(error)
            awaited.patience = min(awaited.patience, self._port.clock() + GRACE)

    def _abandon(self, worker: Worker, call: list[Pair], pair: Pair, error: Exception) -> None:
        """Settle the input of a call that goes on."""
        started, (index, item) = worker.started, pair
        if self._pool.abandon(worker, call, self._port.abandon):
            took = self._port.clock() - started
            self._port.timings.add(took, index)
            self._port.emit((index, item, None, error, started, took, 1))

    def _leave(self, worker: Worker, call: list[Pair]) -> bool:
        """End a call without an outcome; False if it has ended."""
        awaited = worker.awaited
        if awaited is None:
            return self._pool.abandon(worker, call, self._port.abandon)
        try:
            awaited.dropped = [call.pop()]  # its thread goes on by itself, once the task is cancelled
        except IndexError:
            return False
        awaited.give_up(None)
        return True


class _Listener:
    """What an answer says in the middle of a call is told here; of which input, the thread knows."""

    def __init__(self, port: Port) -> None:
        self.port: Port | None = port  # until the run ends: what calls leave running may keep this

    def allow(self, left: Left) -> None:
        """Pass it on."""
        port = self.port
        if port is None:
            return
        worker = current_worker()  # None on a thread that the call has started: of some input of this run
        call = worker.call[:] if worker is not None else []
        port.allow(call[0][1] if call else None, left)


class ThreadName:
    """What names a call on a thread; see `calling`."""

    returned: bool = False  # with a value, or with what the loop awaits

    def __init__(self, worker: Worker, item: Any) -> None:
        self.worker = worker
        self.listed: list[Pair] = worker.call
        self.item = item


class _Makers:
    """What tells of named calls; see `Maker`."""

    def makes(self, call: ThreadName) -> bool:
        return call.worker.call is call.listed and (bool(call.listed) or not call.returned)

    def makes_here(self, call: ThreadName) -> bool:
        awaited = call.worker.awaited
        return current_worker() is call.worker or (awaited is not None and awaited.task is task_here() is not None)

    def item_of(self, call: ThreadName) -> Any:
        return call.item


_MAKER = _Makers()


def _named(fn: Callable[[Any], Any], listener: _Listener) -> Callable[[Any], Any]:
    """Return what names each call before it is made."""
    name_it, asked = calling.set, wanted

    def call(item: Any) -> Any:
        worker = current_worker()
        assert worker is not None
        name_it(name := ThreadName(worker, item))
        if asked.is_asked and (port := listener.port) is not None:
            try:
                current.set(_call_of(port, name.listed[0][0], worker.started))
            except IndexError:  # it has been given up in this moment
                pass
        try:
            return fn(item)
        finally:
            name.returned = True

    return call


def _call_of(port: Any, index: int, started: float) -> Call:
    """Return what the code of a call may know of it; where somebody may ask for that, the run is a `core.call.Host`."""
    attempt, identity = port.told_apart(index) if port.is_told_apart else (1, None)
    return Call(port, index, "", attempt, started - port.started, identity)


THREADS: Here = Here("thread", ThreadLanes)
