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


class calling:
    """Around a call of the user's: what ends more than that becomes the failure of its row, or names the row in a note.

    Not only Ctrl-C ends more: so does a panic in Rust (`PanicException` of pyo3), or pytest's `fail`. Without a line
    only `SystemExit` is looked at.

    >>> with calling(7):
    ...     raise SystemExit("bad argument")
    Traceback (most recent call last):
    SystemExit: bad argument
    """

    __slots__ = ("_line",)

    def __init__(self, line: int | None = None) -> None:
        self._line = line

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Raise what goes on in place of the error; nothing, where that is the error itself."""
        if error is None or isinstance(error, OF_A_CALL):
            return
        if isinstance(error, SystemExit):
            raise Exited(*error.args).with_traceback(error.__traceback__) from None
        if self._line is not None:
            error.add_note(f"{NOTE}{self._line}")


def row_of(error: BaseException) -> str:
    """Return the row that ended a run, in words; nothing where nobody knows.

    >>> try:
    ...     with calling(7):
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt as error:
    ...     row_of(error)
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
        with calling():
            return await fn(*args, **kwargs)

    def call_plain(*args: Any, **kwargs: Any) -> Any:
        with calling():
            return fn(*args, **kwargs)

    chosen: Callable[..., Any] = call_async if is_async(fn) else call_plain
    return functools.update_wrapper(chosen, fn)
