"""`whilst.map`: one function over many inputs; every argument is checked here, before anything runs."""

from __future__ import annotations

import contextvars
import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from .arguments import DEFAULT_CONCURRENCY, at_once, check_colour, check_concurrency, limits_of, own_limit
from .core.check import flag, not_callable, seconds, whole
from .core.colour import is_async, is_generator_function, name_of
from .core.failures import StopAfter
from .core.outcome import short
from .core.plan import Executor, Plan
from .core.resource import Resource
from .limit import Hold, Limit
from .run import Run

if TYPE_CHECKING:
    from .core.retry import Retry
    from .flow import Flow
    from .journal import Journal

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")

MOST_THREADS = 4000  # 16 KiB resident each; past that the scheduler is the bottleneck, not the waiting


@overload
def map(
    fn: Callable[[I], Coroutine[Any, Any, T]],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Sequence[str] | None = None,
    limit: Limit | None = None,
    retry: int | Retry | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    use: Mapping[str, Resource] | None = None,
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
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Sequence[str] | None = None,
    limit: Limit | None = None,
    retry: int | Retry | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    use: Mapping[str, Resource] | None = None,
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
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Sequence[str] | None = None,
    limit: Limit | None = None,
    retry: int | Retry | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    use: Mapping[str, Resource] | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
) -> Run[I, T]: ...
def map(
    fn: Callable[[Any], Any],
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Sequence[str] | None = None,
    limit: Limit | None = None,
    retry: int | Retry | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    stop_after: int | str | None = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    use: Mapping[str, Resource] | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
) -> Run[Any, Any]:
    """Call `fn` on every input, many at a time, and give the values in order, as they come.

    Args:
        fn: any callable of one argument, blocking or async, unmodified, or a flow. Blocking calls run on threads of
            this run's own, async ones on the caller's loop (`async for`, `await`) or the engine's (`for`, `.list()`).
        inputs: any iterable or async iterable, endless too. Read lazily: never further ahead of the consumer than
            a window that starts at `concurrency` and grows to at most max(1024, 8 x concurrency) if that pays.
        concurrency: how many calls may be in flight at once, or "adaptive": as many as make the other side answer the
            most, found and followed by the run itself. None: as many as `limit` allows, else 32 (for a flow: what
            its branches and stages can use at once, if that is more). In a flow every step's call counts.
        rate: how many calls may start in a time: "100/s", "5000/h", or a list of such; see `Limit`.
        limit: a `Limit` shared with other runs and steps; it holds besides `concurrency` and `rate`.
        retry: how many attempts an input has, or a `Retry`; None: one.
        timeout: seconds for one call. An async call is cancelled; a blocking one cannot be, so it is left behind
            and counted, and another thread takes its place. Either way that input fails with a TimeoutError.
        deadline: seconds for the whole run, from its first iteration; then `DeadlineExceeded` is raised.
        ordered: outcomes in the order of the inputs, or as they finish.
        stop_after: give up after so many failures (10), or after a share of the total ("5%"; while the total is
            not known: of what has finished, once that is 100). Matters to `outcomes()`; values stop at the first.
            None: when 50 of the first 60 calls fail in one way that no input changes (the same 401, the same
            TypeError). Either way `Stopped` is raised.
        journal: a path, or a `Journal`: outcomes are kept there, and a run over the same inputs goes on where
            this one ended, however it ended.
        use: what each call gets by keyword, as in `{"session": whilst.resource(requests.Session, per="thread")}`.
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
    _check_inputs(inputs)
    if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"name must be a string, got {name!r}")
    whole_run: dict[str, Any] = {
        "timeout": seconds("timeout", timeout),
        "deadline": seconds("deadline", deadline),
        "ordered": flag("ordered", ordered),
        "stop_after": StopAfter.parse(stop_after),
        "total": _check_total(total, inputs),
        "progress": None if progress is None else flag("progress", progress),
        "retry": _retry_of(retry),
        "journal": _journal_of(journal),
        "subject": fn,
    }
    wanted = check_concurrency(concurrency)
    limits = Hold.in_order(limits_of(own_limit(wanted, rate), limit))
    flow = _as_flow(fn, executor, use)
    on_threads = flow is None and (executor == "thread" or not is_async(fn))
    adaptive = wanted == "adaptive" or (wanted is None and limit is not None and limit.adaptive)
    lanes, run_ahead = at_once(wanted, limits, adaptive=adaptive, on_threads=on_threads)
    if flow is not None:
        from .flow import name_of_flow, plan_of

        label = name or name_of_flow(flow)
        return Run(plan_of(flow, inputs, concurrency=lanes, limits=limits, name=label, **whole_run))
    label = name or name_of(fn)
    return Run(
        Plan(
            fn=fn,
            inputs=inputs,
            concurrency=_check_threads(lanes, label, on_threads),
            on_threads=on_threads,
            name=label,
            context=contextvars.copy_context(),
            limits=limits,
            run_ahead=run_ahead,
            **whole_run,
        )
    )


def _as_flow(fn: Any, executor: Executor, use: Mapping[str, Resource] | None) -> Flow[Any, Any] | None:
    """Return a flow to map: the one given, or the one step that a function with resources is; None for any other."""
    if not _is_flow(fn):
        _check_function(fn, executor)
        if not use:
            return None
        from .flow import flow_of

        return flow_of(fn, use)
    if executor != "auto" or use:
        raise TypeError("executor= and use= belong to a function; give them to the steps inside the flow")
    return cast("Flow[Any, Any]", fn)


def _is_flow(fn: object) -> bool:
    """Whether it is a flow; their half of the library is loaded by whoever made one, and by nobody else."""
    flows = sys.modules.get(f"{__package__}.flow")
    return flows is not None and isinstance(fn, flows.Flow)


def _check_function(fn: Any, executor: str) -> None:
    """Refuse what cannot be mapped."""
    if not callable(fn):
        raise TypeError(f"fn {not_callable(fn)}")
    name = name_of(fn)
    if is_generator_function(fn):
        raise TypeError(
            f"{name}() is a generator function: one input gives many outputs, so there is no one value to map to\n"
            f"  try: whilst.map(lambda x: list({name}(x)), …), or in a flow: whilst.each({name}), whilst.flatten()"
        )
    check_colour(fn, executor)


def _check_inputs(inputs: Any) -> None:
    if isinstance(inputs, (str, bytes)):
        raise TypeError(
            f"inputs must be many things, got one {type(inputs).__name__}: {short(inputs, 40)}\n"
            f"  try: [{short(inputs, 40)}] for one input, or list({short(inputs, 40)}) for each character"
        )
    if not isinstance(inputs, (Iterable, AsyncIterable)) and not hasattr(inputs.__class__, "__getitem__"):
        hint = " (a coroutine: await it first)" if hasattr(inputs, "__await__") else ""
        raise TypeError(
            f"inputs must be iterable or async iterable, got {short(inputs, 40)} ({type(inputs).__name__}){hint}"
        )


def _check_threads(count: int | None, name: str, on_threads: bool) -> int:
    if count is None:
        return DEFAULT_CONCURRENCY
    if on_threads and count > MOST_THREADS:
        raise ValueError(
            f"concurrency={count} would need as many threads, because {name}() is blocking\n"
            f"  try: concurrency={MOST_THREADS}, the most there may be, or an async function"
        )
    return count


def _retry_of(given: object) -> Retry | None:
    """Return when to call again, which only its users load."""
    if given is None:
        return None
    from .core.retry import Retry

    return Retry.of(given)


def _journal_of(given: Any) -> Any:
    """Return the journal to write, which only its users load."""
    if given is None:
        return None
    from .journal import Journal

    if isinstance(given, Journal):
        return given
    if isinstance(given, (str, os.PathLike)):
        return Journal(cast("str | os.PathLike[str]", given))
    raise TypeError(f'journal must be a path or a whilst.Journal, got {short(given)}\n  try: journal="run.db"')


def _check_total(total: object, inputs: Any) -> int | None:
    if total is None:
        try:
            return len(inputs) if hasattr(inputs, "__len__") else None
        except Exception:  # a source's own __len__ may do anything, and only the progress would miss it
            return None
    return whole("total", total, least=0)
