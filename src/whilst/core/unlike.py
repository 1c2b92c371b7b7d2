"""What is a run not, that people take it for? A list, and the result object of another library."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any


class Unlike:
    """Says so where somebody asks for its length, an item, or an attribute of another library's object.

    Type checkers see none of this: to them the mistake is one already.
    """

    if not TYPE_CHECKING:

        def __len__(self) -> int:
            raise TypeError(
                "a run has no length before you iterate over it: its inputs may be endless\n"
                "  try: values = run.list() (for a column too: df['x'] = run.list()), or run.summary().done"
            )

        def __getitem__(self, place: Any) -> None:
            first = "next(iter(run))" if place == 0 else "itertools.islice(run, …)"
            raise TypeError(f"a run is a stream, not a list\n  try: run.list()[{_shown(place)}], or {first}")

        def __bool__(self) -> bool:
            return True

        def __getattr__(self, name: str) -> None:
            from .habits import unknown_attribute

            raise unknown_attribute("Run", name)


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
