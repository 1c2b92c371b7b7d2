"""The checks of single arguments: each names the parameter and shows the value."""

from __future__ import annotations

import operator
from typing import Any

from .outcome import short


def whole(parameter: str, value: Any, *, least: int) -> int:
    """Return a whole number of at least `least`."""
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
    if not isinstance(value, bool):
        raise TypeError(f"{parameter} must be True or False, got {value!r}")
    return value


def not_callable(value: Any) -> str:
    """Return what to say of something that should be callable."""
    hint = "; give the function itself, without calling it" if hasattr(value, "__await__") else ""
    return f"must be callable, got {short(value)} ({type(value).__name__}){hint}"
