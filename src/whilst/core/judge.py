"""Functions that are asked about one thing (its key, its weight, whether it is worth a retry): can they be?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from .check import not_callable
from .colour import has_method, is_async, is_async_generator_function, is_generator_function, name_of
from .outcome import short


def check_judge(parameter: str, fn: Any, *, of: str) -> None:
    """Refuse what cannot be asked about one thing: `of` names that in the message.

    >>> check_judge("by", str.lower, of="item")
    >>> check_judge("by", lambda: 1, of="item")
    Traceback (most recent call last):
    TypeError: by is called with one argument, the item; <lambda>() cannot be
      try: by=lambda item: …
    """
    example = f"{parameter}=lambda {of}: …"
    if not callable(fn):
        raise TypeError(f"{parameter} {not_callable(fn, of_run=False)}\n  try: {example}")
    name = f"{name_of(fn)}()"
    if is_async(fn) or is_async_generator_function(fn):
        raise TypeError(
            f"{parameter} must be a plain function, because its answer is needed at once; {name} is async\n"
            f"  try: {example}"
        )
    if is_generator_function(fn):
        raise TypeError(
            f"{parameter} must be a function that returns its answer; {name} is a generator function\n  try: {example}"
        )
    if not _takes_one(fn):
        raise TypeError(f"{parameter} is called with one argument, the {of}; {name} cannot be\n  try: {example}")


def close_awaitable(answer: Any) -> bool:
    """Whether an answer is to be awaited, which nobody will; a coroutine is closed, or Python would complain of it."""
    if not has_method(answer, "__await__"):
        return False
    if isinstance(answer, Coroutine):
        answer.close()
    return True


def checked_key(key: Any, name: str) -> Hashable:
    """Return a key that the function called `name` has given; TypeError says why it can be none."""
    if close_awaitable(key):
        raise TypeError(f"{name} returned something to await, but its answer is needed at once\n  try: a plain def")
    try:
        hash(key)
    except TypeError:
        raise TypeError(
            f"{name} gave {short(key, 60)}, which cannot be a key: it is not hashable\n"
            "  try: a string, a number, or a tuple of them"
        ) from None
    found: Hashable = key
    return found


def _takes_one(fn: Callable[..., Any]) -> bool:
    try:
        inspect.signature(fn).bind(None)
    except ValueError:  # of a builtin that does not say
        return True
    except TypeError:
        return False
    return True
