"""Single blocking calls, awaited one by one from a loop: those of a flow's blocking steps and of `unblock`.

To the pool they are a run whose inputs are calls. A call costs a future, a context and its share of one wake-up of the
loop. asyncio.to_thread pays a wake-up each, and shares `min(32, cpus + 4)` threads with everybody (measured with 1,000
at once: seven times as long).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import suppress
from contextvars import Context, copy_context
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from ..core.colour import has_method, name_of
from ..core.outcome import Record
from ..core.plan import MOST_THREADS
from .awaiting import discard, ended
from .pool import ThreadPool, named
from .port import nothing
from .results import Client, Pair
from .worker import Worker, current_worker

EXIT_WAIT = 0.5  # seconds that closing waits for idle threads to be gone; they need microseconds
MOST_OF_LOOP = 512  # threads for one-off calls all over a program; a map has threads of its own
PATIENCE = 10.0  # seconds that an idle one of them stays for the next call


class Row:
    """Functions to call one after the other, each with what the one before has returned, in one visit to a thread.

    Attributes:
        at: the place of the one that is called, or was called last when it failed.
        value: what that is given.
        of: who has them called.
        clock: what times them; None where nobody asks.
        ends: when each has ended, if they are timed.
    """

    __slots__ = ("at", "clock", "ends", "fns", "of", "value")

    def __init__(
        self,
        fns: tuple[Callable[[Any], Any], ...],
        at: int,
        value: Any,
        of: Any = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.of: Any = of
        self.clock: Callable[[], float] | None = clock
        self.ends: list[float] = []
        self.fns: tuple[Callable[[Any], Any], ...] = fns
        self.at: int = at
        self.value: Any = value


class Job:
    """One call: how it is made, and who waits for it.

    Attributes:
        context: in which it is made.
        of: by whose name it is known; None: that of `fn`.
    """

    __slots__ = ("after", "args", "call", "context", "fn", "future", "of", "row", "worker")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        future: asyncio.Future[Any],
        after: Callable[[], None] | None,
        context: Context | None = None,
        of: Callable[..., Any] | None = None,
    ) -> None:
        self.fn: Callable[..., Any] = fn
        self.args: tuple[Any, ...] = args
        self.future: asyncio.Future[Any] = future
        self.after: Callable[[], None] | None = after
        self.context: Context = copy_context() if context is None else context
        self.of: Callable[..., Any] | None = of
        self.row: Row | None = None
        self.worker: Worker | None = None
        self.call: list[Pair] = []

    @property
    def known_as(self) -> Callable[..., Any]:
        """The function that messages name."""
        return self.fn if self.of is None else self.of


class Calls:
    """Blocking calls on threads of their own, at most `most` at once; every method is for the loop.

    Args:
        loop: where they are awaited.
        most: how many at once, up to `MOST_THREADS`.
        name: of the threads.
        patience: seconds an idle thread stays; None: until `close`.
        lends: whether an idle thread may go to another pool; False where one thread must make all calls.
        of_run: whether they end with a run, and not with their loop.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        most: int,
        *,
        name: str = "whilst-lane",
        patience: float | None = None,
        lends: bool = True,
        of_run: bool = True,
    ) -> None:
        self.left: Callable[[Callable[..., Any]], None] = nothing
        """Told, in the task that awaited it, which function is left behind in a call."""
        self.late: dict[object, Callable[..., Any]] = {}
        """What runs for a run that has ended, and is waited for: it counts as left behind until it returns."""
        self._loop = loop
        self._made = 0
        self._queue: deque[Pair] = deque()
        self._pool = ThreadPool(
            loop,
            _Futures(self._queue),
            _make,
            min(most, MOST_THREADS),
            name=name,
            fn_of=attrgetter("known_as"),
            frames=2,  # the pool's and `_make`
            patience=patience,
            lends=lends,
            of_run=of_run,
            unwanted=_never_begins,
        )

    def resize(self, most: int) -> None:
        """Have another number of threads at most."""
        self._pool.resize(min(most, MOST_THREADS))

    @property
    def abandoned(self) -> int:
        """How many calls were cancelled, or are late, and still run."""
        return len(self._pool.left_behind) + len(self.late)

    async def call(
        self,
        fn: Callable[..., Any],
        *args: Any,
        after: Callable[[], None] | None = None,
        context: Context | None = None,
        of: Callable[..., Any] | None = None,
    ) -> Any:
        """Call `fn` on a thread, in `context` or a copy of the caller's; messages name `of` or `fn`.

        Cancelled while it waits, it never starts; cancelled while it runs, it is left behind and counted. `after`
        is called when the call is really over, on whatever thread that is seen: a permit goes back then.
        """
        self._check(fn if of is None else of)
        return await self._result(self._put(Job(fn, args, self._loop.create_future(), after, context, of)))

    async def in_row(self, row: Row) -> Any:
        """Call the functions of a row from `row.at` on, each in a copy of the caller's context; return the last value.

        Each is a call like any other: none begins after a cancellation, and what runs then is left behind under its
        own name. What is awaitable among the values ends the row there, for the loop to await it: `row.at` is the
        place behind.
        """
        fn = row.fns[row.at]
        self._check(fn)
        job = Job(fn, (), self._loop.create_future(), None)
        job.row = row
        return await self._result(self._put(job))

    async def surely(
        self,
        fn: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
        of: Callable[..., Any] | None = None,
    ) -> Any:
        """Call `fn` on a thread, to its end, for what must happen: a cancellation meanwhile goes on only then."""
        future = self._put(Job(fn, args, self._loop.create_future(), None, context, of))[1].future
        try:
            await ended([future])
            return future.result()
        except asyncio.CancelledError:
            future.exception()  # looked at, so that asyncio does not complain
            raise
        finally:
            del future  # as in `_result`

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that were cancelled, or are late, and still run."""
        return self._pool.left_behind.names() + (named([*self.late.values()]) if self.late else ())

    async def close(self) -> None:
        """Send the threads away, each of which first calls what its `at_end` holds."""
        self._pool.close()
        await self._pool.gone(EXIT_WAIT)  # a thread that is still closing something ends by itself

    def _check(self, fn: Callable[..., Any]) -> None:
        """Raise if the threads are gone, or so many calls given up that another thread would only be one more."""
        if self._pool.closing:
            raise RuntimeError(f"{name_of(fn)}() is not called: its run has ended")
        if given_up := len(self._pool.left_behind):
            what = f"{name_of(fn)}() is not called: {given_up} calls were given up"
            if (error := self._pool.left_behind.too_many(what)) is not None:
                raise error

    def _put(self, job: Job) -> Pair:
        self._made += 1
        pair = (self._made, job)
        self._queue.append(pair)
        self._pool.wake()
        return pair

    async def _result(self, pair: Pair) -> Any:
        future = pair[1].future
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(pair)
            raise
        finally:
            del pair, future  # a failure's traceback leads to this frame, and the future to the failure

    def _cancel(self, pair: Pair) -> None:
        job: Job = pair[1]
        if not job.future.cancelled():  # it had returned in the same moment
            discard(job.future.result() if job.future.exception() is None else None)
            return
        try:
            self._queue.remove(pair)
        except ValueError:
            if job.worker is not None and self._pool.abandon(job.worker, job.call):
                self.left(job.known_as)
        else:
            if job.after is not None:
                job.after()


def after_of(worker: Worker) -> Callable[[], None] | None:
    """Return what is called when the call is over that a thread is in; None if it is in none of these."""
    job = job_of(worker)
    return None if job is None else job.after


def job_of(worker: Worker) -> Job | None:
    """Return the single call that a thread makes; None if it makes none."""
    for _, job in worker.call[:]:
        if isinstance(job, Job):
            return job
    return None


class Closing(Protocol):
    """What is closed in the end."""

    async def close(self) -> None:
        """End what it has."""


K = TypeVar("K", bound=Closing)


def calls_of_loop() -> Calls:
    """Return those of the running loop, for one-off calls from anywhere; their threads end with it."""
    return kept_for_loop(
        Calls, lambda loop: Calls(loop, MOST_OF_LOOP, name="whilst-unblock", patience=PATIENCE, of_run=False)
    )


def kept_for_loop(key: Hashable, make: Callable[[asyncio.AbstractEventLoop], K]) -> K:
    """Return what the running loop has of a kind, made at first use and closed with the loop.

    A loop says that it ends by closing the async generators that were begun on it, so there is one that waits for that.
    Threads of a loop that is closed without it see that when they look up.
    """
    loop = asyncio.get_running_loop()
    found = _of_loops.get((loop, key))
    if found is None:
        for closed in [other for other in list(_of_loops) if other[0].is_closed()]:
            _of_loops.pop(closed, None)
        made = make(loop)
        waiting = _until_it_ends((loop, key), made)
        with suppress(StopIteration):
            waiting.__anext__().send(None)  # begun, here and now: from here on the loop knows it
        found = _of_loops[loop, key] = made, waiting
    kept: K = found[0]
    return kept


_of_loops: dict[tuple[asyncio.AbstractEventLoop, Hashable], tuple[Any, AsyncGenerator[None, None]]] = {}


async def _until_it_ends(key: tuple[asyncio.AbstractEventLoop, Hashable], kept: Closing) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _of_loops.pop(key, None)
        await kept.close()


class _Futures(Client):
    """Who waits for the calls: tasks, which are woken when the loop comes to them."""

    def __init__(self, queue: deque[Pair]) -> None:
        self.queue: deque[Pair] = queue

    def emit(self, record: Record, /) -> None:
        """Let who waits for a call go on."""
        _resolve(record[1].future, record[2], record[3])

    def fatal(self, error: BaseException) -> None:
        """Fail what waits: there is no thread that could make the calls."""
        while self.queue:
            job: Job = self.queue.popleft()[1]
            if job.after is not None:
                job.after()
            _resolve(job.future, None, error)


def _make(job: Job) -> Any:
    """Make a call, on a thread of the pool."""
    job.worker = worker = current_worker()
    assert worker is not None
    job.call = worker.call
    try:  # who cancels it meanwhile finds the thread, or has cancelled the future before this look at it
        if job.future.done():
            return None
        if job.row is None:
            return job.context.run(job.fn, *job.args)
        row, count = job.row, len(job.row.fns)
        while True:
            job.fn = fn = row.fns[row.at]
            row.value = value = job.context.copy().run(fn, row.value)
            row.at += 1
            if row.clock is not None:
                row.ends.append(row.clock())
            if row.at == count or job.future.done() or has_method(value, "__await__"):
                return value
    finally:
        if job.after is not None:
            job.after()
        del job, worker  # a failure's frames keep this one, and the job its future, which keeps the failure


def _never_begins(job: Job) -> None:
    """See to it that who waits for the end of a call hears that it is not made: all was over when a thread took it."""
    if job.after is not None:
        job.after()


def _resolve(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        discard(value)
    elif error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
