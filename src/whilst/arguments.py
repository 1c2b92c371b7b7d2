"""What do the arguments mean that `map`, `step` and `each` share? Checked, and turned into what a run works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from .core.check import whole
from .core.colour import is_async, is_generator_function, name_of
from .core.outcome import short
from .core.plan import Executor
from .core.resource import Resource
from .limit import Limit

DEFAULT_CONCURRENCY = 32
MOST_ADAPTIVE = 4096  # calls in flight that an adaptive run may find out to be best
MOST_ADAPTIVE_THREADS = 512


def check_concurrency(given: object) -> int | Literal["adaptive"] | None:
    """Return a number of calls, "adaptive", or None for None."""
    if given is None:
        return None
    if given == "adaptive":
        return "adaptive"
    if isinstance(given, str) and not given.strip().isdigit():
        raise TypeError(f'concurrency must be a whole number or "adaptive", got {given!r}')
    return whole("concurrency", given, least=1)


def own_limit(concurrency: int | Literal["adaptive"] | None, rate: str | Sequence[str] | None) -> Limit | None:
    """Return the limit that `rate=` and `concurrency="adaptive"` are short for; a number bounds the lanes instead."""
    if concurrency != "adaptive":
        return None if rate is None else Limit(rate=rate)
    return Limit(concurrency="adaptive", rate=rate)


def limits_of(*given: object) -> tuple[Limit, ...]:
    """Return those that are given; refuse what is no limit."""
    for limit in given:
        if limit is not None and not isinstance(limit, Limit):
            raise TypeError(f"limit must be a whilst.Limit, got {short(limit)}\n  try: whilst.Limit(concurrency=…)")
    return tuple(limit for limit in given if isinstance(limit, Limit))


def at_once(
    concurrency: int | str | None, limits: tuple[Limit, ...], *, adaptive: bool, on_threads: bool
) -> tuple[int | None, int | None]:
    """Return how many lanes a run needs (None: the default), and how far it reads ahead at first, if not so far."""
    bounds = [most for limit in limits if (most := limit.most) is not None and not limit.keyed]
    if isinstance(concurrency, int):
        return min([concurrency, *bounds]), None
    if adaptive:
        return min([MOST_ADAPTIVE_THREADS if on_threads else MOST_ADAPTIVE, *bounds]), DEFAULT_CONCURRENCY
    of_one_key = [most for limit in limits if (most := limit.most) is not None and limit.keyed]
    if bounds or not of_one_key:
        return (min(bounds) if bounds else None), None
    return max(DEFAULT_CONCURRENCY, *of_one_key), None  # one key alone may use all that it is allowed


def check_colour(fn: Any, executor: str, use: Mapping[str, Resource] | None = None) -> None:
    """Refuse an executor that there is not, and one or resources that the function's colour rules out."""
    if executor not in get_args(Executor):
        raise ValueError(f"executor must be one of {', '.join(map(repr, get_args(Executor)))}, got {executor!r}")
    for key, wanted in (use or {}).items():
        if not isinstance(wanted, Resource):
            raise TypeError(f"use[{key!r}] must be a whilst.resource(…), got {short(wanted)}")
    if not callable(fn) or not (is_async(fn) or is_generator_function(fn)):
        return
    kind = "async" if is_async(fn) else "a generator function"
    if executor == "thread":
        raise TypeError(f'{name_of(fn)}() is {kind} and cannot run with executor="thread"; leave executor out')
    per_thread = [key for key, wanted in (use or {}).items() if wanted.per == "thread"]
    if per_thread:
        raise TypeError(
            f"{name_of(fn)}() is {kind}, so {per_thread[0]!r} cannot be one per thread\n"
            f'  try: whilst.resource(…, per="run")'
        )
