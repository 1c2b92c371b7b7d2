"""How do functions, inputs, values and failures travel? Each by itself, so that one that cannot fails alone.

Only what this library's own processes send to each other is unpickled; no file ever is.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

from ..core.colour import is_async
from ..errors import Recorded
from .transport import UNHEARD

PROTOCOL: Final = 5
DEPTH: Final = 8  # of what a failure was raised from
INSTALL: Final = 'pip install "whilst[process]"'

PLAIN: Final = frozenset({int, str, float, bool, type(None)})
"""Types of which everything can be pickled, and nothing is beside it."""

Buffers = list[pickle.PickleBuffer]
Dump = Callable[[Any], bytes]
"""Encodes anything, or raises what makes that impossible."""


class Target(NamedTuple):
    """A function to be called elsewhere.

    Attributes:
        fn: the function.
        takes_value: whether it is called with the input.
        use: (keyword, resource) pairs that are opened where it is called.
        with_variables: whether each input comes with the context variables for its call.
    """

    fn: Callable[..., Any]
    takes_value: bool = True
    use: tuple[tuple[str, Any], ...] = ()
    with_variables: bool = False


def dumps(thing: Any, buffers: Buffers | None = None) -> bytes:
    """Encode anything; large buffers of arrays are not copied but put into `buffers`, if that is given.

    What only cloudpickle can send is sent so, if it is there: lambdas, closures, and what a notebook defines.
    """
    callback = None if buffers is None else buffers.append
    try:
        data = pickle.dumps(thing, PROTOCOL, buffer_callback=callback)
        if not (b"__main__" in data and is_main_lost()):
            return data
        error: Exception = pickle.PicklingError(
            "what is defined in __main__ cannot be imported elsewhere when that is not a file"
        )
    except Exception as caught:  # what a class of the user's does when it is pickled is anything
        error = caught
    by_value = _cloudpickle()
    try:
        if by_value is None:
            raise error
        if buffers is not None:
            buffers.clear()
        encoded: bytes = by_value.dumps(thing, PROTOCOL, buffer_callback=callback)
        return encoded
    finally:
        del error  # whose frames keep this one


loads: Callable[[Any], Any] = pickle.loads


class Encoded(NamedTuple):
    """A function on its way.

    Attributes:
        data: the target, encoded.
        is_async: whether its calls are awaited there, and so can be ended.
    """

    data: bytes
    is_async: bool


def encoded_target(target: Target, dump: Dump = dumps) -> Encoded:
    """Encode a function; TypeError, which names its line and the way out, if that cannot be."""
    try:
        return Encoded(dump(tuple(target)), is_async(target.fn))
    except Exception as error:
        culprit = _culprit(target)
        raise TypeError(_unsendable(*culprit, error)) from error


def encoded_failure(error: BaseException, dump: Dump = dumps) -> bytes:
    """Encode what a call raised: itself if it comes out as what it is, else its words; with what it was raised from."""
    return dump(_failure(error, 0, dump))


def decoded_failure(data: Any) -> BaseException:
    """Return what a call elsewhere has raised; where it came from there is a note of it."""
    return _error(loads(data))


def understood(what: str, more: Any) -> tuple[str, tuple[Any, ...]]:
    """Return what a call elsewhere has said, and what belongs to it; see `transport.Client.said`."""
    try:
        return what, loads(more)
    except Exception as error:  # of a class of the user's that cannot be made here
        return UNHEARD, (error,)


def unsendable_input(value: Any, error: Exception) -> TypeError:
    """Return the failure of an input that cannot be sent."""
    found = TypeError(
        f"this input cannot be sent to another process: {_kind(value)}: {_words(error)}\n"
        "  try: give a path, a row or a key instead, and make the object in the function"
    )
    found.__cause__ = error
    return found


def unsendable_value(name: str, value: Any, error: Exception) -> TypeError:
    """Return the failure of a call whose value cannot be sent back."""
    kind = cast("type[object]", type(value))
    if hasattr(kind, "__await__"):
        close = getattr(value, "close", None)
        if callable(close):
            close()
        return TypeError(
            f"{name}() returned {_kind(value)}, which only an event loop of this process can await\n"
            '  try: leave executor="process" out, or a function that is not async'
        )
    return TypeError(
        f"{name}() returned {_kind(value)}, which cannot be sent back: {_words(error)}\n"
        "  try: return what it holds (a dict, a list, an array), or leave executor= out"
    )


def is_main_lost() -> bool:
    """Whether `__main__` cannot be imported again: it is a notebook, a prompt, `python -c` or a pipe."""
    main = sys.modules.get("__main__")
    if main is None or getattr(main, "__spec__", None) is not None or main.__dict__.get("_origin"):
        return False
    file = getattr(main, "__file__", None)
    return file is None or file.startswith("<")


# -- private, in order of use ---------------------------------------------------------------------------------------


def _cloudpickle() -> ModuleType | None:
    try:
        return import_module("cloudpickle")
    except ImportError:
        return None


def _culprit(target: Target) -> tuple[str, Any]:
    """Return which part of a target cannot be sent, and what it is called."""
    for key, wanted in target.use:
        try:
            dumps(wanted)
        except Exception:
            return f"what opens {key!r}", wanted.factory
    return "", target.fn


def _unsendable(role: str, fn: Any, error: Exception) -> str:
    from ..core.colour import name_of, place_of

    place, name = place_of(fn), name_of(fn)
    what = "a lambda" if name == "<lambda>" else f"{name}()"
    where = f" ({place})" if place else ""
    text = f"{what}{where}{', ' * bool(role)}{role} cannot be sent to another process: {_words(error)}"
    if _cloudpickle() is not None:
        return f"{text}\n  try: leave out of it what cannot be pickled (a lock, a connection, an open file)"
    return (
        f"{text}\n  try: a def at the top of a module instead"
        f"{f', in place of {place}' if place else ''}; or {INSTALL}, which sends lambdas and closures"
    )


def _failure(error: BaseException, depth: int, dump: Dump) -> tuple[Any, ...]:
    text = _users_lines(error) if depth == 0 else ""
    cause = error.__cause__
    context = None if cause is not None or error.__suppress_context__ else error.__context__
    deeper = depth < DEPTH
    return (
        _itself(error, dump),
        (_name(error), f"{type(error).__module__}.{type(error).__qualname__}", _message(error)),
        text,
        _failure(cause, depth + 1, dump) if cause is not None and deeper else None,
        _failure(context, depth + 1, dump) if context is not None and deeper else None,
        error.__suppress_context__,
    )


def _users_lines(error: BaseException) -> str:
    """Return the lines that an exception came through, as a traceback shows them, without this library's own."""
    from traceback import extract_tb, format_list, walk_tb

    from ..core.secrets import without_secrets

    trace = error.__traceback__
    names = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame, _ in walk_tb(trace)]
    lines = [line for name, line in zip(names, extract_tb(trace), strict=True) if name not in ("whilst", "runpy")]
    return without_secrets("".join(format_list(lines)))


