"""One thread that makes calls, and where a pool gets one from.

A pool that wants a thread takes one that rests in another pool of the process. New ones are started by one spawner
thread, because `Thread.start()` waits for the thread: 0.1 ms idle, 2 ms with 200 busy, which no loop should pay. It
ends with the last run that has asked it for one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from .interrupted import raise_interrupt

if TYPE_CHECKING:
    from .results import Client, ResultBridge


Ending = tuple[Any, BaseException | None]


class Awaited:
    """An awaitable on its way through the loop.

    Everything is in place before the loop is told, so whoever gives the call up finds the task or the future; and a
    call that was given up before it had a task never gets one.
    """

    __slots__ = ("dropped", "error", "future", "given_up", "patience", "task")

    def __init__(self) -> None:
        self.future: concurrent.futures.Future[Ending] = concurrent.futures.Future()
        self.task: asyncio.Task[Ending] | None = None
        self.given_up: bool = False
        self.patience: float = inf
        """Until when it may take to end, once it was given up."""
        self.error: Exception | None = None
        """Why it was given up, if its record is wanted."""
        self.dropped: list[tuple[int, Any]] = []
        """The input, if it is not."""

    def give_up(self, error: Exception | None) -> None:
        """Cancel it; on the loop. Its thread goes on by itself, when the clean-up has ended."""
        if self.given_up:
            return  # once: to cancel it again would cancel its clean-up
        self.given_up, self.error = True, error
        task = self.task
        if task is not None:
            task.cancel()
        else:
            self.future.cancel()


class Pool(Protocol):
    """What threads serve, and what is given threads; `ThreadPool` is the one there is."""

    name: str
    of_run: bool
    queue: deque[tuple[int, Any]]
    workers: set[Worker]
    closing: bool
    wanted: bool
    bridge: ResultBridge

    @property
    def client(self) -> Client:
        """Whose calls it makes."""
        ...

    @property
    def is_short(self) -> bool:
        """Whether another thread would find something to do."""
        ...

    def serve(self, worker: Worker) -> None:
        """Make calls until the thread shall go elsewhere."""

    def wake(self) -> None:
        """Put a thread to work, if one is idle or may come."""

    def take_parked(self, worker: Worker) -> bool:
        """Take a thread out of those at rest; False if it is not among them any more."""
        ...

    def left(self, worker: Worker) -> None:
        """Take note that a thread is elsewhere."""

    def stuck(self, error: RuntimeError) -> None:
        """Take note that there is no thread to be had."""


class Worker:
    """A thread and what it is busy with; it serves one pool at a time, perhaps several in its life.

    `call` is a list of one, the input that is called, until somebody pops it: the thread when the call has returned,
    or who gives the call up. So whichever comes first holds, in one step of the interpreter.
    """

    __slots__ = ("at_end", "awaited", "call", "gate", "opened", "pool", "started")

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.call: list[tuple[int, Any]] = []
        self.started: float = 0.0
        """When the call began."""
        self.awaited: Awaited | None = None
        """What the call has returned, if the loop awaits that now."""
        self.opened: dict[Any, Any] = {}
        """What was opened for this thread, by what it is."""
        self.at_end: list[Callable[[], object]] = []
        """Called on the thread itself before it leaves its pool; a thread that has any stays there."""
        self.gate: threading.Lock = threading.Lock()  # a thread at rest waits here
        self.gate.acquire()

    def run(self, ended: Callable[[Worker], None]) -> None:
        """Serve one pool after the other; what the thread does."""
        _here.worker = self
        try:
            while (pool := self.pool) is not None:
                pool.serve(self)
        finally:
            ended(self)


def current_worker() -> Worker | None:
    """Return whose thread this is, inside a call; for resources that live as long as a thread."""
    return getattr(_here, "worker", None)


_here = threading.local()


FEW = 4  # threads of the process: while there are fewer, starting one is quick, and a spawner would cost another

# When the threads of a pool took more than a call each, and more than a few, while one more was started (0.1 to 0.3
# ms), its calls wait for nothing and more threads would only fight for the interpreter: the spawner takes a breath.
SPREE = 4
BREATH = 0.0005  # seconds


class Supply:
    """The threads of this process that make calls; every method may be called on any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # between two who give a pool a thread: it must not get one too many
        self._idle: dict[Worker, None] = {}  # at rest in a pool that can do without; some may have been woken since
        self._alive: set[Worker] = set()
        self._wanting: deque[Pool] = deque()
        self._users: set[Pool] = set()  # runs for whose sake the spawner stays
        self._spawner: threading.Thread | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    # -- for pools --------------------------------------------------------------------------------------------

    def give(self, pool: Pool) -> None:
        """Give a pool one more thread, now or soon, if there is one to be had."""
        if self._lend_to(pool):
            return
        if not pool.workers and len(self._alive) < FEW and self._start_for(pool, most=FEW):
            return
        if not pool.wanted:
            self._note_want(pool)
            self._call_spawner(pool)

    def rests(self, worker: Worker) -> None:
        """Take note that a thread is parked, and that its pool can do without it."""
        self._idle[worker] = None

    def rests_no_more(self, worker: Worker) -> None:
        """Take note that it has been woken."""
        self._idle.pop(worker, None)

    def move_on(self, worker: Worker) -> bool:
        """Have a thread that has nothing to do serve a pool that wants one; False if none does."""
        while self._wanting:
            pool = self._next_want()
            if pool is not None and self._assign(worker, pool):
                self._look_again(pool)
                return True
        return False

    def closed(self, pool: Pool) -> None:
        """Take note that a pool, which is closing, wants no thread any more."""
        self._users.discard(pool)
        self._forget_want(pool)
        if not self._users:
            _open(self._gate)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _lend_to(self, pool: Pool) -> bool:
        """Move a thread that rests in another pool."""
        while self._idle:
            try:
                worker, _ = self._idle.popitem()
            except KeyError:
                break
            home = worker.pool
            if home is None or not home.take_parked(worker):
                continue  # it was woken meanwhile
            moved = self._assign(worker, pool)
            if moved:
                home.left(worker)
            worker.gate.release()  # else it looks around where it was, and rests again
            return moved
        return False

    def _assign(self, worker: Worker, pool: Pool, most: float = inf) -> bool:
        """Count a thread as the pool's, if that needs one, and there are fewer than so `most`."""
        with self._guard:
            if not pool.is_short or len(self._alive) >= most:
                return False
            pool.workers.add(worker)
            worker.pool = pool
            self._alive.add(worker)
            return True

    def _start_for(self, pool: Pool, most: float = inf) -> bool:
        """Start a thread for a pool that needs one; False if it does not, or there are so `most` already."""
        worker = Worker()
        if not self._assign(worker, pool, most):
            return False
        try:
            threading.Thread(target=worker.run, args=(self._ended,), name=pool.name, daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads; those there are go on
            raise_interrupt(error)
            self._ended(worker)
            pool.left(worker)
            if not pool.workers:
                pool.stuck(error)
        return True

    def _ended(self, worker: Worker) -> None:
        self._alive.discard(worker)
        self._idle.pop(worker, None)

    def _note_want(self, pool: Pool) -> None:
        if not pool.wanted:
            pool.wanted = True
            self._wanting.append(pool)
            if pool.closing:  # it may have been closed in between, and what stands there keeps its run
                self._forget_want(pool)

    def _forget_want(self, pool: Pool) -> None:
        with suppress(ValueError):  # it has none, or somebody has just taken it
            self._wanting.remove(pool)

    def _next_want(self) -> Pool | None:
        try:
            pool = self._wanting.popleft()
        except IndexError:
            return None
        pool.wanted = False  # before it is looked at: who finds it short of threads from here on says so again
        return pool

    def _look_again(self, pool: Pool) -> None:
        """Go on with a pool that got a thread: while it is short of more, or for one that has parked meanwhile."""
        if pool.is_short:
            self._note_want(pool)
        elif pool.queue:
            pool.wake()

    def _call_spawner(self, pool: Pool) -> None:
        if pool in self._users:  # it stays for this pool: no need to wait for the guard
            _open(self._gate)
            return
        with self._guard:
            if pool.closing:
                return
            if pool.of_run:
                self._users.add(pool)
            if self._spawner is None:
                spawner = threading.Thread(target=self._spawn, name="whilst-spawner", daemon=True)
                try:
                    spawner.start()
                except RuntimeError as error:
                    raise_interrupt(error)
                else:
                    self._spawner = spawner
        if self._spawner is not None:
            _open(self._gate)
        elif pool.workers:
            pool.wanted = False  # they go on, and one that finds nothing to do elsewhere comes; it may ask again
        else:
            self._start_for(pool)

    # -- on the spawner's thread ------------------------------------------------------------------------------

    def _spawn(self) -> None:
        while True:
            while (pool := self._next_want()) is not None:
                self._supply(pool)
            with self._guard:
                if not (self._users or self._wanting):
                    self._spawner = None
                    return
            self._gate.acquire()

    def _supply(self, pool: Pool) -> None:
        if not self._lend_to(pool) and pool.is_short:
            made, threads = pool.bridge.came, len(pool.workers)
            self._start_for(pool)
            if len(pool.workers) <= threads:
                return  # there are no more to be had
            if pool.bridge.came - made > max(SPREE, threads) and not self._wanting:
                time.sleep(BREATH)
        self._look_again(pool)


def _open(gate: threading.Lock) -> None:
    try:
        gate.release()
    except RuntimeError:
        pass  # open already


supply: Supply = Supply()


def _after_fork() -> None:
    """Begin anew: the parent's threads do not exist in the child, and one of them may have held the guard."""
    supply.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
