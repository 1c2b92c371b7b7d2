"""Single blocking calls, awaited one by one from a loop: the lanes of a flow's blocking steps and of `unblock`.

A job costs a future, a context and its share of one wake-up of the loop. asyncio.to_thread pays a wake-up each, and
shares `min(32, cpus + 4)` threads with everybody (measured with 1,000 at once: seven times as long).
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

from ..core.colour import name_of, place_of
from ..errors import TooManyAbandoned
from .clock import announce
from .crew import Crew, Member
from .ending import ended
from .slab import Slab, tell

EXIT_WAIT = 0.5


class _Job:
    __slots__ = ("after", "args", "context", "fn", "future", "member")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        future: asyncio.Future[Any],
        after: Callable[[], None] | None,
    ) -> None:
        self.fn = fn
        self.args = args
        self.future = future
        self.after = after
        self.context: Context = copy_context()
        self.member: Member | None = None


class Calls:
    """Blocking calls on threads of their own, at most `most` at once; all methods but `_serve` are for the loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, most: int, *, name: str = "whilst", patience: float | None = None
    ) -> None:
        self._loop = loop
        self._most = most
        self._queue: deque[_Job] = deque()
        self._gone = asyncio.Event()
        self._slab = Slab(loop, _resolve)
        self._crew = Crew(
            self._queue,
            self._serve,
            most,
            name=name,
            patience=patience,
            on_gone=lambda: tell(loop, self._gone.set),
            on_stuck=lambda error: tell(loop, self._refuse, error),
        )
        announce(self, loop)

    @property
    def abandoned(self) -> int:
        """How many calls were cancelled and still run."""
        return len(self._crew.retired)

    def at_work(self) -> bool:
        """Whether a thread is in a call, or about to take one."""
        return self._crew.at_work()

    async def call(self, fn: Callable[..., Any], *args: Any, after: Callable[[], None] | None = None) -> Any:
        """Call `fn` on a thread, in a copy of the caller's context.

        Cancelled while it waits, it never starts; cancelled while it runs, it is left behind and counted. `after`
        is called when the call is really over, on whatever thread that is seen: a permit goes back then.
        """
        if self.abandoned > self._most:
            raise self._too_many(fn)
        job = self._put(fn, args, after)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._forget(job)
            raise

    async def surely(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call `fn` on a thread, to its end, for what must happen: a cancellation meanwhile goes on only then."""
        future = self._put(fn, args, None).future
        try:
            await ended([future])
        except asyncio.CancelledError:
            future.exception()  # looked at, so that asyncio does not complain
            raise
        return future.result()

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that were cancelled and still run."""
        jobs = [member.job for member in tuple(self._crew.retired)]
        calls = Counter((name_of(job.fn), place_of(job.fn)) for job in jobs if job is not None)
        return tuple(f"{n} x {name}()" + (f" ({place})" if place else "") for (name, place), n in calls.items())

    async def close(self) -> None:
        """Send the threads home, each of which first calls what its members' `at_end` holds."""
        self._crew.close()
        if not self._crew.gone:
            try:
                await asyncio.wait_for(self._gone.wait(), EXIT_WAIT)
            except TimeoutError:
                pass  # a thread is still closing something; it ends by itself

    def _too_many(self, fn: Callable[..., Any]) -> TooManyAbandoned:
        return TooManyAbandoned(
            f"{name_of(fn)}() is not called: {self.abandoned} calls were given up and still run, more than the "
            f"{self._most} there may be at once\n  {'; '.join(self.left_behind()[:3])}\n"
            "  try: a timeout inside those functions (requests.get(url, timeout=5)), or a longer timeout= here"
        )

    def _put(self, fn: Callable[..., Any], args: tuple[Any, ...], after: Callable[[], None] | None) -> _Job:
        job = _Job(fn, args, self._loop.create_future(), after)
        self._queue.append(job)
        self._crew.wake()
        return job

    def _refuse(self, error: Exception) -> None:
        """Fail what waits: the system gives no thread, and there is none that could come back."""
        while self._queue:
            job = self._queue.popleft()
            if job.after is not None:
                job.after()
            _resolve((job.future, None, error))

    def _forget(self, job: _Job) -> None:
        if not job.future.cancelled():  # it had returned in the same moment
            _discard(job.future.result() if job.future.exception() is None else None)
            return
        try:
            self._queue.remove(job)
        except ValueError:
            if job.member is not None and self._crew.retire(job.member, job) and self._queue:
                self._crew.wake()  # another thread takes its place
        else:
            if job.after is not None:
                job.after()

    def _serve(self, member: Member, job: _Job) -> None:
        job.member = member
        wanted = not job.future.done()  # or it was cancelled between the queue and here
        value, error = job.context.run(_invoke, member, job) if wanted else (None, None)
        if job.after is not None:
            job.after()
        if member.finish() and wanted:
            self._slab.put((job.future, value, error))
        else:
            _discard(value)
        del value, error  # the error's traceback leads back to this frame: they would keep each other alive


def current_member() -> Member | None:
    """Return the crew member on whose thread this runs, inside a call; for resources that live as long as a thread."""
    return getattr(_on_thread, "member", None)


_on_thread = threading.local()


def _invoke(member: Member, job: _Job) -> tuple[Any, BaseException | None]:
    _on_thread.member = member
    try:
        return job.fn(*job.args), None
    except (StopIteration, asyncio.CancelledError) as caught:  # a future cannot hold these
        error = RuntimeError(f"{name_of(job.fn)}() raised {type(caught).__name__} of its own accord")
        error.__cause__ = caught
        return None, error
    except BaseException as caught:  # all of them: the awaiting side raises it
        trace = caught.__traceback__
        return None, caught.with_traceback(trace.tb_next if trace is not None else None)


def _resolve(result: tuple[asyncio.Future[Any], Any, BaseException | None]) -> None:
    future, value, error = result
    if future.done():
        _discard(value)
    elif error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _discard(value: Any) -> None:
    """Close a coroutine that nobody will await, or the interpreter would complain of it."""
    if isinstance(value, Coroutine):
        value.close()
