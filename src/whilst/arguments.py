"""What do the arguments mean that `map`, `step` and `each` share? Checked, and turned into what a run works with."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from .core.check import whole
from .core.colour import is_async, is_generator_function, name_of
from .core.concurrency import AtOnce
from .core.outcome import short
from .core.plan import MOST_THREADS, Named, Place
from .core.resource import Resource

if TYPE_CHECKING:
    from .limit.limit import Limit
    from .limit.state import LimitState
    from .retrying import Retry


def check_inputs(inputs: Any, which: str = "inputs", hint: str = "") -> None:
    """Refuse what is not many things; `which` names it, `hint` says what may have been meant."""
    __tracebackhide__ = True
    if type(inputs).__name__ == "LazyFrame" and hasattr(inputs, "collect"):
        raise TypeError(
            f"{which} is a LazyFrame, which has no rows yet\n"
            "  try: whilst.map(fn, lazy.collect().iter_rows(named=True)) for its rows as dicts"
        )
    if type(inputs).__name__ == "DataFrame" and hasattr(inputs, "columns"):
        from .core.habits import columns

        raise TypeError(columns(inputs))
    if isinstance(inputs, (str, bytes)) or hasattr(inputs, "__fspath__"):
        from .core.habits import rows_of

        shown = short(inputs, 40)
        raise TypeError(
            f"{which} must be many things, got one {type(inputs).__name__}: {shown}\n"
            f"  try: {rows_of(inputs) or f'[{shown}] for one input, or list({shown}) for each character'}"
        )
    if not isinstance(inputs, (Iterable, AsyncIterable)) and not hasattr(inputs.__class__, "__getitem__"):
        from .core.habits import not_inputs

        kind = " (a coroutine: await it first)" if hasattr(inputs, "__await__") else ""
        raise TypeError(
            f"{which} must be iterable or async iterable, got {short(inputs, 40)} ({type(inputs).__name__})"
            f"{kind}{hint or not_inputs(inputs)}"
        )


def length_of(inputs: Any) -> int | None:
    """Return how many inputs there are, if that is known."""
    try:
        if type(inputs) is repeat:
            return inputs.__length_hint__()
        return len(inputs) if hasattr(inputs, "__len__") else None
    except Exception:  # endless; or a source's own __len__, which may do anything, and only the progress would miss it
        return None


def check_concurrency(given: object) -> int | Literal["adaptive"] | None:
    """Return a number of calls, "adaptive", or None for None."""
    if given is None:
        return None
    if given == "adaptive":
        return "adaptive"
    if isinstance(given, str) and not given.strip().isdigit():
        raise TypeError(
            f'concurrency must be a whole number or "adaptive", got {given!r}\n  try: concurrency="adaptive"'
        )
    others = 'concurrency=32, concurrency="adaptive", or limit=… for a whilst.Limit'
    return whole("concurrency", given, least=1, otherwise=others)


def own_limit(
    concurrency: int | Literal["adaptive"] | None, rate: str | Sequence[str] | None, *, counts: bool = False
) -> Limit | None:
    """Return the limit that `rate=` and `concurrency=` are short for.

    A number of calls bounds the lanes instead, unless there are none (`counts`).
    """
    if rate is None and concurrency != "adaptive" and not (counts and concurrency is not None):
        return None
    from .limit.limit import Limit, state_of

    if concurrency != "adaptive" and not counts:
        limit = Limit(rate=rate)
        state_of(limit).lanes = concurrency
    else:
        limit = Limit(concurrency=concurrency, rate=rate)
    state_of(limit).of_run = True
    return limit


def retry_of(given: object) -> Retry | None:
    """Return when to call again, which only its users load."""
    if given is None:
        return None
    from .retrying import Retry

    return Retry._of(given)


def trace_of(given: object) -> str | None:
    """Return the file to record to, which only its users load."""
    if given is None:
        return None
    from .insight.tracefile import check_trace

    return check_trace(given)


def limits_of(*given: object) -> tuple[LimitState, ...]:
    """Return what runs need of the limits that are given, one by one or many together; refuse what is no limit."""
    if all(one is None for one in given):
        return ()  # and most runs do not load what limits are
    from .limit.limit import Limit, state_of
    from .limit.state import in_order

    found: list[LimitState] = []
    for one in given:
        several = cast("Sequence[object]", one) if isinstance(one, (list, tuple)) else (one,)
        for limit in several:
            if isinstance(limit, Limit):
                found.append(state_of(limit))
            elif limit is not None or several is one:
                line = f"concurrency={limit}" if isinstance(limit, int) else "limit=whilst.Limit(concurrency=…)"
                if isinstance(limit, str):
                    from .core.meant import rate

                    line = f'rate="{meant}"' if (meant := rate(limit)) else line
                raise TypeError(f"limit must be a whilst.Limit, or a list of them, got {short(limit)}\n  try: {line}")
    return in_order(tuple(found))


def callers_context() -> Context:
    """Return a copy of this context for a run that this code waits for, and in which it may hold permits."""
    holders = sys.modules.get(f"{__package__}.limit.holders")
    copied = getattr(holders, "callers_context", None)  # nobody holds any without it, nor while a thread loads it
    return copy_context() if copied is None else cast("Context", copied())


def at_once(concurrency: int | str | None, limits: tuple[LimitState, ...], place: Any) -> AtOnce:
    """Return how many calls a run or a stage has in flight; `concurrency="adaptive"` is the word of one of `limits`."""
    if isinstance(concurrency, int):
        return AtOnce(concurrency, limits)
    if not isinstance(place, str):  # processes, machines: more calls at once than those can make would only wait
        return AtOnce(place.default, limits)
    return AtOnce(None, limits, MOST_THREADS if place == "thread" else None)


def place_of_calls(fn: Any, executor: Any) -> Any:
    """Return where calls are made, as `Plan.executor` has it; refuse a function that cannot be sent there."""
    place = place_given(fn, executor)
    if not isinstance(place, str):
        return place
    return "thread" if place == "thread" or not is_async(fn) else "loop"


def place_given(fn: Any, executor: Any, use: Mapping[str, Resource] | None = None) -> Any:
    """Return the place that an executor means, if it is elsewhere, or else its word; refuse what cannot be sent."""
    if executor == "process":
        from .processes import Processes

        executor = Processes()
    if isinstance(executor, str):
        return executor
    place: Place = executor._place
    if callable(fn):
        place.check(fn, tuple((use or {}).items()))
    return place


def _executor_meant(executor: Any) -> str:
    """Return the executor that is here what another library calls otherwise."""
    word = executor.lower() if isinstance(executor, str) else type(executor).__name__.lower()
    if word.startswith(("async", "coroutine", "loop", "gevent")):
        return "leave executor out: an async function runs on an event loop"
    if word.startswith("ray"):
        return "executor=whilst.ray.Ray()"
    here = "thread" if word.startswith("t") or "thread" in word else "process"
    return f'executor="{here}", concurrency=8'


def check_colour(fn: Any, executor: Any, use: Mapping[str, Resource] | None = None) -> None:
    """Refuse an executor that there is not, and one or resources that the function's colour rules out."""
    if executor not in get_args(Named) and not hasattr(executor, "_place"):
        names = ", ".join(map(repr, get_args(Named)))
        raise ValueError(
            f"executor must be one of {names}, or an object such as whilst.processes.Processes(…), "
            f"got {short(executor)}\n"
            f"  try: {_executor_meant(executor)}"
        )
    if use is not None and (isinstance(use, Resource) or not isinstance(use, Mapping)):
        raise TypeError(
            f"use must be the names of arguments with their resources, got {short(use)}\n"
            '  try: use={"session": whilst.resource(…)}'
        )
    if isinstance(executor, type):
        name = f"{executor.__module__.removesuffix('.executor')}.{executor.__qualname__}"
        raise TypeError(f"executor must be an object, got the class {name}\n  try: executor={name}()")
    for key, wanted in (use or {}).items():
        if not isinstance(wanted, Resource):
            name = getattr(wanted, "__name__", "…") if callable(wanted) else "…"
            raise TypeError(
                f"use[{key!r}] must be a whilst.resource(…), got {short(wanted)}\n"
                f"  try: use={{{key!r}: whilst.resource({name})}}"
            )
    opens = frozenset({"thread", "run", "process"}) if isinstance(executor, str) else executor._place.opens
    if executor == "process":
        opens = frozenset({"process"})
    for key, wanted in (use or {}).items():
        if wanted.per not in opens:
            raise TypeError(
                f"{key!r} is opened once per {wanted.per} of this process, but the calls are made in other processes\n"
                f'  try: whilst.resource(…, per="process"), which opens one in each of them'
            )
    if not callable(fn) or not (is_async(fn) or is_generator_function(fn)):
        return
    kind = "async" if is_async(fn) else "a generator function"
    name = executor if isinstance(executor, str) else executor._place.name
    if name in ("thread", "process"):
        raise TypeError(f'{name_of(fn)}() is {kind} and cannot run with executor="{name}"; leave executor out')
    per_thread = [key for key, wanted in (use or {}).items() if wanted.per == "thread"]
    if per_thread:
        raise TypeError(
            f"{name_of(fn)}() is {kind}, so {per_thread[0]!r} cannot be one per thread\n"
            f'  try: whilst.resource(…, per="run")'
        )
