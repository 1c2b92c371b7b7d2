"""Which arguments does a function take, as its signature says; and what calls it with other ones than the value?"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from itertools import repeat
from typing import Any

from .colour import has_parameters, name_of

BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def takes_nothing(fn: Callable[..., Any], keywords: tuple[str, ...] = ()) -> bool:
    """Whether a function has no parameter at all, besides those that are given by keyword.

    >>> takes_nothing(lambda: 1), takes_nothing(lambda x=1: x), takes_nothing(print), takes_nothing(len)
    (True, False, False, False)
    """
    if has_parameters(fn):
        return False
    parameters = parameters_of(fn)
    return parameters is not None and all(it.name in keywords for it in parameters)


def handed(
    fn: Callable[..., Any], inputs: Any, known: int | None, keywords: tuple[str, ...] = ()
) -> Callable[..., Any]:
    """Return what to call on the inputs of a map: `fn`, or one that is called without the input if it takes nothing.

    Args:
        fn: the function of the user's.
        inputs: what it is mapped over.
        known: how many they are, if that is known.
        keywords: what it is given by name.

    Raises:
        TypeError: it takes nothing, and the inputs say more than how often it is to be called.
    """
    if not takes_nothing(fn, keywords):
        return fn
    if type(inputs) is range or (type(inputs) is repeat and repr(inputs).startswith("repeat(None")):  # pyright: ignore[reportUnknownArgumentType]
        return WithoutInput(fn)
    name = name_of(fn)
    if known is None:
        lost, often, count = "its inputs", "n times", "n"
    else:
        lost, often, count = f"{known:,} input{'s' * (known != 1)}", "that often", str(known)
    raise TypeError(
        f"{name}() takes no argument, so {lost} would be ignored\n"
        f"  to call it {often}: whilst.map({name}, range({count}))"
    )


def parameters_of(fn: Callable[..., Any]) -> tuple[Parameter, ...] | None:
    """Return the parameters of a function; None where Python does not say (many builtins)."""
    try:
        return tuple(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return None


def takes(fn: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments, by place, as far as Python says."""
    try:
        inspect.signature(fn).bind(*(None,) * count)
    except ValueError:
        return True
    except TypeError:
        return False
    return True


def named_by_default(fn: Callable[..., Any]) -> str:
    """Return the name of the parameter that gets the value although it has a default; "" if there is none such."""
    parameters = parameters_of(fn)
    if not parameters or hands_over(fn):
        return ""
    first = parameters[0]
    return first.name if first.kind in BY_PLACE and first.default is not Parameter.empty else ""


def hands_over(fn: Any) -> bool:
    """Whether a function, or what it wraps, takes the value whatever its signature says."""
    while fn is not None and not isinstance(fn, Handing):
        fn = getattr(fn, "__wrapped__", None)
    return fn is not None


class Handing(functools.partial[Any]):
    """A function that is handed something else than the value which it is called with.

    It is a `functools.partial`, so that everybody who looks for a function's colour, name and source looks through it.
    """


class WithoutInput(Handing):
    """A function without parameters, called with an input, which it does not get."""

    def __call__(self, /, _: Any = None, **keywords: Any) -> Any:
        """Call it."""
        return super().__call__(**keywords)
