"""What if a function ends the program? `sys.exit` is the failure of its row, as in executors; else the row is named.

argparse calls it for a bad argument, and so do functions that were programs once; that is no other row's affair.
"""

from __future__ import annotations

import functools
from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.colour import is_async, is_generator_function

if TYPE_CHECKING:
    from ..core.tree import Node

NOTE = "whilst: the row that did it is "
OF_A_CALL = (Exception, CancelledError)  # all else ends more than its call, and the row is named


class Exited(Exception):
    """A `SystemExit` that was a function's; it goes by that name everywhere."""


Exited.__name__ = Exited.__qualname__ = "SystemExit"
Exited.__module__ = "builtins"


def heed(error: BaseException, line: int | None = None) -> None:
    """Raise what goes on in place of an error, if it ends more than its call: the failure of its row, or it is named.

    Not only Ctrl-C ends more: so does a panic in Rust (`PanicException` of pyo3), or pytest's `fail`. Without a line
    only `SystemExit` is looked at. A block around each call would cost a row 0.3 µs, a tenth of what it takes.

    >>> try:
    ...     raise SystemExit("bad argument")
    ... except BaseException as error:
    ...     heed(error, 7)
    Traceback (most recent call last):
    SystemExit: bad argument
    """
    if isinstance(error, SystemExit):
        raise Exited(*error.args).with_traceback(error.__traceback__) from None
    if line is not None and not isinstance(error, OF_A_CALL):
        error.add_note(f"{NOTE}{line}")


def row_of(error: BaseException) -> str:
    """Return the row that ended a run, in words; nothing where nobody knows.

    >>> interrupt = KeyboardInterrupt()
    >>> heed(interrupt, 7)
    >>> row_of(interrupt)
    'row 7'
    """
    notes: list[str] = getattr(error, "__notes__", [])
    return next((f"row {note.removeprefix(NOTE)}" for note in notes if note.startswith(NOTE)), "")


def guarded(node: Node) -> Node:
    """Return a flow in which no step ends the program."""
    from ..core.tree import Each, Fallback, First, Policed, Sequence, Step, Together

    match node:
        case Step(fn):
            return node._replace(fn=_guarded(fn))
        case Sequence(steps):
            return node._replace(steps=tuple(map(guarded, steps)))
        case Together(branches) | First(branches) | Fallback(branches):
            return node._replace(branches=tuple(map(guarded, branches)))
        case Policed(inner):
            return node._replace(node=guarded(inner))
        case Each(step):
            return node._replace(step=guarded(step))
        case _:
            return node


def _guarded(fn: Callable[..., Any]) -> Callable[..., Any]:
    if is_generator_function(fn):  # nothing of it runs in the call
        return fn

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        try:
            return await fn(*args, **kwargs)
        except SystemExit as error:
            heed(error)
            raise

    def call_plain(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except SystemExit as error:
            heed(error)
            raise

    chosen: Callable[..., Any] = call_async if is_async(fn) else call_plain
    return functools.update_wrapper(chosen, fn)
