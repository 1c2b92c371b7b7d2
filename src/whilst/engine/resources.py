"""Opens what calls need, once per run or once per thread, and closes it at the end."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from ..core.colour import has_method, is_async, name_of
from ..core.resource import Resource
from ..lanes.calls import Calls, current_member


class _Held:
    """One opened resource: the task that opens it, keeps it and closes it, and what it says to the calls."""

    __slots__ = ("end", "on_thread", "opened", "task")

    def __init__(self) -> None:
        self.opened: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
        self.end = asyncio.Event()
        self.on_thread = False  # a blocking factory is at work, which cannot be stopped
        self.task: asyncio.Task[None] | None = None


class Resources:
    """The resources of one run."""

    def __init__(self, calls: Callable[[], Calls]) -> None:
        self._calls = calls
        self._held: dict[Resource, _Held] = {}
        self._failures: list[tuple[Resource, Exception]] = []

    async def for_run(self, wanted: Resource) -> Any:
        """Return the run's own, opening it at the first call; a failed opening fails every call that needs it."""
        held = self._held.get(wanted)
        if held is None:
            held = self._held[wanted] = _Held()
            held.task = asyncio.get_running_loop().create_task(self._own(wanted, held))
        value, error = await asyncio.shield(held.opened)
        if error is not None:
            raise error
        return value

    async def close(self) -> None:
        """Close what was opened for the run, the last first."""
        while self._held:
            _, held = self._held.popitem()
            assert held.task is not None
            held.end.set()
            if not (held.opened.done() or held.on_thread):
                held.task.cancel()
            await asyncio.wait([held.task])
        while self._failures:
            _report(*self._failures.pop())

    async def _own(self, wanted: Resource, held: _Held) -> None:
        """Open, wait for the end, close: in one task and one context, as task groups and context variables need it."""
        try:
            value, close = await self._open(wanted, held)
        except BaseException as caught:  # all of them: the calls that need it raise it
            error = caught
            if isinstance(caught, asyncio.CancelledError):
                error = RuntimeError(f"opening {name_of(wanted.factory)}() was cancelled")
                error.__cause__ = caught
            held.opened.set_result((None, error))
            return
        held.opened.set_result((value, None))
        try:
            await held.end.wait()
        finally:  # also when the loop is torn down under the run
            try:
                await close()
            except Exception as error:
                self._failures.append((wanted, error))

    async def _open(self, wanted: Resource, held: _Held) -> tuple[Any, Callable[[], Awaitable[Any]]]:
        context = copy_context()

        async def on_thread(fn: Callable[..., Any], *args: Any) -> Any:
            held.on_thread = True
            try:
                return await self._calls().call(context.run, fn, *args)
            finally:
                held.on_thread = False

        made = await self._make(wanted.factory, on_thread)
        if has_method(made, "__aenter__"):
            value = await made.__aenter__()
            return value, lambda: made.__aexit__(None, None, None)
        if has_method(made, "__enter__"):
            value = await on_thread(made.__enter__)
            return value, lambda: on_thread(_leave, made, value)
        if has_method(made, "aclose"):
            return made, made.aclose
        if inspect.iscoroutinefunction(getattr(made, "close", None)):
            return made, made.close
        return made, lambda: on_thread(_leave, made, made)

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


def for_thread(wanted: Resource) -> Any:
    """Return this thread's own, opening it at the thread's first call; it is closed when the thread ends."""
    member = current_member()
    assert member is not None, "a resource per thread is only for calls on a crew's thread"
    opened: dict[Resource, Any] = member.state or {}
    member.state = opened
    if wanted not in opened:
        context = copy_context()
        made = context.run(wanted.factory)
        if has_method(made, "__aenter__") and not has_method(made, "__enter__"):
            raise TypeError(
                f"{name_of(wanted.factory)}() is async and cannot be opened per thread"
                f'\n  try: whilst.resource({name_of(wanted.factory)}, per="run")'
            )
        value = opened[wanted] = context.run(made.__enter__) if has_method(made, "__enter__") else made
        member.at_end.append(lambda: context.run(_leave_reporting, wanted, made, value))
    return opened[wanted]


def _leave(made: Any, value: Any) -> None:
    """Leave a context manager; close what it is as well, since for some (sqlite3) leaving is only committing."""
    try:
        if has_method(made, "__exit__"):
            made.__exit__(None, None, None)
    finally:
        close = getattr(made, "close", None)
        if value is made and callable(close):
            close()


def _leave_reporting(wanted: Resource, made: Any, value: Any) -> None:
    try:
        _leave(made, value)
    except Exception as error:
        _report(wanted, error)


def _report(wanted: Resource, error: Exception) -> None:
    """Say that closing failed; the results are whole, so the run does not fail for it."""
    text = f"closing what {name_of(wanted.factory)}() opened failed: {type(error).__name__}: {error}"
    warnings.warn(text, RuntimeWarning, stacklevel=2)
