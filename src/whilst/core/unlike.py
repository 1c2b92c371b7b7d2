"""What is a run not, or a flow, that people take it for? A list, an operand, the object of another library."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any


class Unlike:
    """Says so where somebody asks for its length, an item, a sum, or an attribute of another library's object.

    `_as` is how it is written, in the line that works. Type checkers see none of this: to them the mistake is one
    already.
    """

    _as = "run"

    if not TYPE_CHECKING:

        def __len__(self) -> int:
            raise TypeError(
                "a run has no length before you iterate over it: its inputs may be endless\n"
                f"  try: values = {self._as}.list() (for a column too: df['x'] = run.list()), or run.summary().done"
            )

        def __getitem__(self, place: Any) -> None:
            first = f"next(iter({self._as}))" if place == 0 else f"itertools.islice({self._as}, …)"
            raise TypeError(f"a run is a stream, not a list\n  try: {self._as}.list()[{_shown(place)}], or {first}")

        def __bool__(self) -> bool:
            return True

        def __getattr__(self, name: str) -> None:
            from .habits import unknown_attribute

            raise unknown_attribute(type(self).__name__, name)

        @property
        def __array_interface__(self) -> None:  # numpy would make an array of one run; pandas knows what to do with it
            raise TypeError(f"a run is a stream, not an array\n  try: numpy.array({self._as}.list())")

        def __add__(self, other: Any) -> None:
            raise TypeError(
                "runs are streams, and not added\n  try: itertools.chain(run, other), or whilst.merge(run, other)"
            )

        __radd__ = __add__

        def __or__(self, other: Any) -> None:
            raise TypeError(_no_pipe(other))


class Piped:
    """Says how flows are put together where somebody writes `a | b` or `a >> b`; a foreign operand goes first."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __or__(self, other: Any) -> Any:
            if hasattr(other, "__ror__") and not isinstance(other, Piped | type):
                return NotImplemented
            raise TypeError(_no_pipe(other))

        def __ror__(self, other: Any) -> None:
            raise TypeError(_no_pipe(self))

        __rshift__, __rrshift__ = __or__, __ror__


def _no_pipe(last: Any) -> str:
    name = getattr(last, "__name__", "g")
    return f"steps are put together by a function, not by an operator\n  try: whilst.sequence(f, {name})"


class Called:
    """A method that is taken for what it returns, without its parentheses, says how it is written.

    >>> class Box:
    ...     @Called
    ...     def items(self):
    ...         return [1]
    >>> Box().items()
    [1]
    >>> list(Box().items)
    Traceback (most recent call last):
    TypeError: items is a method
      try: .items()
    >>> Box().items.first
    Traceback (most recent call last):
    AttributeError: items is a method
      try: .items().first
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self.method if owner is None else _Bound(self.method, owner)


class _Bound(functools.partial[Any]):
    """A bound method that can only be called."""

    def __iter__(self) -> Any:
        raise self._uncalled()

    __aiter__ = __await__ = __len__ = __iter__

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, place: object) -> Any:
        raise self._uncalled()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"{self._uncalled()}.{name}")

    def __repr__(self) -> str:
        return f"<bound method {self.func.__qualname__} of {self.args[0]!r}>"

    def _uncalled(self) -> TypeError:
        name = self.func.__name__
        return TypeError(f"{name} is a method\n  try: .{name}()")


def _shown(place: Any) -> str:
    if not isinstance(place, slice):
        return repr(place)
    ends: list[Any] = [place.start, place.stop]  # pyright: ignore[reportUnknownMemberType]
    return ":".join("" if end is None else repr(end) for end in ends)
