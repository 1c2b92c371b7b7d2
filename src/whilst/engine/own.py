"""What calls need opened, once for each thread: opened, looked at, opened again and closed on that thread."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from ..core.colour import has_method, name_of
from ..core.connection import is_broken
from ..core.resource import Resource
from ..core.tree import Uses
from ..lanes.awaiting import discard
from ..lanes.worker import current_worker
from .resources import leave, report


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
            self._broken = not self._is_well()
        self._doubtful = False
        if self._broken:
            self.close()
            self._made, self._value = self._open()
            self._broken = False
        return self._value

    def failed(self, error: BaseException) -> None:
        """Take note of what a call failed of that had it."""
        if isinstance(error, Exception):
            self._doubtful = self._doubtful or self._wanted.check is not None
            self._broken = self._broken or is_broken(self._wanted, self._value, error)

    def close(self) -> None:
        """Close it; that this fails is news only if it was thought to be well."""
        made, value, self._made, self._value = self._made, self._value, None, None
        if made is None:
            return  # it broke, and could not be opened again
        try:
            self._context.run(leave, made, value)
        except Exception as error:
            if not self._broken:
                report(self._wanted, error)

    def _open(self) -> tuple[Any, Any]:
        factory = self._wanted.factory
        made = self._context.run(factory)
        if has_method(made, "__aenter__") and not has_method(made, "__enter__"):
            raise TypeError(
                f"{name_of(factory)}() is async and cannot be opened per thread"
                f'\n  try: whilst.resource({name_of(factory)}, per="run")'
            )
        return made, self._context.run(made.__enter__) if has_method(made, "__enter__") else made

    def _is_well(self) -> bool:
        assert self._wanted.check is not None
        try:
            well = self._context.run(self._wanted.check, self._value)
        except Exception:  # asked whether it is well, it breaks: it is not
            return False
        if has_method(well, "__await__"):
            discard(well)
            raise TypeError(
                f"check={name_of(self._wanted.check)} gave an awaitable; what is opened per thread is looked at there"
                '\n  try: a check that is not async, or per="run"'
            )
        return bool(well)


def with_own(fn: Callable[..., Any], given: dict[str, Any], uses: Uses, args: tuple[Any, ...]) -> Any:
    """Call `fn(*args, **given)` with what this thread has of its own besides; look at what it fails of."""
    own = {key: _own(wanted) for key, wanted in uses}
    values = {key: it.get() for key, it in own.items()}
    try:
        return fn(*args, **given, **values)
    except BaseException as error:  # all of them: it goes on at once
        for it in own.values():
            it.failed(error)
        raise


def _own(wanted: Resource) -> Own:
    """Return this thread's own, opening it at the thread's first call; it is closed when the thread leaves."""
    worker = current_worker()
    assert worker is not None, "a resource per thread is only for calls on a pool's thread"
    found: Own | None = worker.opened.get(wanted)
    if found is None:
        found = worker.opened[wanted] = Own(wanted)
        worker.at_end.append(found.close)
    return found
