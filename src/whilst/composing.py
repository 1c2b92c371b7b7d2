"""How are steps put together: one after another, at the same time, the first that succeeds? Typed up to eight of them.

What a step takes and gives is inferred: a step may be async or blocking, and is called without the value if it takes
none. Two limits of type checkers show here. mypy does not solve `T | Awaitable[T]` for an async function, so the last
step has an overload for each colour, and so do up to three branches. And it does not see through generic builtins such
as `sum`: a last step that takes any iterable is given up on, and what comes out is `Any`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from .core.check import answered
from .core.tree import Fallback, First, Sequence, Together
from .flow import AnyStep, Flow, node_of

if TYPE_CHECKING:
    from .typevars import A, AsyncStart, AsyncStep, B, C, D, E, F, G, H, I, PlainStart, PlainStep, Start, Step


@overload
def sequence(a: AsyncStep[A, B], /) -> Flow[A, B]: ...
@overload
def sequence(a: PlainStep[A, B], /) -> Flow[A, B]: ...
@overload
def sequence(a: Step[A, B], b: AsyncStep[B, C], /) -> Flow[A, C]: ...
@overload
def sequence(a: Step[A, B], b: PlainStep[B, C], /) -> Flow[A, C]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, C], c: AsyncStep[C, D], /) -> Flow[A, D]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, C], c: PlainStep[C, D], /) -> Flow[A, D]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, C], c: Step[C, D], d: AsyncStep[D, E], /) -> Flow[A, E]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, C], c: Step[C, D], d: PlainStep[D, E], /) -> Flow[A, E]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: AsyncStep[E, F], /) -> Flow[A, F]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: PlainStep[E, F], /) -> Flow[A, F]: ...
@overload
def sequence(
    a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: AsyncStep[F, G], /
) -> Flow[A, G]: ...
@overload
def sequence(
    a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: PlainStep[F, G], /
) -> Flow[A, G]: ...
@overload
def sequence(
    a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: Step[F, G], g: AsyncStep[G, H], /
) -> Flow[A, H]: ...
@overload
def sequence(
    a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: Step[F, G], g: PlainStep[G, H], /
) -> Flow[A, H]: ...
@overload
def sequence(
    a: Step[A, B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, F],
    f: Step[F, G],
    g: Step[G, H],
    h: AsyncStep[H, I],
    /,
) -> Flow[A, I]: ...
@overload
def sequence(
    a: Step[A, B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, F],
    f: Step[F, G],
    g: Step[G, H],
    h: PlainStep[H, I],
    /,
) -> Flow[A, I]: ...
@overload
def sequence(a: AsyncStart[B], /) -> Flow[Any, B]: ...
@overload
def sequence(a: PlainStart[B], /) -> Flow[Any, B]: ...
@overload
def sequence(a: Start[B], b: AsyncStep[B, C], /) -> Flow[Any, C]: ...
@overload
def sequence(a: Start[B], b: PlainStep[B, C], /) -> Flow[Any, C]: ...
@overload
def sequence(a: Start[B], b: Step[B, C], c: AsyncStep[C, D], /) -> Flow[Any, D]: ...
@overload
def sequence(a: Start[B], b: Step[B, C], c: PlainStep[C, D], /) -> Flow[Any, D]: ...
@overload
def sequence(a: Start[B], b: Step[B, C], c: Step[C, D], d: AsyncStep[D, E], /) -> Flow[Any, E]: ...
@overload
def sequence(a: Start[B], b: Step[B, C], c: Step[C, D], d: PlainStep[D, E], /) -> Flow[Any, E]: ...
@overload
def sequence(a: Start[B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: AsyncStep[E, F], /) -> Flow[Any, F]: ...
@overload
def sequence(a: Start[B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: PlainStep[E, F], /) -> Flow[Any, F]: ...
@overload
def sequence(
    a: Start[B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: AsyncStep[F, G], /
) -> Flow[Any, G]: ...
@overload
def sequence(
    a: Start[B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: PlainStep[F, G], /
) -> Flow[Any, G]: ...
@overload
def sequence(
    a: Start[B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: Step[F, G], g: AsyncStep[G, H], /
) -> Flow[Any, H]: ...
@overload
def sequence(
    a: Start[B], b: Step[B, C], c: Step[C, D], d: Step[D, E], e: Step[E, F], f: Step[F, G], g: PlainStep[G, H], /
) -> Flow[Any, H]: ...
@overload
def sequence(
    a: Start[B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, F],
    f: Step[F, G],
    g: Step[G, H],
    h: AsyncStep[H, I],
    /,
) -> Flow[Any, I]: ...
@overload
def sequence(
    a: Start[B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, F],
    f: Step[F, G],
    g: Step[G, H],
    h: PlainStep[H, I],
    /,
) -> Flow[Any, I]: ...
@overload
def sequence(a: Step[A, Iterable[Any]], b: Callable[[Iterable[bool]], Any], /) -> Flow[A, Any]: ...
@overload
def sequence(a: Step[A, B], b: Step[B, Iterable[Any]], c: Callable[[Iterable[bool]], Any], /) -> Flow[A, Any]: ...
@overload
def sequence(
    a: Step[A, B], b: Step[B, C], c: Step[C, Iterable[Any]], d: Callable[[Iterable[bool]], Any], /
) -> Flow[A, Any]: ...
@overload
def sequence(
    a: Step[A, B], b: Step[B, C], c: Step[C, D], d: Step[D, Iterable[Any]], e: Callable[[Iterable[bool]], Any], /
) -> Flow[A, Any]: ...
@overload
def sequence(
    a: Step[A, B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, Iterable[Any]],
    f: Callable[[Iterable[bool]], Any],
    /,
) -> Flow[A, Any]: ...
@overload
def sequence(
    a: Step[A, B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, F],
    f: Step[F, Iterable[Any]],
    g: Callable[[Iterable[bool]], Any],
    /,
) -> Flow[A, Any]: ...
@overload
def sequence(
    a: Step[A, B],
    b: Step[B, C],
    c: Step[C, D],
    d: Step[D, E],
    e: Step[E, F],
    f: Step[F, G],
    g: Step[G, Iterable[Any]],
    h: Callable[[Iterable[bool]], Any],
    /,
) -> Flow[A, Any]: ...
@overload
def sequence(
    a: AnyStep,
    b: AnyStep,
    c: AnyStep,
    d: AnyStep,
    e: AnyStep,
    f: AnyStep,
    g: AnyStep,
    h: AnyStep,
    i: AnyStep,
    /,
    *more: AnyStep,
) -> Flow[Any, Any]: ...
@answered
def sequence(*steps: AnyStep) -> Flow[Any, Any]:
    """Call steps one after another; each gets the result of the step before.

    A step without parameters is called without the value. After a stage (`each`, `flatten`, `batched`) the value is a
    stream: another stage takes it item by item, a plain step gets a list.

    >>> import whilst
    >>> whilst.sequence(abs, str)(-4)
    '4'
    """
    if not steps:
        raise TypeError("sequence() needs at least one step")
    return Flow(Sequence(tuple(node_of(step, f"sequence[{place}]") for place, step in enumerate(steps))))


@overload
def together(a: AsyncStep[A, B], /) -> Flow[A, tuple[B]]: ...
@overload
def together(a: PlainStep[A, B], /) -> Flow[A, tuple[B]]: ...
@overload
def together(a: AsyncStep[A, B], b: AsyncStep[A, C], /) -> Flow[A, tuple[B, C]]: ...
@overload
def together(a: AsyncStep[A, B], b: PlainStep[A, C], /) -> Flow[A, tuple[B, C]]: ...
@overload
def together(a: PlainStep[A, B], b: AsyncStep[A, C], /) -> Flow[A, tuple[B, C]]: ...
@overload
def together(a: PlainStep[A, B], b: PlainStep[A, C], /) -> Flow[A, tuple[B, C]]: ...
@overload
def together(a: AsyncStep[A, B], b: AsyncStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: AsyncStep[A, B], b: AsyncStep[A, C], c: PlainStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: AsyncStep[A, B], b: PlainStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: AsyncStep[A, B], b: PlainStep[A, C], c: PlainStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: PlainStep[A, B], b: AsyncStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: PlainStep[A, B], b: AsyncStep[A, C], c: PlainStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: PlainStep[A, B], b: PlainStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: PlainStep[A, B], b: PlainStep[A, C], c: PlainStep[A, D], /) -> Flow[A, tuple[B, C, D]]: ...
@overload
def together(a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], /) -> Flow[A, tuple[B, C, D, E]]: ...
@overload
def together(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], /
) -> Flow[A, tuple[B, C, D, E, F]]: ...
@overload
def together(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], f: Step[A, G], /
) -> Flow[A, tuple[B, C, D, E, F, G]]: ...
@overload
def together(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], f: Step[A, G], g: Step[A, H], /
) -> Flow[A, tuple[B, C, D, E, F, G, H]]: ...
@overload
def together(
    a: Step[A, B],
    b: Step[A, C],
    c: Step[A, D],
    d: Step[A, E],
    e: Step[A, F],
    f: Step[A, G],
    g: Step[A, H],
    h: Step[A, I],
    /,
) -> Flow[A, tuple[B, C, D, E, F, G, H, I]]: ...
@overload
def together(*branches: Callable[[A], Any] | Callable[[], Any]) -> Flow[A, tuple[Any, ...]]: ...
@overload
def together(**named: Callable[[A], Any] | Callable[[], Any]) -> Flow[A, dict[str, Any]]: ...
def together(*branches: AnyStep, **named: AnyStep) -> Flow[Any, Any]:
    """Call branches at the same time, with the same value; return a tuple, or a dict if they are named.

    If one fails, the others are cancelled and the failure is raised; its notes name other failures that happened
    meanwhile.

    >>> import whilst
    >>> whilst.together(min, max)([3, 1, 2]), whilst.together(low=min, high=max)([3, 1, 2])
    ((1, 3), {'low': 1, 'high': 3})
    """
    if branches and named:
        from .core.habits import policy_of_steps

        raise policy_of_steps("together", named) or TypeError(
            "together() takes branches by position (a tuple comes out) or by name (a dict), not both"
        )
    if named:
        nodes = tuple(node_of(branch, f"together.{name}") for name, branch in named.items())
        return Flow(Together(nodes, tuple(named)))
    if not branches:
        raise TypeError("together() needs at least one branch")
    return Flow(Together(tuple(node_of(branch, f"together[{place}]") for place, branch in enumerate(branches))))


@overload
def first(a: AsyncStep[A, B], /) -> Flow[A, B]: ...
@overload
def first(a: PlainStep[A, B], /) -> Flow[A, B]: ...
@overload
def first(a: AsyncStep[A, B], b: AsyncStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def first(a: AsyncStep[A, B], b: PlainStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def first(a: PlainStep[A, B], b: AsyncStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def first(a: PlainStep[A, B], b: PlainStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def first(a: AsyncStep[A, B], b: AsyncStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: AsyncStep[A, B], b: AsyncStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: AsyncStep[A, B], b: PlainStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: AsyncStep[A, B], b: PlainStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: PlainStep[A, B], b: AsyncStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: PlainStep[A, B], b: AsyncStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: PlainStep[A, B], b: PlainStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: PlainStep[A, B], b: PlainStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def first(a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], /) -> Flow[A, B | C | D | E]: ...
@overload
def first(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], /
) -> Flow[A, B | C | D | E | F]: ...
@overload
def first(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], f: Step[A, G], /
) -> Flow[A, B | C | D | E | F | G]: ...
@overload
def first(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], f: Step[A, G], g: Step[A, H], /
) -> Flow[A, B | C | D | E | F | G | H]: ...
@overload
def first(
    a: Step[A, B],
    b: Step[A, C],
    c: Step[A, D],
    d: Step[A, E],
    e: Step[A, F],
    f: Step[A, G],
    g: Step[A, H],
    h: Step[A, I],
    /,
) -> Flow[A, B | C | D | E | F | G | H | I]: ...
@overload
def first(*branches: Callable[[A], Any] | Callable[[], Any]) -> Flow[A, Any]: ...
@answered
def first(*branches: AnyStep) -> Flow[Any, Any]:
    """Call branches at the same time; return the first success and cancel the others.

    If all fail, an ExceptionGroup of their failures is raised.

    >>> import whilst
    >>> whilst.first(int, float)("2.5")
    2.5
    """
    if not branches:
        raise TypeError("first() needs at least one branch")
    return Flow(First(tuple(node_of(branch, f"first[{place}]") for place, branch in enumerate(branches))))


@overload
def fallback(a: AsyncStep[A, B], /) -> Flow[A, B]: ...
@overload
def fallback(a: PlainStep[A, B], /) -> Flow[A, B]: ...
@overload
def fallback(a: AsyncStep[A, B], b: AsyncStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def fallback(a: AsyncStep[A, B], b: PlainStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def fallback(a: PlainStep[A, B], b: AsyncStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def fallback(a: PlainStep[A, B], b: PlainStep[A, C], /) -> Flow[A, B | C]: ...
@overload
def fallback(a: AsyncStep[A, B], b: AsyncStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: AsyncStep[A, B], b: AsyncStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: AsyncStep[A, B], b: PlainStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: AsyncStep[A, B], b: PlainStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: PlainStep[A, B], b: AsyncStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: PlainStep[A, B], b: AsyncStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: PlainStep[A, B], b: PlainStep[A, C], c: AsyncStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: PlainStep[A, B], b: PlainStep[A, C], c: PlainStep[A, D], /) -> Flow[A, B | C | D]: ...
@overload
def fallback(a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], /) -> Flow[A, B | C | D | E]: ...
@overload
def fallback(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], /
) -> Flow[A, B | C | D | E | F]: ...
@overload
def fallback(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], f: Step[A, G], /
) -> Flow[A, B | C | D | E | F | G]: ...
@overload
def fallback(
    a: Step[A, B], b: Step[A, C], c: Step[A, D], d: Step[A, E], e: Step[A, F], f: Step[A, G], g: Step[A, H], /
) -> Flow[A, B | C | D | E | F | G | H]: ...
@overload
def fallback(
    a: Step[A, B],
    b: Step[A, C],
    c: Step[A, D],
    d: Step[A, E],
    e: Step[A, F],
    f: Step[A, G],
    g: Step[A, H],
    h: Step[A, I],
    /,
) -> Flow[A, B | C | D | E | F | G | H | I]: ...
@overload
def fallback(*branches: Callable[[A], Any] | Callable[[], Any]) -> Flow[A, Any]: ...
@answered
def fallback(*branches: AnyStep) -> Flow[Any, Any]:
    """Call branches one after another, with the same value, until one succeeds; return its value.

    A branch is called only when the one before has failed after all its attempts. If all fail, an ExceptionGroup of
    their failures is raised.

    >>> import whilst
    >>> whilst.fallback(int, float, str)("2.5")
    2.5
    """
    if not branches:
        raise TypeError("fallback() needs at least one branch")
    return Flow(Fallback(tuple(node_of(branch, f"fallback[{place}]") for place, branch in enumerate(branches))))
