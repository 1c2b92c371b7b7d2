"""How do functions, inputs and values travel? Each by itself, so that one that cannot fails alone.

Failures have a module of their own. Only what this library's own processes send to each other is unpickled; no file
ever is.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

from ..core.colour import is_async
from .transport import UNHEARD

PROTOCOL: Final = 5
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
    try:
        return _dumped(thing, buffers)
    except Exception:
        raise
    except BaseException as error:  # as in `loads`
        raise odd("written", error) from error


def _dumped(thing: Any, buffers: Buffers | None) -> bytes:
    callback = None if buffers is None else buffers.append
    data = None
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
            if data is not None and not _is_of_main(thing):
                return data
            raise error
        if buffers is not None:
            buffers.clear()
        encoded: bytes = by_value.dumps(thing, PROTOCOL, buffer_callback=callback)
        return encoded
    finally:
        del error  # whose frames keep this one


def loads(data: Any, buffers: Iterable[Any] = ()) -> Any:
    """Decode what was encoded."""
    try:
        return pickle.loads(data, buffers=buffers)
    except Exception:
        raise
    except BaseException as error:  # a class of the user's may raise one, and whoever reads answers must go on
        raise odd("read", error) from error


def odd(done: str, error: BaseException) -> RuntimeError:
    """Return what stands for something that is no Exception, and comes of the class of a value that is sent."""
    return RuntimeError(f"{type(error).__name__} was raised where it was {done} by pickle")


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


def message_of(error: BaseException) -> str:
    """Return the words of an exception, whatever its class does to make them, without secrets."""
    from ..core.secrets import without_secrets

    try:
        return without_secrets(str(error))
    except Exception:  # of a class of the user's
        return ""


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


class _Looking(pickle.Pickler):
    of_main = False

    def reducer_override(self, thing: Any, /) -> Any:
        """Take note of classes and functions of `__main__`."""
        self.of_main = self.of_main or getattr(thing, "__module__", None) == "__main__"
        return NotImplemented


def _is_of_main(thing: Any) -> bool:
    """Whether there is more of `__main__` in a thing than its name: a row may hold the text of a program."""
    looking = _Looking(BytesIO(), PROTOCOL)
    looking.dump(thing)
    return looking.of_main


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


def _kind(value: Any) -> str:
    from ..core.outcome import short

    kind = cast("type[object]", type(value))
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{name} ({short(value, 60)})"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {message_of(error)}"
