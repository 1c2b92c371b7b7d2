"""What calls share: opened at the first, looked at, opened again if it broke, closed at the end.

What all calls of a run share has a task of its own; what each thread has of its own lives on that thread.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any

from ..core.colour import has_method, is_async, name_of
from ..core.connection import is_broken
from ..core.described import described
from ..core.resource import Resource
from ..core.tree import Uses
from ..lanes.awaiting import GRACE, TWO_MEANINGS, discard, failure_of, is_cancelled, without_our_frames
from ..lanes.calls import Calls
from ..lanes.worker import current_worker
from .opening import Opening


class Opened:
    """One opened resource: the task that opens it, keeps it and closes it, and what it says to the calls."""

    __slots__ = ("broken", "checking", "doubtful", "end", "is_late", "on_thread", "opened", "task", "users", "wanted")

    def __init__(self, wanted: Resource) -> None:
        self.wanted: Resource = wanted
        self.opened: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
        self.end: asyncio.Event = asyncio.Event()
        self.on_thread: Calls | None = None
        """The threads on one of which it is being opened or closed, which cannot be stopped."""
        self.is_late: bool = False
        """Whether its run has ended and waits for that no more."""
        self.task: asyncio.Task[None] | None = None
        self.users: int = 0
        """Calls that have it."""
        self.broken: bool = False
        """Whether nobody gets it any more."""
        self.doubtful: bool = False
        """Whether it is to be checked before somebody gets it."""
        self.checking: asyncio.Task[None] | None = None

    def failed(self, error: BaseException) -> None:
        """Take note of how a call has ended that had it."""
        if not isinstance(error, (Exception, asyncio.CancelledError)):
            return
        value, _ = self.opened.result()
        self.doubtful = self.doubtful or self.wanted.check is not None
        self.broken = self.broken or (isinstance(error, Exception) and is_broken(self.wanted, value, error))

    def be_late(self) -> None:
        """Count what is done for it on a thread as left behind, until it returns."""
        self.is_late = True
        if self.on_thread is not None:
            self.on_thread.late[self] = self.wanted.factory

    def end_if_unused(self) -> None:
        """Have it closed, if it is broken and no call has it."""
        if self.broken and not self.users:
            self.end.set()


class Resources:
    """The resources of one run."""

    def __init__(self, calls: Callable[[], Calls]) -> None:
        self._calls = calls
        self._current: dict[Resource, Opened] = {}
        self._all: dict[Opened, None] = {}  # in the order of their opening; also those that broke and are still used
        self._failures: list[tuple[Resource, BaseException]] = []

    @property
    def opened(self) -> bool:
        """Whether something is open."""
        return bool(self._all)

    def using(self, uses: Uses, opening: Opening) -> Using:
        """Return what gives a call its resources: `async with` it; who waits until they are open is counted."""
        return Using(self, uses, opening)

    async def get(self, wanted: Resource, opening: Opening) -> tuple[Opened, Any]:
        """Return the run's own, opening it at the first call, and again once it broke.

        A failed opening fails every call that waits for it; the next call tries again, if it may go well then.
        """
        held = self._current.get(wanted)
        if held is not None and held.doubtful and not held.broken:
            await self._look_at(held)
            held = self._current.get(wanted)  # another call may have opened it again meanwhile
        if held is None or held.broken:
            held = self._begin(wanted)
        held.users += 1
        try:
            with opening.wait() if not held.opened.done() else nullcontext():
                value, error = await asyncio.shield(held.opened)
        except BaseException:  # a cancellation
            self.release(held)
            raise
        if error is None:
            return held, value
        self.release(held)
        del held  # the frames of a failure keep this one
        try:
            raise error
        finally:
            del error

    def release(self, held: Opened) -> None:
        """Take note that a call has it no more."""
        held.users -= 1
        held.end_if_unused()

    async def close(self) -> None:
        """Close what was opened for the run, the last first."""
        for held in self._all:
            if not held.opened.done():  # nobody waits for it any more
                held.be_late()
        while self._all:
            held, _ = self._all.popitem()
            assert held.task is not None
            held.end.set()
            if not held.opened.done() and held.on_thread is None:
                held.task.cancel()
            done, _ = await asyncio.wait([held.task], timeout=GRACE)
            if not done:
                held.be_late()
                await asyncio.wait([held.task])
        self._current.clear()
        while self._failures:
            report(*self._failures.pop())

    # -- private, in order of use -----------------------------------------------------------------------------

    async def _look_at(self, held: Opened) -> None:
        """Have it checked, once for all calls that wait for that."""
        if held.checking is None:
            held.checking = asyncio.get_running_loop().create_task(self._check(held))
        await asyncio.shield(held.checking)

    async def _check(self, held: Opened) -> None:
        check, (value, _) = held.wanted.check, held.opened.result()
        assert check is not None
        held.doubtful = False  # first: a call that fails meanwhile makes it so again
        try:
            well = await check(value) if is_async(check) else await self._calls().call(check, value)
            if has_method(well, "__await__"):  # a lambda over something async
                well = await well
        except (Exception, asyncio.CancelledError) as error:  # asked whether it is well, it breaks: it is not
            if _is_from_outside(error):
                raise
            well = False
        finally:
            held.checking = None
        held.broken = held.broken or not well
        held.end_if_unused()

    def _begin(self, wanted: Resource) -> Opened:
        held = self._current[wanted] = Opened(wanted)
        self._all[held] = None
        held.task = asyncio.get_running_loop().create_task(self._own(wanted, held))
        return held

    async def _own(self, wanted: Resource, held: Opened) -> None:
        """Open, wait for the end, close: in one task and one context, as task groups and context variables need it."""
        try:
            value, close = await self._open(wanted, held)
        except BaseException as caught:  # all of them: the calls that need it raise it
            error = without_our_frames(caught)
            if isinstance(caught, asyncio.CancelledError):
                error = RuntimeError(f"opening {name_of(wanted.factory)}() was cancelled")
                error.__cause__ = caught
            held.broken = isinstance(error, Exception) and is_broken(wanted, None, error)
            held.opened.set_result((None, error))
            self._all.pop(held, None)
            return
        held.opened.set_result((value, None))
        try:
            await held.end.wait()
        finally:  # also when the loop is torn down under the run
            try:
                await close()
            except BaseException as error:  # all of them: the run ends as it is, and others are closed, too
                if _is_from_outside(error):
                    raise
                if not held.broken:  # or it is no news
                    self._failures.append((wanted, error))
            finally:
                self._all.pop(held, None)

    async def _open(self, wanted: Resource, held: Opened) -> tuple[Any, Callable[[], Awaitable[Any]]]:
        context = copy_context()

        async def on_thread(fn: Callable[..., Any], *args: Any) -> Any:
            held.on_thread = calls = self._calls()
            if held.is_late:
                held.be_late()
            try:
                return await calls.call(fn, *args, context=context, of=wanted.factory)
            finally:
                held.on_thread = None
                calls.late.pop(held, None)

        made = await self._make(wanted.factory, on_thread)
        if has_method(made, "__aenter__"):
            value = await made.__aenter__()
            return value, lambda: made.__aexit__(None, None, None)
        if has_method(made, "__enter__"):
            value = await on_thread(made.__enter__)
            return value, lambda: on_thread(leave, made, value)
        if has_method(made, "aclose"):
            return made, made.aclose
        if inspect.iscoroutinefunction(getattr(made, "close", None)):
            return made, made.close
        return made, lambda: on_thread(leave, made, made)

    @staticmethod
    async def _make(factory: Callable[[], Any], on_thread: Callable[..., Awaitable[Any]]) -> Any:
        """Call the factory where its colour wants it: on the loop if it is async, else on a thread."""
        if is_async(factory):
            return await factory()
        target = inspect.unwrap(factory)
        if inspect.isasyncgenfunction(target) or hasattr(factory, "__aenter__"):
            return factory()
        try:
            made = await on_thread(factory)
        except RuntimeError as error:
            if "no running event loop" not in str(error):
                raise
            made = factory()  # what a lambda hides shows only now: this one wants the loop
        return await made if inspect.iscoroutine(made) else made


class Using:
    """The resources that one call has, by keyword; what it fails of is looked at for what it says of them."""

    __slots__ = ("_held", "_opening", "_resources", "_uses")

    def __init__(self, resources: Resources, uses: Uses, opening: Opening) -> None:
        self._opening = opening
        self._resources = resources
        self._uses = uses
        self._held: list[Opened] = []

    async def __aenter__(self) -> dict[str, Any]:
        """Open what is not open yet."""
        given: dict[str, Any] = {}
        try:
            for key, wanted in self._uses:
                held, given[key] = await self._resources.get(wanted, self._opening)
                self._held.append(held)
        except BaseException:  # a cancellation too: what it had already is free
            self._release()
            raise
        return given

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of them."""
        if error is not None:
            for held in self._held:
                held.failed(error)
        self._release()

    def _release(self) -> None:
        for held in self._held:
            self._resources.release(held)
        self._held.clear()


