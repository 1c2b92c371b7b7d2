"""`whilst.map`: one function over many inputs; every argument is checked here, before anything runs."""

from __future__ import annotations

import contextvars
import operator
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar, get_args, overload

from .core.colour import is_async, is_generator_function, name_of
from .core.failures import StopAfter
from .core.outcome import short
from .core.plan import Executor, Plan
from .run import Run

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")

DEFAULT_CONCURRENCY = 32
MOST_THREADS = 4000  # 16 KiB resident each; past that the scheduler is the bottleneck, not the waiting


@overload
def map(
    fn: Callable[[I], Coroutine[Any, Any, T]],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    concurrency: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[[I], Awaitable[T]],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    concurrency: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[[I], T],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    concurrency: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
) -> Run[I, T]: ...
def map(
    fn: Callable[[Any], Any],
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
) -> Run[Any, Any]:
    """Call `fn` on every input, many at a time, and give the values in order, as they come.

    Args:
        fn: any callable of one argument, blocking or async, unmodified. Blocking calls run on threads of this
            run's own; async ones on the caller's loop (`async for`, `await`) or the engine's (`for`, `.list()`).
        inputs: any iterable or async iterable, endless too. Read lazily: never further ahead of the consumer than
            a window that starts at `concurrency` and grows to at most max(1024, 8 x concurrency) if that pays.
        concurrency: how many calls may be in flight at once; None means 32.
        timeout: seconds for one call. An async call is cancelled; a blocking one cannot be, so it is left behind
            and counted, and another thread takes its place. Either way that input fails with a TimeoutError.
        deadline: seconds for the whole run, from its first iteration; then `DeadlineExceeded` is raised.
        ordered: outcomes in the order of the inputs, or as they finish.
        stop_after: give up after so many failures (10), or after a share of the total ("5%"; while the total is
            not known: of what has finished, once that is 100). Matters to `outcomes()`; values stop at the first.
        executor: "auto" finds out whether `fn` is blocking or async; "thread" insists on threads.
        total: how many inputs there will be, for the progress and `stop_after`; found by itself where `len()` works.
        progress: a live line on stderr; None: on a terminal, if the run lasts longer than a second.
        name: what messages call this run; default: the function's name.

    Returns:
        A `Run`; nothing runs before its first iteration.

    Raises:
        TypeError, ValueError: at the call, when an argument cannot be meant.

    >>> import whilst
    >>> for value in whilst.map(len, ["one", "three"], concurrency=2):
    ...     print(value)
    3
    5
    """
    label = name or name_of(fn)
    _check_function(fn, executor)
    _check_inputs(inputs)
    on_threads = executor == "thread" or not is_async(fn)
    return Run(
        Plan(
            fn=fn,
            inputs=inputs,
            concurrency=_check_concurrency(concurrency, label, on_threads),
            timeout=_seconds("timeout", timeout),
            deadline=_seconds("deadline", deadline),
            ordered=_flag("ordered", ordered),
            stop_after=StopAfter.parse(stop_after),
            on_threads=on_threads,
            total=_check_total(total, inputs),
            progress=None if progress is None else _flag("progress", progress),
            name=label,
            context=contextvars.copy_context(),
        )
    )


def _check_function(fn: Any, executor: object) -> None:
    """Refuse what cannot be mapped."""
    if not callable(fn):
        hint = "; give the function itself, without calling it" if hasattr(fn, "__await__") else ""
        raise TypeError(f"fn must be callable, got {short(fn)} ({type(fn).__name__}){hint}")
    name = name_of(fn)
    if is_generator_function(fn):
        raise TypeError(
            f"{name}() is a generator function: one input gives many outputs, so there is no one value to map to\n"
            f"  try: whilst.map(lambda x: list({name}(x)), …), or in a flow: whilst.each({name}), whilst.flatten()"
        )
    if executor not in get_args(Executor):
        raise ValueError(
            f"executor must be one of {', '.join(repr(known) for known in get_args(Executor))}, got {executor!r}"
        )
    if executor == "thread" and is_async(fn):
        raise TypeError(f'{name}() is async and cannot run with executor="thread"; leave executor out')


def _check_inputs(inputs: Any) -> None:
    if isinstance(inputs, (str, bytes)):
        raise TypeError(
            f"inputs must be many things, got one {type(inputs).__name__}: {short(inputs, 40)}\n"
            f"  try: [{short(inputs, 40)}] for one input, or list({short(inputs, 40)}) for each character"
        )
    if not isinstance(inputs, (Iterable, AsyncIterable)) and not hasattr(inputs, "__getitem__"):
        hint = " (a coroutine: await it first)" if hasattr(inputs, "__await__") else ""
        raise TypeError(
            f"inputs must be iterable or async iterable, got {short(inputs, 40)} ({type(inputs).__name__}){hint}"
        )


def _check_concurrency(concurrency: object, name: str, on_threads: bool) -> int:
    if concurrency is None:
        return DEFAULT_CONCURRENCY
    count = _whole("concurrency", concurrency)
    if count < 1:
        raise ValueError(f"concurrency must be at least 1, got {count}")
    if on_threads and count > MOST_THREADS:
        raise ValueError(
            f"concurrency={count} would need as many threads, because {name}() is blocking; at most {MOST_THREADS}"
        )
    return count


def _check_total(total: object, inputs: object) -> int | None:
    if total is None:
        try:
            return operator.length_hint(inputs, -1) if hasattr(inputs, "__len__") else None
        except Exception:  # a source's own __len__ may do anything, and only the progress would miss it
            return None
    count = _whole("total", total)
    if count < 0:
        raise ValueError(f"total must be at least 0, got {count}")
    return count


def _whole(parameter: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{parameter} must be a whole number, got {value!r}") from None


def _seconds(parameter: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{parameter} must be a number of seconds, got {value!r}")
    seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{parameter} must be more than 0 seconds and finite, got {value!r}")
    return seconds


def _flag(parameter: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{parameter} must be True or False, got {value!r}")
    return value
