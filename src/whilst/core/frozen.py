"""What is a frozen record whose class costs next to nothing to make, so that it may be loaded on a caller's loop?"""

from __future__ import annotations

from collections import namedtuple
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _Named(type):
        def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, space)
            fields = space["__annotations__"]
            defaults = [space.pop(field) for field in fields if field in space]
            made = namedtuple(name, fields, defaults=defaults, module=space["__module__"])
            made.__new__.__annotations__ = fields
            for key, value in space.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Named):
        """As that of `typing`, which compiles each annotation that is a text: a third of the time to make a class."""


@dataclass_transform(frozen_default=True)
class Frozen:
    """As a frozen data class; nothing is compiled for it, which takes 0.6 ms a class. To make one takes 2 µs.

    >>> class Point(Frozen):
    ...     x: int
    ...     y: int = 0
    >>> Point(1)._replace(y=2), Point(1) == Point(x=1)
    (Point(x=1, y=2), True)
    """

    __match_args__: tuple[str, ...] = ()
    _fields: ClassVar[frozenset[str]] = frozenset()
    _needed: ClassVar[frozenset[str]] = frozenset()  # those without a default

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__match_args__ = (*cls.__match_args__, *get_annotations(cls))  # type: ignore[misc]  # mypy makes its own
        cls._fields = frozenset(cls.__match_args__)
        cls._needed = frozenset([name for name in cls.__match_args__ if not hasattr(cls, name)])

    def __init__(self, *given: Any, **named: Any) -> None:
        fields = self.__match_args__
        values = {**dict(zip(fields, given, strict=False)), **named} if given else named
        if len(given) > len(fields) or not self._needed <= values.keys() <= self._fields:
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}, got {len(given)} and {[*named]}")
        self.__dict__.update(values)

    def _replace(self, **changes: Any) -> Self:
        """Return the same with other values."""
        given = self.__dict__.copy()  # at once: another thread may find out and cache something meanwhile
        if not self._fields.issuperset(given):
            given = {name: value for name, value in given.items() if name in self._fields}  # not what is cached
        return type(self)(**{**given, **changes})

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        told = zip(self.__match_args__, self._values(), strict=True)
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in told)})"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot assign to {name!r} of {type(self).__name__}, which is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r} of {type(self).__name__}, which is frozen")