def leave(made: Any, value: Any) -> None:
    """Leave a context manager; close what it is as well, since for some (sqlite3) leaving is only committing."""
    try:
        if has_method(made, "__exit__"):
            made.__exit__(None, None, None)
    finally:
        close = getattr(made, "close", None)
        if value is made and callable(close):
            close()


def _is_from_outside(error: BaseException) -> bool:
    """Whether what ended a call on the loop is no failure of its own: its task was cancelled, or Ctrl-C came there."""
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    is_interrupt = isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
    return is_interrupt or isinstance(error, GeneratorExit)


def report(wanted: Resource, error: BaseException) -> None:
    """Say that closing failed; the results are whole, so the run does not fail for it."""
    text = f"closing what {name_of(wanted.factory)}() opened failed: {described(error)}"
    with suppress(RuntimeWarning):  # where warnings are errors this is no place for one: more is to be closed
        warnings.warn(text, RuntimeWarning, stacklevel=2)


class Own:
    """One resource of one thread."""

    __slots__ = ("_broken", "_context", "_doubtful", "_made", "_value", "_wanted")

    def __init__(self, wanted: Resource) -> None:
        self._wanted = wanted
        self._broken = self._doubtful = False
        self._context: Context = copy_context()
        self._made, self._value = self._open()

    def get(self) -> Any:
        """Return it, opened again if it broke."""
        if self._doubtful and not self._broken:
            self._doubtful = False  # first: a call that fails meanwhile, beside the thread, makes it so again
            if not self._is_well():
                self._broken = True
        if self._broken:
            self.close()
            self._made, self._value = self._open()
            self._broken = self._doubtful = False
        return self._value

    def failed(self, error: BaseException) -> None:
        """Take note of what a call failed of that had it."""
        if isinstance(error, (Exception, asyncio.CancelledError)):
            self._doubtful = self._doubtful or self._wanted.check is not None
            self._broken = self._broken or (
                isinstance(error, Exception) and is_broken(self._wanted, self._value, error)
            )

    def failed_with(self, value: Any, error: BaseException) -> None:
        """Do so, unless what the call had was closed since; from any thread."""
        if value is self._value:
            self.failed(error)

    def close(self) -> None:
        """Close it; that this fails is news only if it was thought to be well."""
        made, value, self._made, self._value = self._made, self._value, None, None
        if made is None:
            return  # it broke, and could not be opened again
        try:
            self._context.run(leave, made, value)
        except BaseException as error:  # all of them: nobody is left to raise it to, and others are closed, too
            if not self._broken:
                report(self._wanted, error)

    def _open(self) -> tuple[Any, Any]:
        factory = self._wanted.factory
        try:
            made = self._context.run(factory)
            entered = self._context.run(made.__enter__) if has_method(made, "__enter__") else made
        except TWO_MEANINGS as caught:
            raise failure_of(caught, name_of(factory)) from caught
        if has_method(made, "__aenter__") and not has_method(made, "__enter__"):
            per = self._wanted.per
            meant = f'whilst.resource({name_of(factory)}, per="run")' if per == "thread" else "a factory that blocks"
            raise TypeError(f"{name_of(factory)}() is async and cannot be opened per {per}\n  try: {meant}")
        return made, entered

    def _is_well(self) -> bool:
        assert self._wanted.check is not None
        try:
            well = self._context.run(self._wanted.check, self._value)
        except (Exception, asyncio.CancelledError):  # asked whether it is well, it breaks: it is not
            return False
        if has_method(well, "__await__"):
            discard(well)
            raise TypeError(
                f"check={name_of(self._wanted.check)} gave an awaitable; what is opened per {self._wanted.per} is "
                "looked at there\n  try: a check that is not async" + ', or per="run"' * (self._wanted.per == "thread")
            )
        return bool(well)


