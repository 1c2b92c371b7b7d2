"""Opens what calls need, once per run or once per thread, and closes it at the end."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.colour import has_method, is_async, name_of
from ..core.resource import Resource
from ..lanes.calls import Calls, current_member


class Resources:
    """The resources of one run."""

    def __init__(self, calls: Callable[[], Calls]) -> None:
        self._calls = calls
        self._opened: dict[Resource, asyncio.Task[tuple[Any, Callable[[], Awaitable[None]]]]] = {}

    async def for_run(self, wanted: Resource) -> Any:
        """Return the run's own, opening it at the first call; a failed opening fails every call that needs it."""
        if wanted not in self._opened:
            self._opened[wanted] = asyncio.get_running_loop().create_task(self._open(wanted))
        value, _ = await asyncio.shield(self._opened[wanted])
        return value

    async def close(self) -> None:
        """Close what was opened for the run, the last first."""
        while self._opened:
            wanted, task = self._opened.popitem()
            try:
                _, close = await task
            except Exception:
                continue  # it never opened, which the calls that needed it have reported
            try:
                await close()
            except Exception as error:
                _report(wanted, error)

    async def _open(self, wanted: Resource) -> tuple[Any, Callable[[], Awaitable[None]]]:
        made = await self._make(wanted.factory)
        if has_method(made, "__aenter__"):
            value = await made.__aenter__()
            return value, lambda: made.__aexit__(None, None, None)
        if has_method(made, "__enter__"):
            value = await self._calls().call(made.__enter__)
            return value, lambda: self._calls().call(_leave, made, value)
        if has_method(made, "aclose"):
            return made, made.aclose
        if inspect.iscoroutinefunction(getattr(made, "close", None)):
            return made, made.close
        return made, lambda: self._calls().call(_leave, made, made)

    async def _make(self, factory: Callable[[], Any]) -> Any:
        """Call the factory where its colour wants it: on the loop if it is async, else on a thread."""
        if is_async(factory):
            return await factory()
        target = inspect.unwrap(factory)
        if inspect.isasyncgenfunction(target) or hasattr(factory, "__aenter__"):
            return factory()
        try:
            made = await self._calls().call(factory)
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
        made = wanted.factory()
        if has_method(made, "__aenter__") and not has_method(made, "__enter__"):
            raise TypeError(
                f"{name_of(wanted.factory)}() is async and cannot be opened per thread"
                f'\n  try: whilst.resource({name_of(wanted.factory)}, per="run")'
            )
        opened[wanted] = made.__enter__() if has_method(made, "__enter__") else made
        member.at_end.append(lambda: _leave_reporting(wanted, made, opened[wanted]))
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
