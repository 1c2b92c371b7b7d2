"""Type variables that are `Any` where nothing is known of them, for type checkers: a lambda may be the first step.

Nothing imports this at runtime, where only Python 3.13 knows the default of a type variable.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from typing_extensions import TypeVar

A = TypeVar("A", bound=Any, default=Any)
B = TypeVar("B", bound=Any, default=Any)
C = TypeVar("C", bound=Any, default=Any)
D = TypeVar("D", bound=Any, default=Any)
E = TypeVar("E", bound=Any, default=Any)
F = TypeVar("F", bound=Any, default=Any)
G = TypeVar("G", bound=Any, default=Any)
H = TypeVar("H", bound=Any, default=Any)
I = TypeVar("I", bound=Any, default=Any)  # noqa: E741
T = TypeVar("T", bound=Any, default=Any)

Items: TypeAlias = Iterable[A] | AsyncIterable[A]  # what a stage consumes
Step: TypeAlias = Callable[[A], B | Awaitable[B]]  # of either colour
AsyncStep: TypeAlias = Callable[[A], Awaitable[B]]
PlainStep: TypeAlias = Callable[[A], B]
Start: TypeAlias = Callable[[], B | Awaitable[B]]  # the same, where no value is taken
AsyncStart: TypeAlias = Callable[[], Awaitable[B]]
PlainStart: TypeAlias = Callable[[], B]
