"""How does travel what a call has raised? As what it is, so that who asks for its class or its status finds them.

Many classes of exceptions take other arguments than they keep: pickle fails to make them again, or makes something else
of them. Others hold what only their own process has: a socket, a lock. Such an exception is taken apart, and put
together without its class being called; what cannot be sent stays behind. If not even that goes, its words travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from ..errors import Recorded
from .codec import Dump, dumps, loads, message_of

DEPTH: Final = 8  # of what a failure was raised from
DEEP: Final = 8  # levels of what an exception holds that are taken apart
MOST: Final = 500  # things that are looked at, of one exception that is taken apart
LARGEST: Final = 1 << 20  # bytes of each of them


def encoded_failure(error: BaseException, dump: Dump = dumps) -> bytes:
    """Encode what a call raised: itself if it comes out as what it is, else its words; with what it was raised from."""
    return dump(_failure(error, 0, dump))


def decoded_failure(data: Any) -> BaseException:
    """Return what a call elsewhere has raised; where it came from there is a note of it."""
    return _error(loads(data))


class Stayed:
    """Stands for what an exception held and could not be sent.

    >>> import threading
    >>> Stayed(threading.Lock())
    <a _thread.lock that stayed in the process of the call>
    """

    def __init__(self, thing: object) -> None:
        self._name: str = f"{type(thing).__module__}.{type(thing).__qualname__}"

    def __repr__(self) -> str:
        return f"<a {self._name} that stayed in the process of the call>"

    def __enter__(self) -> None:
        """Go on: where it was a lock, nobody else is here for whom to hold it."""

    def __exit__(self, *_: object) -> None:
        """Go on."""


# -- private, in order of use ---------------------------------------------------------------------------------------


def _failure(error: BaseException, depth: int, dump: Dump) -> tuple[Any, ...]:
    text = _users_lines(error) if depth == 0 else ""
    cause = error.__cause__
    context = None if cause is not None or error.__suppress_context__ else error.__context__
    deeper = depth < DEPTH
    home = type(error).__module__.replace("__mp_main__", "__main__")  # as the program calls it
    return (
        _itself(error, dump),
        (_name(error), f"{home}.{type(error).__qualname__}", message_of(error)),
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
    """Encode an exception so that one of its class comes out, which says the same; None: that cannot be."""
    best = None
    for whole in (True, False) if _says_how(error) or not any(map(_has_errors, error.args)) else (False,):
        try:
            data = dump(error if whole else _Parts(dump).of(error, DEEP))
            found = loads(data)
            if type(found) is type(error):
                if str(found) == str(error):
                    return data
                best = best or data
        except Exception:  # of a class of the user's
            continue
    return best


def _says_how(error: BaseException) -> bool:
    """Whether its class has a way of its own to be sent."""
    return type(error).__reduce__ is not _builtin(type(error)).__reduce__


def _has_errors(arg: Any) -> bool:
    """Whether exceptions are in there, each of which was raised from something that pickle leaves out."""
    if isinstance(arg, (list, tuple)):  # of a group
        return any(isinstance(each, BaseException) for each in cast("tuple[Any, ...]", arg))
    return isinstance(arg, BaseException)


def _name(error: BaseException) -> str:
    from ..core.failures import kind_of

    try:
        return kind_of(error)
    except Exception:  # of a class of the user's
        return type(error).__name__


class _Apart:
    """An exception in parts: one that comes out is put together of them."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return _together, self._parts


class _Parts:
    """Takes things apart until all that can be sent is left."""

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self._left = MOST

    def of(self, error: BaseException, depth: int, origins: dict[str, Any] | None = None) -> _Apart:
        """Take an exception apart: class, the arguments of its builtin class, what it holds, and its `origins`."""
        _, args, *_ = _builtin(type(error)).__reduce__(error)
        state: Any = object.__getstate__(error)
        held: dict[str, Any] = {}
        parts: list[Any] = [*state] if isinstance(state, tuple) else [state]
        for part in parts:  # what is in slots stands in a second one
            held.update(part or {})
        return _Apart(
            type(error),
            tuple(self._sendable(arg, depth) for arg in cast("tuple[Any, ...]", args)),
            {name: self._sendable(value, depth) for name, value in held.items()} | (origins or {}),
        )

    def _sendable(self, thing: Any, depth: int) -> Any:
        """Return a thing, what is left of it, or what stands for it."""
        self._left -= 1
        if self._left < 0:
            return Stayed(thing)
        try:
            if not (depth and _has_errors(thing)) or (isinstance(thing, BaseException) and _says_how(thing)):
                found = self._there(thing)
                if not isinstance(thing, BaseException) or str(found) == str(thing):
                    return thing
        except Exception:  # what a class of the user's does when it is pickled is anything
            pass
        if depth:
            try:
                found = self._less(thing, depth - 1)
                self._there(found)
                return found
            except Exception:  # as above
                pass
        return Stayed(thing)

    def _there(self, thing: Any) -> Any:
        """Return what comes out elsewhere."""
        data = self._dump(thing)
        if len(data) > LARGEST:
            raise ValueError
        return loads(data)

    def _less(self, thing: object, depth: int) -> Any:
        kind: Any = type(thing)
        if isinstance(thing, BaseException):
            hidden = thing.__suppress_context__
            origins = {"__cause__": thing.__cause__, "__context__": None if hidden else thing.__context__}
            sent = {name: self._sendable(each, depth) for name, each in origins.items()}
            come = {name: each for name, each in sent.items() if isinstance(each, (BaseException, _Apart))}
            return self.of(thing, depth, come | {"__suppress_context__": hidden})
        if isinstance(thing, Mapping):  # such as the headers of an answer
            rows: list[tuple[Any, Any]] = [*thing.items()]
            return {key: self._sendable(value, depth) for key, value in rows}
        if isinstance(thing, (list, tuple)):
            each = [self._sendable(one, depth) for one in cast("tuple[Any, ...]", thing)]
            return each if kind is list else tuple[Any].__new__(kind, each)
        if hasattr(kind, "__del__"):  # which would find half an object
            raise TypeError
        found: Any = object.__new__(kind)
        held: dict[str, Any] = vars(thing)
        found.__dict__.update({name: self._sendable(value, depth) for name, value in held.items()})
        return found


def _builtin(kind: type[BaseException]) -> Any:
    return next(each for each in kind.__mro__ if each.__module__ == "builtins" and issubclass(each, BaseException))


def _together(kind: type[BaseException], args: tuple[Any, ...], held: dict[str, Any]) -> BaseException:
    builtin = _builtin(kind)
    error: BaseException = builtin.__new__(kind, *args)
    builtin.__init__(error, *args)
    for name, value in held.items():
        object.__setattr__(error, name, value)  # a frozen dataclass has another one
    return error


def _error(failure: tuple[Any, ...]) -> BaseException:
    data, (kind, class_name, message), text, cause, context, suppress = failure
    error: BaseException = Recorded(kind, class_name, message, text)
    if data is not None:
        try:
            error = loads(data)
        except Exception:  # it is not the same program here, or the class looks at where it is
            pass
    sets = object.__setattr__  # as above
    sets(error, "__cause__", None if cause is None else _error(cause))
    if context is not None:
        sets(error, "__context__", _error(context))
    sets(error, "__suppress_context__", suppress)
    if text:
        sets(
            error,
            "__notes__",
            [*getattr(error, "__notes__", ()), f"whilst: raised in another process\n{text.rstrip()}"],
        )
    return error
