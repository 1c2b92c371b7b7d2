"""`whilst.spread`: a function of several arguments becomes one of a tuple or of a dict."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, TypeVarTuple, cast, overload

from .check import not_callable
from .colour import name_of
from .outcome import short
from .signature import Handing

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class OfOne(Protocol[*Ts, T_co]):
    """A function of a tuple, a list or a dict; typed for the tuple and the dict."""

    @overload
    def __call__(self, item: tuple[*Ts], /) -> T_co: ...
    @overload
    def __call__(self, item: Mapping[str, Any], /) -> T_co: ...


@overload
def spread(fn: Callable[[*Ts], T]) -> OfOne[*Ts, T]: ...
@overload
def spread(fn: Callable[..., T]) -> OfOne[*tuple[Any, ...], T]: ...
def spread(fn: Callable[..., Any]) -> Any:
    """Return a function of one argument that calls `fn` with the members of a tuple, or the items of a dict by keyword.

    For rows: `whilst.map(whilst.spread(insert), rows)`. A list works like a tuple. The function keeps its name,
    docstring and signature, an async one stays async, and it is pickled by name. `spread` is also a decorator, for
    functions and methods.

    Raises:
        TypeError: if `fn` is not callable; at the call, if the value is not a tuple, list or dict, or does not fit.

    >>> import whilst
    >>> def greet(name, greeting="hello"):
    ...     return f"{greeting} {name}"
    >>> whilst.map(whilst.spread(greet), [("ann", "good day"), ["bob"], {"name": "eve"}]).list()
    ['good day ann', 'hello bob', 'hello eve']
    """
    if not callable(fn):
        raise TypeError(f"spread: fn {not_callable(fn, of_run=False)}")
    return Spread(fn)


class Spread(Handing):
    """What `spread` returns."""

    def __new__(cls, fn: Callable[..., Any]) -> Spread:
        """Make it look like the function."""
        made = super().__new__(cls, fn)
        functools.update_wrapper(made, fn)
        return made

    def __call__(self, item: Any, /, **keywords: Any) -> Any:
        """Call the function with what is in `item`; `keywords` are what `use=` gives."""
        if isinstance(item, (tuple, list)):
            return super().__call__(*cast("tuple[Any, ...]", item), **keywords)
        if isinstance(item, Mapping):
            return super().__call__(**cast("Mapping[str, Any]", item), **keywords)
        name = name_of(self)
        raise TypeError(
            f"spread({name}) takes apart tuples, lists and dicts, got {short(item)} ({type(item).__name__})\n"
            f"  try: {name} itself, which gets the value as it is"
        )

    def __get__(self, owner: Any, kind: type | None = None) -> Spread:
        """Return it as a method."""
        return self if owner is None else Spread(types.MethodType(self.__wrapped__, owner))  # type: ignore[attr-defined]

    def __reduce__(self) -> Any:
        """Pickle by name: its own if a decorator made it, else that of the function."""
        name: str = getattr(self, "__qualname__", "")
        return name if name and _named(self.__module__, name) is self else (Spread, (self.__wrapped__,))  # type: ignore[attr-defined]


def _named(module: str, name: str) -> Any:
    """Return what a name stands for in a module."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
