"""What came of a call, and of what was told to end: what is raised, what is awaited, what nobody wants.

A record holds the exception itself, without our frames: they say nothing to a user and would keep the whole run alive.
An exception class may do anything when it is looked at. That must come out here, where it is one call's, and not where
failures are judged; so it is looked at in ways that its class has no say in, and once in the way that it has.

Where a blocking call returns an awaitable the loop awaits it and the thread waits, so that the concurrency holds:
otherwise a thousand lambdas would have all their awaitables in flight at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from asyncio import current_task
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from math import inf
from typing import Any, TypeVar

from .calling import task_here
from .results import tell
from .worker import Awaited, Ending, Worker

Error = TypeVar("Error", bound=BaseException)
F = TypeVar("F", bound="asyncio.Future[Any]")
T = TypeVar("T")

TWO_MEANINGS = (StopIteration, StopAsyncIteration, asyncio.CancelledError)  # which would mean something else further up


def failure_of(caught: BaseException, name: str, *, frames: int = 1) -> BaseException:
    """Return what stands for the exception that is being handled, where `frames` of its traceback are ours."""
    kind = type(caught)
    trimmed(caught, frames)
    if issubclass(kind, TWO_MEANINGS):
        error = RuntimeError(f"{name}() raised {kind.__name__} of its own accord")
        error.__cause__ = caught
        return error
    try:
        isinstance(caught, _Nothing)
    except BaseException:  # all of them: it is the class of a user, and may raise what it likes
        return RuntimeError(f"{name}() raised {kind.__name__}, an exception whose __class__ cannot be read")
    return caught


def trimmed(caught: BaseException, frames: int = 1) -> BaseException:
    """Drop the first frames from the traceback of the exception that is being handled; return it."""
    trace = sys.exc_info()[2]
    for _ in range(frames):
        trace = trace.tb_next if trace is not None else None
    return BaseException.with_traceback(caught, trace)


def without_our_frames(error: Error) -> Error:
    """Return an error whose tracebacks, and those of what led to it, begin in code of the user's: ours keep the run."""
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        trace = one.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("whilst."):
            trace = trace.tb_next
        BaseException.with_traceback(one, trace)
        one = one.__context__ if one.__cause__ is None else one.__cause__
    return error


class _Nothing:
    """A class that no exception is of."""


async def ended(futures: Iterable[F], patience: float = inf, left: Callable[[F], object] | None = None) -> None:
    """Return when all are done, or after `patience` seconds, and tell of those that are `left`.

    A cancellation meanwhile goes on only then, and reaches none of them: they were told to end before, and to cancel
    them again would cancel their clean-up.
    """
    cancelled: asyncio.CancelledError | None = None
    clock = asyncio.get_running_loop().time
    until, in_time = clock() + patience, True
    while (pending := [future for future in futures if not future.done()]) and in_time:
        wait = until - clock()
        in_time = wait > 0.0
        try:
            if in_time:
                await asyncio.wait(pending, timeout=wait if wait < inf else None)
            else:
                await asyncio.sleep(0)  # they may end in the same moment
        except asyncio.CancelledError as caught:
            cancelled = caught
    if left is not None:
        for future in pending:
            left(future)
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            del cancelled  # whose frames are this one


GRACE = 1.0  # seconds that a cancelled call may take to clean up before it is left behind
CLEAN_UP = 2.0  # that what is cancelled inside a flow may take, or all of it, where no value waits for that


class OwnTask(asyncio.Task[T]):
    """A task that knows when what it awaits cancels it: that is a failure of its own, and not the end of all."""

    __slots__ = ("by_itself",)

    by_itself: bool

    def __init__(self, coroutine: Coroutine[Any, Any, T], **given: Any) -> None:
        self.by_itself = False
        super().__init__(coroutine, **given)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel it."""
        if task_here() is self:
            self.by_itself = True
        return super().cancel(msg)


def is_cancelled() -> bool:
    """Whether another one has cancelled the task that runs now; who names the task would be kept by its failure."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and not (isinstance(task, OwnTask) and task.by_itself)


def check_told_to_end() -> None:
    """Raise if another one has cancelled the task that runs now, which the call before has ignored."""
    if current_task().cancelling() and is_cancelled():  # type: ignore[union-attr]  # once a step: in no more calls
        raise asyncio.CancelledError


def insist(task: asyncio.Task[Any]) -> None:
    """Cancel a task again and again that ignores it: behind the call that does nothing else shall be made."""
    if not task.done():
        task.cancel()
        task.get_loop().call_later(GRACE, insist, task)


class Awaiting:
    """The awaitables that the calls of one run have returned."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.tasks: set[asyncio.Task[Ending]] = set()
        self._loop = loop
        self._name = name

    def settle(self, worker: Worker, awaitable: Awaitable[Any]) -> Ending:
        """Wait, on the call's thread, for the value or error that comes of it."""
        awaited = Awaited()
        worker.awaited = awaited  # first: from here on who gives the call up gives up this
        try:
            if not (worker.call and tell(self._loop, self._adopt, awaited, awaitable, worker.call)):
                awaited.future.cancel()  # it was abandoned before, or there is no loop any more
            return awaited.future.result()
        except concurrent.futures.CancelledError as caught:
            return None, awaited.error or BaseException.with_traceback(caught, None)
        finally:
            worker.awaited = None
            if awaited.task is None:
                discard(awaitable)
            awaited.task = None

    def _adopt(self, awaited: Awaited, awaitable: Awaitable[Any], call: list[Any]) -> None:
        """Have a task await it; from here on the awaitable belongs to the loop alone."""
        if awaited.given_up or not call:
            awaited.future.cancel()  # its thread throws the awaitable away
            return
        task = awaited.task = OwnTask(self._finish(awaited, awaitable), loop=self._loop)
        self.tasks.add(task)
        task.add_done_callback(lambda _: self._come_back(awaited, awaitable, task))

    async def _finish(self, awaited: Awaited, awaitable: Awaitable[Any]) -> Ending:
        try:
            return await awaitable, None
        except asyncio.CancelledError as caught:
            if awaited.given_up or is_cancelled():
                raise
            return None, failure_of(caught, self._name)
        except BaseException as caught:  # all of them: the record holds it
            return None, failure_of(caught, self._name)
        finally:
            del awaited, awaitable  # a failure's frames keep this one, and what is awaited its future: the failure

    def _come_back(self, awaited: Awaited, awaitable: Awaitable[Any], task: asyncio.Task[Ending]) -> None:
        """Let the thread of the call go on with what the task has found."""
        self.tasks.discard(task)
        discard(awaitable)  # a loop that is torn down cancels tasks before they begin
        if task.cancelled():
            awaited.future.cancel()
        else:
            awaited.future.set_result(task.result())


def discard(value: Any) -> None:
    """Close a coroutine that nobody will await, or the interpreter would complain of it.

    One that has begun is left alone: a function may give the same one to several callers (`functools.cache` does), and
    one of them is awaiting it.
    """
    if isinstance(value, Coroutine) and not _has_begun(value):
        value.close()


def _has_begun(value: Any) -> bool:
    return bool(getattr(value, "cr_running", False) or getattr(value, "cr_suspended", False))