def _itself(error: BaseException, dump: Dump) -> bytes | None:
    """Encode an exception, if what comes out is of its class; many take other arguments than they keep."""
    try:
        data = dump(error)
        return data if type(loads(data)) is type(error) else None
    except Exception:  # of a class of the user's
        return None


def _name(error: BaseException) -> str:
    from ..core.failures import kind_of

    try:
        return kind_of(error)
    except Exception:  # of a class of the user's
        return type(error).__name__


def _message(error: BaseException) -> str:
    from ..core.secrets import without_secrets

    try:
        return without_secrets(str(error))
    except Exception:  # as above
        return ""


def _error(failure: tuple[Any, ...]) -> BaseException:
    data, (kind, class_name, message), text, cause, context, suppress = failure
    error: BaseException = Recorded(kind, class_name, message, text)
    if data is not None:
        try:
            error = loads(data)
        except Exception:  # it is not the same program here, or the class looks at where it is
            pass
    try:
        error.__cause__ = None if cause is None else _error(cause)
        error.__context__ = error.__context__ if context is None else _error(context)
        error.__suppress_context__ = suppress
        if text:
            error.add_note(f"whilst: raised in another process\n{text.rstrip()}")
    except Exception:  # an exception class may forbid attributes
        pass
    return error


def _kind(value: Any) -> str:
    from ..core.outcome import short

    kind = cast("type[object]", type(value))
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{name} ({short(value, 60)})"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {_message(error)}"