Had = list[tuple[Own, Any]]  # what a call has of its thread's own, and what that was then


def with_own(
    fn: Callable[..., Any], given: dict[str, Any], uses: Uses, args: tuple[Any, ...], opening: Opening, had: Had
) -> Any:
    """Call `fn(*args, **given)` with what this thread has of its own besides; look at what it fails of.

    `had` is told of that, for `look_at` where what `fn` returns is awaited.
    """
    own = {key: _own(wanted, opening) for key, wanted in uses}
    values = {key: it.get() for key, it in own.items()}
    had.extend(zip(own.values(), values.values(), strict=True))
    try:
        return fn(*args, **given, **values)
    except BaseException as error:  # all of them: it goes on at once
        look_at(error, had)
        raise


def look_at(error: BaseException, had: Had) -> None:
    """Look at what a call failed of for what it says of what it had."""
    for own, value in had:
        own.failed_with(value, error)


def _own(wanted: Resource, opening: Opening) -> Own:
    """Return this thread's own, opening it at the thread's first call; it is closed when the thread leaves."""
    worker = current_worker()
    assert worker is not None, "a resource per thread is only for calls on a pool's thread"
    found: Own | None = worker.opened.get(wanted)
    if found is None:
        with opening.wait():
            found = worker.opened[wanted] = Own(wanted)
        worker.at_end.append(found.close)
    return found
