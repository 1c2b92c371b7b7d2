"""`whilst.map`: one function over many inputs; every argument is checked here, before anything runs."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from .arguments import (
    at_once,
    callers_context,
    check_colour,
    check_concurrency,
    check_inputs,
    length_of,
    limits_of,
    own_limit,
    place_of_calls,
    retry_of,
    trace_of,
)
from .core.check import answered, flag, not_callable, seconds, text, whole
from .core.colour import (
    has_parameters,
    is_async_generator_function,
    is_generator_function,
    name_of,
    needs_several,
)
from .core.concurrency import DEFAULT_CONCURRENCY
from .core.failures import StopAfter
from .core.outcome import short
from .core.plan import MOST_THREADS, Executor, Plan
from .core.resource import Resource
from .core.secrets import without_secrets
from .run import Run

if TYPE_CHECKING:
    from itertools import repeat
    from typing import Unpack

    from .core.equal import KeyOf
    from .flow import Flow
    from .journal import Journal
    from .limit.limit import Limit
    from .options import MapOptions
    from .retrying import Retry

I = TypeVar("I")  # noqa: E741
J = TypeVar("J")
K = TypeVar("K")
T = TypeVar("T")


@overload
def map(
    fn: Callable[[I], Coroutine[Any, Any, T]],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[[I], Awaitable[T]],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[[I], T],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[[], Awaitable[T]],
    inputs: range | repeat[None],
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[int | None, T]: ...
@overload
def map(
    fn: Callable[[], T],
    inputs: range | repeat[None],
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[int | None, T]: ...
@overload
def map(
    fn: Callable[[I, J], Awaitable[T]],
    inputs: Iterable[I] | AsyncIterable[I],
    second: Iterable[J] | AsyncIterable[J],
    /,
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[tuple[I, J], T]: ...
@overload
def map(
    fn: Callable[[I, J], T],
    inputs: Iterable[I] | AsyncIterable[I],
    second: Iterable[J] | AsyncIterable[J],
    /,
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[tuple[I, J], T]: ...
@overload
def map(
    fn: Callable[[I, J, K], Awaitable[T]],
    inputs: Iterable[I] | AsyncIterable[I],
    second: Iterable[J] | AsyncIterable[J],
    third: Iterable[K] | AsyncIterable[K],
    /,
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[tuple[I, J, K], T]: ...
@overload
def map(
    fn: Callable[[I, J, K], T],
    inputs: Iterable[I] | AsyncIterable[I],
    second: Iterable[J] | AsyncIterable[J],
    third: Iterable[K] | AsyncIterable[K],
    /,
    *,
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[tuple[I, J, K], T]: ...
@overload
def map(
    fn: Callable[..., Awaitable[T]],
    inputs: Iterable[Any] | AsyncIterable[Any],
    second: Iterable[Any] | AsyncIterable[Any],
    third: Iterable[Any] | AsyncIterable[Any],
    fourth: Iterable[Any] | AsyncIterable[Any],
    /,
    *more: Iterable[Any] | AsyncIterable[Any],
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[tuple[Any, ...], T]: ...
@overload
def map(
    fn: Callable[..., T],
    inputs: Iterable[Any] | AsyncIterable[Any],
    second: Iterable[Any] | AsyncIterable[Any],
    third: Iterable[Any] | AsyncIterable[Any],
    fourth: Iterable[Any] | AsyncIterable[Any],
    /,
    *more: Iterable[Any] | AsyncIterable[Any],
    use: None = None,
    **options: Unpack[MapOptions],
) -> Run[tuple[Any, ...], T]: ...
@overload
def map(
    fn: Callable[..., Awaitable[T]],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    use: Mapping[str, Resource],
    **options: Unpack[MapOptions],
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[..., T],
    inputs: Iterable[I] | AsyncIterable[I],
    *,
    use: Mapping[str, Resource],
    **options: Unpack[MapOptions],
) -> Run[I, T]: ...
@overload
def map(
    fn: Callable[..., Awaitable[T]],
    inputs: Iterable[Any] | AsyncIterable[Any],
    second: Iterable[Any] | AsyncIterable[Any],
    /,
    *more: Iterable[Any] | AsyncIterable[Any],
    use: Mapping[str, Resource],
    **options: Unpack[MapOptions],
) -> Run[tuple[Any, ...], T]: ...
@overload
def map(
    fn: Callable[..., T],
    inputs: Iterable[Any] | AsyncIterable[Any],
    second: Iterable[Any] | AsyncIterable[Any],
    /,
    *more: Iterable[Any] | AsyncIterable[Any],
    use: Mapping[str, Resource],
    **options: Unpack[MapOptions],
) -> Run[tuple[Any, ...], T]: ...
@answered
def map(
    fn: Callable[..., Any],
    inputs: Iterable[Any] | AsyncIterable[Any],
    *more: Iterable[Any] | AsyncIterable[Any],
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Sequence[str] | None = None,
    limit: Limit | Sequence[Limit] | None = None,
    retry: int | Retry | None = None,
    timeout: float | None = None,
    deadline: float | None = None,
    ordered: bool = True,
    share: bool | Callable[[Any], Hashable] = False,
    stop_after: int | str | None = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    use: Mapping[str, Resource] | None = None,
    executor: Executor = "auto",
    total: int | None = None,
    progress: bool | None = None,
    name: str | None = None,
    trace: str | os.PathLike[str] | None = None,
) -> Run[Any, Any]:
    """Call `fn` on every input, many at a time, and give the values in order.

    Args:
        fn: any callable of one argument, blocking or async, or a flow. Blocking calls run on threads of this run. Async
            calls run on your event loop (`async for`, `await`) or on the engine's (`for`, `.list()`). A function
            without parameters is called without the input, but only over a `range` or `itertools.repeat(None)`; other
            inputs would be ignored, so they are refused.
        inputs: any iterable or async iterable, even an endless one. It is read as needed, at most a window ahead of the
            results that you take. The window starts at `concurrency`, and grows to at most max(1024, 8 x concurrency)
            if that is faster.
        more: more iterables, as with the builtin `map`: `fn` gets one item of each. The input in outcomes, notes and a
            journal is the tuple of them (a flow gets this tuple). The run ends with the shortest iterable; known
            lengths must be equal. Async iterables may be mixed in.
        concurrency: how many calls may be in flight at once. "adaptive": the run finds the best number, and follows it
            when it changes. None: as many as `limit` allows, else 32 (for a flow: as many as its branches and stages
            can use at once, if that is more). In a flow, the calls of all steps count.
        rate: how many calls may start in a time: "100/s", "5000/h", or a list of these; see `Limit`.
        limit: a `Limit` shared with other runs and steps, or a list of them. All are kept, besides `concurrency` and
            `rate`, and the run follows when they change (see `Limit.set`).
        retry: how many attempts an input has, or a `Retry`; None: one.
        timeout: seconds for one call. After that, the input fails with a TimeoutError. An async call is cancelled. A
            blocking call cannot be cancelled: it is left behind and counted, and another thread takes its place. A
            worker process is killed.
        deadline: seconds for the whole run, from the start of the iteration; after that, `DeadlineExceeded` is raised.
        ordered: True gives outcomes in the order of the inputs, False as they finish.
        share: True: equal inputs that are in flight at the same time share one call and one permit. The others get the
            outcome of the first with `attempts` 0: the same object as value, or the failure with a note of their own.
            Texts, whole numbers, bytes, None and tuples of these are equal if type and value are. For other inputs give
            a function that returns the key of an input.
        stop_after: stop after so many failures (10), or a share of the total ("5%"; if the total is not known, a share
            of the finished inputs, once there are 100). It is for `outcomes()`; values stop at the first failure. None:
            stop if 50 of the first 60 calls fail in the same way (the same 401, the same TypeError). Then `Stopped` is
            raised.
        journal: a path, or a `Journal`. Outcomes are kept there, and a run over the same inputs continues where this
            one ended, even after a kill.
        use: keyword arguments for each call, such as `{"session": whilst.resource(requests.Session, per="thread")}`.
        executor: "auto" finds out whether `fn` is blocking or async; "thread" always uses threads; "process" uses
            worker processes, one for each processor or as many as `concurrency`, for blocking functions that compute or
            may crash. The function is sent by its name; inputs and values are pickled. If a worker dies, only its call
            fails, with `WorkerDied`. For more settings use `whilst.processes.Processes(…)`.
        total: how many inputs there will be, for the progress line and `stop_after`. Not needed if `len()` works.
        progress: whether to show a progress line on stderr. None: on a terminal, if the run takes longer than a second.
        name: the name of this run in messages; by default the function's name.
        trace: a file in which each call is recorded, without inputs and values, for `run.report()` and `whilst report`.
            A run with a `journal` is added to an existing trace; another run replaces it.

    Returns:
        A `Run`. Nothing runs before you iterate over it.

    Raises:
        TypeError, ValueError: at the call, if an argument is wrong.

    >>> import whilst
    >>> for value in whilst.map(len, ["one", "three"], concurrency=2):
    ...     print(value)
    3
    5
    >>> whilst.map(pow, [2, 3], [10, 2]).list()
    [1024, 9]
    """
    __tracebackhide__ = True
    if hasattr(fn, "cr_frame") and hasattr(inputs, "cr_frame"):
        from .core.habits import calls_already

        raise calls_already((fn, inputs, *more)) or TypeError
    check_inputs(inputs)
    subject, known = fn, length_of(inputs)
    if more:
        from .several import of_several

        fn, inputs, known = of_several(fn, (inputs, *more), whole=_is_flow(fn))
    elif not has_parameters(fn) and callable(fn) and not _is_flow(fn):
        from .core.signature import handed

        fn = handed(fn, inputs, known, tuple(use or ()))
    if name is not None:
        name = without_secrets(text("name", name))  # it is in every line that is shown and logged
    whole_run: dict[str, Any] = {
        "timeout": seconds("timeout", timeout),
        "deadline": seconds("deadline", deadline),
        "ordered": flag("ordered", ordered),
        "stop_after": None if stop_after is None else StopAfter.parse(stop_after),
        "total": known if total is None else whole("total", total, least=0),
        "progress": None if progress is None else flag("progress", progress),
        "retry": retry_of(retry),
        "share": _share_of(share),
        "journal": _journal_of(journal),
        "subject": subject,
        "trace": _trace_of(trace, journal),
    }
    wanted = check_concurrency(concurrency)
    limits = limits_of(own_limit(wanted, rate), limit)
    flow = _as_flow(fn, executor, use, whole_run)
    place = place_of_calls(fn, executor) if flow is None else _place_of_flow(flow)
    on_threads = place == "thread"
    whole_run.update(limits=limits, at_once=(many := at_once(wanted, limits, place)))
    if flow is not None:
        from .flow import name_of_flow, plan_of

        label = name or name_of_flow(flow)
        return Run(plan_of(flow, inputs, name=label, **whole_run))
    label = name or name_of(fn)
    return Run(
        Plan(
            fn=fn,
            inputs=inputs,
            concurrency=_check_threads(many.now, label, on_threads),
            executor=place,
            name=label,
            context=callers_context(),
            run_ahead=DEFAULT_CONCURRENCY if many.adaptive else None,
            **whole_run,
        )
    )


def _as_flow(
    fn: Any, executor: Executor, use: Mapping[str, Resource] | None, policies: dict[str, Any]
) -> Flow[Any, Any] | None:
    """Return a flow to map: the one given, or the one step that a function with resources is; None for any other.

    That step takes over those of the policies that are for its calls.
    """
    if not _is_flow(fn):
        _check_function(fn, executor)
        if not use:
            if needs_several(fn):
                from .core.tree import takes_value

                takes_value(fn, (), as_item=True)  # which says what would do
            return None
        from .flow import flow_of

        return flow_of(fn, use, executor=executor, timeout=policies.pop("timeout"), retry=policies.pop("retry"))
    if executor != "auto" or use:
        raise TypeError("executor= and use= belong to a function; give them to the steps inside the flow")
    return cast("Flow[Any, Any]", fn)


def _place_of_flow(flow: Flow[Any, Any]) -> Any:
    """Return where the calls of a flow are made if it is one step, and elsewhere; else the flow itself decides."""
    from .flow import place_of_step

    place = place_of_step(flow.node)
    return "loop" if isinstance(place, str) else place


def _is_flow(fn: object) -> bool:
    """Whether it is a flow; their half of the library is loaded by whoever made one, and by nobody else."""
    flow = getattr(sys.modules.get(f"{__package__}.flow"), "Flow", None)  # None, too, while another thread loads it
    return flow is not None and isinstance(fn, flow)


def _check_function(fn: Any, executor: Executor) -> None:
    """Refuse what cannot be mapped."""
    __tracebackhide__ = True
    if not callable(fn):
        raise TypeError(f"fn {not_callable(fn)}")
    name = name_of(fn)
    if is_generator_function(fn):
        whole = "" if is_async_generator_function(fn) else f"whilst.map(lambda x: list({name}(x)), …), or as a stream: "
        raise TypeError(
            f"{name}() is a generator function: one input gives many outputs, not one value\n"
            f"  try: {whole}whilst.sequence(whilst.each({name}), whilst.flatten()).stream(inputs)"
        )
    check_colour(fn, executor)


def _check_threads(count: int, name: str, on_threads: bool) -> int:
    if on_threads and count > MOST_THREADS:
        raise ValueError(
            f"concurrency={count} would need as many threads, because {name}() is blocking\n"
            f"  try: concurrency={MOST_THREADS}, the largest number, or an async function"
        )
    return count


def _share_of(given: object) -> KeyOf | None:
    """Return what tells equal inputs, which only its users load."""
    if given is False or given is None:
        return None
    from .core.equal import check_share

    return check_share(given)


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


def _trace_of(given: object, journal: object) -> str | None:
    """Return the file to record to, which is not one of the journal's."""
    path = trace_of(given)
    if path is not None and (run := _journal_of(journal)) is not None:
        from .io.names import OF_JOURNAL, clash

        if clash({"journal": [str(run.path) + ending for ending in OF_JOURNAL], "trace": [path]}) is not None:
            raise ValueError(f'journal and trace are the same file: {path}\n  try: trace="{path}.trace"')
    return path
