"""What does the record hold of what a call raised?

The exception itself, without our frames: they say nothing to a user and would keep the whole run alive. An exception
class may do anything when it is looked at. That must come out here, where it is one call's, and not where failures are
judged; so it is looked at in ways that its class has no say in, and once in the way that it has.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)

TWO_MEANINGS = (StopIteration, asyncio.CancelledError)  # which would mean something else further up


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
    """Return an error whose traceback begins in code of the user's: ours would keep the run alive."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("whilst."):
        trace = trace.tb_next
    BaseException.with_traceback(error, trace)
    return error


class _Nothing:
    """A class that no exception is of."""
