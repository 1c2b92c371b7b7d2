"""The checks of single arguments: each names the parameter and shows the value."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .outcome import short

F = TypeVar("F", bound=Callable[..., Any])


def whole(parameter: str, value: Any, *, least: int, otherwise: str = "") -> int:
    """Return a whole number of at least `least`; `otherwise` would work where it is not known which one was meant."""
    __tracebackhide__ = True
    try:
        if isinstance(value, bool):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        from .meant import try_whole

        better = try_whole(parameter, value) or (otherwise and f"\n  try: {otherwise}")
        raise TypeError(f"{parameter} must be a whole number, got {value!r}{better}") from None
    if count < least:
        better = otherwise and f"\n  try: {otherwise}"
        raise ValueError(f"{parameter} must be at least {least}, got {count}{better}")
    return count


def seconds(parameter: str, value: Any) -> float | None:
    """Return a positive, finite number of seconds, or None for None."""
    __tracebackhide__ = True
    if value is None:
        return None
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        from .meant import try_seconds

        raise TypeError(f"{parameter} must be a number of seconds, got {value!r}{try_seconds(parameter, value)}")
    duration = float(value)
    if not 0 < duration < float("inf"):
        raise ValueError(
            f"{parameter} must be more than 0 seconds and finite, got {value!r}\n"
            f"  try: {parameter}=None, the default, for as long as it takes"
        )
    return duration


def flag(parameter: str, value: Any) -> bool:
    """Return a bool that is one."""
    __tracebackhide__ = True
    if not isinstance(value, bool):
        from .meant import try_flag

        raise TypeError(f"{parameter} must be True or False, got {short(value)}{try_flag(parameter, value)}")
    return value


def answered(function: F) -> F:
    """Have what `function` does not take answered with the line that works, where people of other libraries type it.

    Keywords that it does not have, and more or fewer values without a name than it takes; the rest goes its way.
    """
    owner, _, method = function.__qualname__.rpartition(".")
    said = owner if method == "__init__" else function.__qualname__
    code, own = function.__code__, int(bool(owner))
    known = code.co_varnames[own : code.co_argcount + code.co_kwonlyargcount]
    most = sys.maxsize if code.co_flags & inspect.CO_VARARGS else code.co_argcount
    least = code.co_argcount - len(function.__defaults__ or ())
    keywords, needed = frozenset(known), frozenset(known[: least - own])

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        if not keywords.issuperset(named):
            from .habits import unknown_keyword

            raise unknown_keyword(said, named, known)
        if len(given) > most or (len(given) < least and not needed.issubset(named)):
            from .habits import unknown_position

            error = unknown_position(said, given[own:], known, most - own, named)
            if error is not None:
                raise error
        return function(*given, **named)

    return cast("F", checked)


def text(parameter: str, value: Any) -> str:
    """Return a text that is one."""
    __tracebackhide__ = True
    if not isinstance(value, str):
        raise TypeError(f"{parameter} must be a string, got {value!r}\n  try: {parameter}={str(value)!r}")
    return value


def not_callable(value: Any, *, of_run: bool = True, of: str = "map") -> str:
    """Return what to say of something that should be callable; a coroutine is closed, as nobody will await it.

    `of_run`: whether it stands where the function of a run, or of the part `of` of a flow, does.
    """
    from .habits import not_a_function

    hint = "; give the function itself, without calling it" if hasattr(value, "__await__") else ""
    better = not_a_function(value, of) if of_run else ""
    said = f"must be callable, got {short(value)} ({type(value).__name__}){hint}{better}"
    if hasattr(value, "cr_frame") and hasattr(value, "close"):
        value.close()
    return said
