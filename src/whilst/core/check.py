"""The checks of single arguments, each of which names the parameter and shows the value; what `concurrency` means."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from .frozen import Frozen
from .outcome import short

F = TypeVar("F", bound=Callable[..., Any])


def whole(parameter: str, value: Any, *, least: int) -> int:
    """Return a whole number of at least `least`."""
    __tracebackhide__ = True
    try:
        if isinstance(value, bool):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{parameter} must be a whole number, got {value!r}") from None
    if count < least:
        raise ValueError(f"{parameter} must be at least {least}, got {count}")
    return count


def seconds(parameter: str, value: Any) -> float | None:
    """Return a positive, finite number of seconds, or None for None."""
    __tracebackhide__ = True
    if value is None:
        return None
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{parameter} must be a number of seconds, got {value!r}")
    duration = float(value)
    if not 0 < duration < float("inf"):
        raise ValueError(f"{parameter} must be more than 0 seconds and finite, got {value!r}")
    return duration


def flag(parameter: str, value: Any) -> bool:
    """Return a bool that is one."""
    __tracebackhide__ = True
    if not isinstance(value, bool):
        raise TypeError(f"{parameter} must be True or False, got {value!r}")
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
    keywords = frozenset(known)

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        if not keywords.issuperset(named):
            from .habits import unknown_keyword

            raise unknown_keyword(said, named, known)
        if not least <= len(given) + len(named) or len(given) > most:
            from .habits import unknown_position

            error = unknown_position(said, given[own:], known, most - own)
            if error is not None:
                raise error
        return function(*given, **named)

    return cast("F", checked)


def not_callable(value: Any, *, of_run: bool = True) -> str:
    """Return what to say of something that should be callable; a coroutine is closed, as nobody will await it.

    `of_run`: whether it stands where the function of a run does.
    """
    from .habits import not_a_function

    hint = "; give the function itself, without calling it" if hasattr(value, "__await__") else ""
    said = (
        f"must be callable, got {short(value)} ({type(value).__name__}){hint}{not_a_function(value) if of_run else ''}"
    )
    if hasattr(value, "cr_frame") and hasattr(value, "close"):
        value.close()
    return said


DEFAULT_CONCURRENCY = 32
MOST_ADAPTIVE = 4096  # calls in flight that an adaptive run may find out to be best
MOST_ADAPTIVE_THREADS = 512


class Limited(Protocol):
    """What is asked of a limit."""

    @property
    def most(self) -> int | None:
        """How many calls it permits at once; None: any number, or one that its key decides."""
        ...

    @property
    def keyed(self) -> bool:
        """Whether it has a state for each key."""
        ...

    @property
    def adaptive(self) -> bool:
        """Whether it finds the number by itself."""
        ...

    @property
    def most_of_a_key(self) -> int | None:
        """How many calls of one key it permits at once."""
        ...


class AtOnce(Frozen):
    """How many calls at once: as many as the user wants, as far as the limits allow it now.

    Attributes:
        asked: how many the user wants at most; None: the limits alone tell.
        limits: what each call holds a permit of.
        most: how many threads there may be, where the calls need some.
    """

    asked: int | None = None
    limits: tuple[Limited, ...] = ()
    most: int | None = None

    @property
    def now(self) -> int:
        """How many these are."""
        return self.told or DEFAULT_CONCURRENCY

    @property
    def adaptive(self) -> bool:
        """Whether that is only the most that a limit may find to be best."""
        return self.asked is None and any(limit.adaptive for limit in self.limits)

    @property
    def told(self) -> int | None:
        """How many that is; None if nothing tells."""
        most, limits = self.most, self.limits
        bounds = [limit.most for limit in limits if limit.most is not None and not limit.keyed]
        if self.asked is not None:
            return min([self.asked, *bounds])
        numbers = bounds.copy()
        if most is not None:
            bounds.append(most)
        if self.adaptive:
            return min([MOST_ADAPTIVE if most is None else MOST_ADAPTIVE_THREADS, *bounds])
        of_one_key = [it for limit in limits if limit.keyed and (it := limit.most_of_a_key) is not None]
        if numbers or not of_one_key:
            return min(bounds) if numbers else None
        return min([max(DEFAULT_CONCURRENCY, *of_one_key), *bounds])  # one key alone may use all that it is allowed
