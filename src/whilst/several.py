"""How are several iterables read as one, whose items are tuples? As `zip` does, for `whilst.map(f, names, ages)`."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from .arguments import check_inputs, length_of
from .core.colour import name_of
from .core.signature import takes
from .core.spread import Spread
from .engine.source import CONTAINERS, is_container


def of_several(fn: Any, several: tuple[Any, ...], *, whole: bool) -> tuple[Any, Any, int | None]:
    """Return what to call on tuples, these tuples, and how many they are, if that is known.

    They end with the shortest of the iterables, and the generators among those are closed then.

    Args:
        fn: the function, which gets the members of each tuple.
        several: the iterables.
        whole: whether it gets the tuple itself.

    Raises:
        TypeError, ValueError: what is no iterable, lengths that differ, a function that takes fewer or more.
    """
    for place, one in enumerate(several[1:], 2):
        is_count = isinstance(one, int) and not isinstance(one, bool) and one > 0
        check_inputs(one, f"iterable {place}", f"\n  try: concurrency={one}" if is_count else "")
    if not callable(fn):
        return fn, several, None  # it is refused in a moment
    if not whole:
        _check_takes(fn, len(several))
    known = _check_lengths(several, "the flow" if whole else f"{name_of(fn)}()")
    return fn if whole else Spread(fn), _together(several), known


if TYPE_CHECKING:
    Zip = zip[tuple[Any, ...]]
else:
    Zip = zip


class OfContainers(Zip):
    """Several builtin containers; reading them runs no code but the interpreter's own, so it cannot block."""


CONTAINERS.add(OfContainers)


def _together(several: tuple[Any, ...]) -> Iterable[Any] | AsyncIterable[Any]:
    if all(is_container(one) for one in several):
        return OfContainers(*several)
    if all(isinstance(one, Iterable) or not isinstance(one, AsyncIterable) for one in several):
        return _in_turn(several)
    return _mixed(several)


def _check_lengths(several: tuple[Any, ...], name: str) -> int | None:
    """Return how many inputs there will be, if that is known; refuse lengths that are known and differ."""
    lengths = [length_of(one) for one in several]
    known = [length for length in lengths if length is not None]
    if len(set(known)) > 1:
        told = ", ".join("unknown" if length is None else f"{length:,}" for length in lengths)
        raise ValueError(
            f"the iterables for {name} have different lengths: {told}\n"
            f"  try: whilst.map(whilst.spread(…), zip(…)), which ends with the shortest"
        )
    unknown = [one for one, length in zip(several, lengths, strict=True) if length is None]
    return known[0] if known and all(isinstance(one, itertools.repeat) for one in unknown) else None


def _check_takes(fn: Callable[..., Any], count: int) -> None:
    """Refuse a function that cannot be called with so many arguments."""
    if not takes(fn, count):
        raise TypeError(
            f"{name_of(fn)}{inspect.signature(fn)} cannot be called with {count} arguments, one of each iterable\n"
            f"  try: as many iterables as it takes arguments, or a lambda that takes {count}"
        )


def _in_turn(several: tuple[Any, ...]) -> Generator[tuple[Any, ...], None, None]:
    try:
        yield from zip(*several, strict=False)
    finally:
        for one in several:
            if isinstance(one, Generator):
                one.close()  # pyright: ignore[reportUnknownMemberType]


async def _mixed(several: tuple[Any, ...]) -> AsyncGenerator[tuple[Any, ...], None]:
    """Read the async ones on the loop, each of the others on a thread of its own where it could block."""
    parts = [_async_iterator(one) for one in several]
    try:
        while True:
            found: list[Any] = []
            for part in parts:
                try:
                    found.append(await anext(part))
                except StopAsyncIteration:
                    return
            yield tuple(found)
    finally:
        for part in parts:
            if isinstance(part, AsyncGenerator):
                await part.aclose()


def _async_iterator(one: Any) -> AsyncIterator[Any]:
    if isinstance(one, AsyncIterable):
        return one.__aiter__()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if is_container(one):
        return _on_the_loop(one)
    from .bridge import unblock  # which most do without

    read: Any = unblock(_read)
    found: AsyncIterator[Any] = read(one)
    return found


async def _on_the_loop(container: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for item in container:
        yield item


def _read(one: Iterable[Any]) -> Generator[Any, None, None]:
    try:
        yield from one
    finally:
        if isinstance(one, Generator):
            one.close()
