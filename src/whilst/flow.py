"""Flows: what runs one after another and what runs together, nested, as data that can be printed before it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from collections.abc import Sequence as Several
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, get_args, overload

from .arguments import (
    at_once,
    callers_context,
    check_colour,
    check_concurrency,
    limits_of,
    own_limit,
    place_given,
    retry_of,
    trace_of,
)
from .core.check import answered, flag, not_callable, seconds, text, whole
from .core.colour import name_of
from .core.concurrency import AtOnce
from .core.frozen import Frozen
from .core.judge import check_judge
from .core.outcome import short
from .core.plan import Executor, Plan
from .core.resource import Resource
from .core.tree import (
    Batched,
    Each,
    Flatten,
    Node,
    Policed,
    Sequence,
    Step,
    WhenFailed,
    ends_in_stage,
    kind_name,
    takes_value,
)
from .core.unlike import Piped
from .engine.background import loaded

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from .core.outcome import Outcome
    from .core.picture import Picture
    from .limit.limit import Limit
    from .limit.state import LimitState
    from .options import StageOptions, StepOptions
    from .retrying import Retry
    from .run import Run
    from .typevars import A, B, Items, T

V = TypeVar("V", contravariant=True)
R = TypeVar("R", covariant=True)


class Flow(Piped, Frozen, Generic[V, R]):
    """A tree of steps: call it, await it, stream it, map it, print its plan, or put it into another flow.

    Flows are immutable; two are equal when they have the same shape, functions and policies. Make one with
    `sequence`, `together`, `first`, `fallback`, `each`, `filter`, `flatten`, `batched` or `step`.

    >>> import whilst
    >>> flow = whilst.sequence(str.split, whilst.each(len), whilst.together(longest=max, total=sum))
    >>> flow("do something else")
    {'longest': 9, 'total': 15}
    >>> whilst.map(flow, ["a bc", "d"]).list()
    [{'longest': 2, 'total': 3}, {'longest': 1, 'total': 1}]
    """

    node: Node

    def __init__(self, node: Node) -> None:
        if callable(node) or not isinstance(node, Frozen):
            name = name_of(node) if callable(node) else "fn"
            raise TypeError(f"a flow is made by one of its functions\n  try: whilst.sequence({name}, …)")
        super().__init__(node)

    if not TYPE_CHECKING:  # for people without a type checker: the line that works

        def __getattr__(self, name: str) -> None:
            from .core.habits import unknown_attribute

            raise unknown_attribute("Flow", name)

    def __call__(self, value: V = None) -> R:  # type: ignore[assignment]
        """Run the flow with one value, in plain code; a flow that ends in a stage returns a list.

        The first failure raises the function's own exception, with notes that name the step by its path.
        """
        __tracebackhide__ = True
        return cast("R", self._run(value).list()[0])

    async def aio(self, value: V = None) -> R:  # type: ignore[assignment]
        """Run the flow with one value, in async code, on the running event loop."""
        __tracebackhide__ = True
        await loaded(".compiled")
        from .engine.compiled import once

        return cast("R", await once(plan_of(self, [value], progress=False), self.node, value))

    @overload
    def stream(
        self: Flow[V, list[T]],
        value: V = ...,
        *,
        progress: bool | None = ...,
        trace: str | os.PathLike[str] | None = ...,
    ) -> Run[Any, T]: ...
    @overload
    def stream(
        self: Flow[Any, Any],
        value: Any = ...,
        *,
        progress: bool | None = ...,
        trace: str | os.PathLike[str] | None = ...,
    ) -> Run[Any, Any]: ...
    def stream(
        self, value: Any = None, *, progress: bool | None = None, trace: str | os.PathLike[str] | None = None
    ) -> Run[Any, Any]:
        """Return a `Run` over the items of the last stage for one value, as they come.

        Args:
            value: what the first step gets.
            progress: as of `whilst.map`: None shows a line on a terminal, if the run takes longer than a second.
            trace: as of `whilst.map`: a file in which each call is recorded, for `run.report()` and `whilst report`.

        Raises:
            TypeError: the flow does not end in a stage; `progress` or `trace` cannot be meant.

        >>> import whilst
        >>> words = whilst.sequence(str.split, whilst.each(str.upper))
        >>> for word in words.stream("one two"):
        ...     print(word)
        ONE
        TWO
        """
        if not ends_in_stage(self.node):
            raise TypeError(
                f"this flow ends in a {_last_kind(self.node)}, so it gives one value, not a stream\n"
                "  try: flow(value), or a stage at the end: whilst.each(…), whilst.flatten(), whilst.batched(…)"
            )
        shows = None if progress is None else flag("progress", progress)
        return self._run(value, as_stream=True, progress=shows, trace=trace_of(trace))

    def plan(self) -> Picture:
        """Return the tree as it would run: each node's kind, function, colour, executor and policies.

        >>> import whilst
        >>> print(whilst.together(size=len, upper=str.upper).plan())
        together
        ├─ size: len() · blocking, thread
        └─ upper: str.upper() · blocking, thread
        """
        from .core.picture import picture

        return picture(self.node)

    def __repr__(self) -> str:
        from .core.expression import show

        return show(self.node)

    def _run(
        self, value: Any, *, as_stream: bool = False, progress: bool | None = False, trace: str | None = None
    ) -> Run[Any, Any]:
        from .run import Run

        return Run(plan_of(self, [value], as_stream=as_stream, progress=progress, trace=trace))


AnyStep = Flow[Any, Any] | Callable[..., Any]


@overload
def step(
    fn: Callable[..., Awaitable[B]], *, use: Mapping[str, Resource], **policies: Unpack[StepOptions]
) -> Flow[Any, B]: ...
@overload
def step(fn: Callable[..., B], *, use: Mapping[str, Resource], **policies: Unpack[StepOptions]) -> Flow[Any, B]: ...
@overload
def step(fn: Callable[[A], Awaitable[B]], *, use: None = None, **policies: Unpack[StepOptions]) -> Flow[A, B]: ...
@overload
def step(fn: Callable[[A], B], *, use: None = None, **policies: Unpack[StepOptions]) -> Flow[A, B]: ...
@overload
def step(fn: Callable[[], Awaitable[B]], *, use: None = None, **policies: Unpack[StepOptions]) -> Flow[Any, B]: ...
@overload
def step(fn: Callable[[], B], *, use: None = None, **policies: Unpack[StepOptions]) -> Flow[Any, B]: ...
@answered
def step(
    fn: AnyStep,
    *,
    executor: Executor = "auto",
    timeout: float | None = None,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Several[str] | None = None,
    limit: Limit | Several[Limit] | None = None,
    retry: int | Retry | None = None,
    hedge: bool = False,
    use: Mapping[str, Resource] | None = None,
    name: str | None = None,
) -> Flow[Any, Any]:
    """Give a function, or a part of a flow, its own limits, retries and timeout.

    Args:
        fn: any callable, or a flow (then `timeout` and `retry` are for the whole flow, limits for each call in it).
        executor: "auto"; "thread" always uses a thread; "process" uses the worker processes of the run (see `map`). For
            one value, `flow(value)` and `flow.aio(value)` use worker processes of the loop, which are kept for a while.
        timeout: seconds for one call. After that it is cancelled (a blocking call is left behind) and TimeoutError is
            raised. The wait for a permit does not count.
        concurrency: calls in flight at once, over all runs of this step, or "adaptive"; short for a `Limit` of the
            step.
        rate: calls that may start in a time, such as "100/s"; also short for a `Limit` of the step.
        limit: a shared `Limit`, or a list of them, held during each call.
        retry: how many attempts a call has, or a `Retry`; an attempt that waits holds no permit and no thread.
        hedge: if a call takes longer than 95 % of the others, make the same call a second time, and take the first
            success. For calls that may be made twice. This is done for at most 5 % of the calls, and not while the
            other side says "slower". A blocking call that loses is left behind.
        use: resources that each call gets as keyword arguments.
        name: the name of the step in plans and messages.

    >>> import whilst
    >>> whilst.step(sorted, timeout=5.0, retry=3)([2, 1])
    [1, 2]
    """
    wanted = check_concurrency(concurrency)  # a step has no lanes that a number could bound
    limits = limits_of(own_limit(wanted, rate, counts=True), limit)
    policies = _Policies(executor, timeout, limits, retry_of(retry), flag("hedge", hedge), use, name)
    return Flow(_with_policies(fn, "step", policies))


@overload
def each(
    fn: Callable[..., Awaitable[B]],
    *,
    use: Mapping[str, Resource],
    failures: Literal["pass"],
    **policies: Unpack[StageOptions],
) -> Flow[Items[Any], list[Outcome[Any, B]]]: ...
@overload
def each(
    fn: Callable[..., B], *, use: Mapping[str, Resource], failures: Literal["pass"], **policies: Unpack[StageOptions]
) -> Flow[Items[Any], list[Outcome[Any, B]]]: ...
@overload
def each(
    fn: Callable[..., Awaitable[B]],
    *,
    use: Mapping[str, Resource],
    failures: WhenFailed = "raise",
    **policies: Unpack[StageOptions],
) -> Flow[Items[Any], list[B]]: ...
@overload
def each(
    fn: Callable[..., B],
    *,
    use: Mapping[str, Resource],
    failures: WhenFailed = "raise",
    **policies: Unpack[StageOptions],
) -> Flow[Items[Any], list[B]]: ...
@overload
def each(
    fn: Callable[[A], Awaitable[B]],
    *,
    use: None = None,
    failures: Literal["pass"],
    **policies: Unpack[StageOptions],
) -> Flow[Items[A], list[Outcome[A, B]]]: ...
@overload
def each(
    fn: Callable[[A], B], *, use: None = None, failures: Literal["pass"], **policies: Unpack[StageOptions]
) -> Flow[Items[A], list[Outcome[A, B]]]: ...
@overload
def each(
    fn: Callable[[A], Awaitable[B]],
    *,
    use: None = None,
    failures: WhenFailed = "raise",
    **policies: Unpack[StageOptions],
) -> Flow[Items[A], list[B]]: ...
@overload
def each(
    fn: Callable[[A], B], *, use: None = None, failures: WhenFailed = "raise", **policies: Unpack[StageOptions]
) -> Flow[Items[A], list[B]]: ...
@answered
def each(
    fn: AnyStep,
    *,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Several[str] | None = None,
    ordered: bool = True,
    failures: WhenFailed = "raise",
    executor: Executor = "auto",
    timeout: float | None = None,
    limit: Limit | Several[Limit] | None = None,
    retry: int | Retry | None = None,
    hedge: bool = False,
    use: Mapping[str, Resource] | None = None,
) -> Flow[Any, Any]:
    """A stage: call `fn` on every item of the stream, at most `concurrency` (default 32) at once.

    Items go on to the next stage as soon as they are there, in order unless `ordered=False`, through bounded buffers.
    `concurrency` is for the whole run, for all inputs in the stage; "adaptive" finds the best number. The other
    arguments are those of `step`.

    `failures` says what happens to an item that has failed after all its attempts: "raise" ends the stage, "skip"
    leaves it out, "pass" gives the next stage an `Outcome` for each item, good or bad. `run.summary().notes` counts by
    kind what was skipped or passed on. With "skip", the stage still raises `Stopped` if nearly all of its first calls
    fail in the same way (the same 401, the same TypeError).

    >>> import whilst
    >>> whilst.sequence(range, whilst.each(str, rate="1000/s"))(3)
    ['0', '1', '2']
    >>> whilst.sequence(str.split, whilst.each(int, failures="skip"))("1 two 3")
    [1, 3]
    >>> whilst.sequence(str.split, whilst.each(int, failures="pass"), whilst.each(lambda it: it.ok))("1 two 3")
    [True, False, True]
    """
    given = StagePolicies(concurrency, rate, ordered, executor, timeout, limit, retry, hedge, use)
    return Flow(stage_of(fn, "each", given, failures=_when_failed(failures)))


@answered
def flatten(*, concurrency: int = 1) -> Flow[Any, list[Any]]:
    """A stage: give the items of each item, one level down. A plain value counts as one item.

    With `concurrency`, so many items are read at the same time, and their members are given as they come, in any order.
    Use it for items that are slow streams, such as the pages of many lists. The first stream that fails ends the stage.

    >>> import whilst
    >>> whilst.sequence(str.split, whilst.each(list), whilst.flatten())("ab c")
    ['a', 'b', 'c']
    >>> sorted(whilst.sequence(str.split, whilst.each(list), whilst.flatten(concurrency=8))("ab c"))
    ['a', 'b', 'c']
    """
    return Flow(Flatten(whole("concurrency", concurrency, least=1)))


@answered
def batched(
    n: int, *, within: float | None = None, by: Callable[[Any], Hashable] | None = None
) -> Flow[Any, list[list[Any]]]:
    """A stage: collect items in lists of at most `n`; with `within`, no item waits longer than so many seconds.

    With `by`, a function that returns the key of an item, each list has items of one key only. A list is given when it
    is full. At most 1,024 keys have an unfinished list; for one more key, the oldest list is given although it is not
    full.

    >>> import whilst
    >>> whilst.sequence(range, whilst.batched(2))(5)
    [[0, 1], [2, 3], [4]]
    >>> whilst.sequence(range, whilst.batched(2, by=lambda n: n % 3))(7)
    [[0, 3], [1, 4], [2, 5], [6]]
    """
    if by is not None:
        check_judge("by", by, of="item")
    return Flow(Batched(whole("n", n, least=1), seconds("within", within), by))


class StagePolicies(Frozen):
    """What `each` and `filter` were asked for."""

    concurrency: int | Literal["adaptive"] | None
    rate: str | Several[str] | None
    ordered: bool
    executor: Executor
    timeout: float | None
    limit: Limit | Several[Limit] | None
    retry: int | Retry | None
    hedge: bool
    use: Mapping[str, Resource] | None


def stage_of(
    fn: AnyStep, kind: str, given: StagePolicies, *, failures: WhenFailed = "raise", keeps: bool = False
) -> Each:
    """Return the stage that calls a function, or a flow, on every item."""
    wanted = check_concurrency(given.concurrency)
    limits = limits_of(own_limit(wanted, given.rate), given.limit)
    hedge = flag("hedge", given.hedge)
    policies = _Policies(given.executor, given.timeout, limits, retry_of(given.retry), hedge, given.use, None)
    node = _with_policies(fn, kind, policies, as_item=True)
    return Each(node, at_once(wanted, limits, place_of_step(node)), flag("ordered", given.ordered), failures, keeps)


def _when_failed(given: Any) -> WhenFailed:
    if given not in get_args(WhenFailed):
        raise ValueError(
            f"failures says what happens to items that fail, got {short(given)}\n"
            '  try: failures="raise" (they end the stage), "skip" (they are left out) or "pass" (outcomes go on)'
        )
    return cast("WhenFailed", given)


def plan_of(
    flow: Flow[Any, Any],
    inputs: Any,
    *,
    as_stream: bool = False,
    at_once: AtOnce | None = None,
    progress: bool | None = None,
    **policies: Any,
) -> Plan:
    """Return the plan of mapping a flow; `at_once` bounds its calls in flight, else what the stages ask for does."""
    settings: dict[str, Any] = {
        "timeout": None,
        "deadline": None,
        "ordered": True,
        "stop_after": None,
        "total": None,
        "limits": (),
        "name": name_of_flow(flow),
        **policies,
    }
    return Plan(
        fn=flow.aio,
        inputs=inputs,
        concurrency=(at_once or AtOnce()).now,
        at_once=at_once,
        executor="loop",
        progress=progress,
        context=callers_context(),
        node=flow.node,
        as_stream=as_stream,
        **settings,
    )


def flow_of(fn: Any, use: Mapping[str, Resource] | None, **policies: Any) -> Flow[Any, Any]:
    """Return the flow of one step that a function with resources is, when it is mapped."""
    return Flow(_with_policies(fn, "map", _Policies(use=use, **policies), as_item=True))


def place_of_step(node: Node) -> Any:
    """Return where the calls of a flow are made that is one step; "loop" for any other."""
    if not isinstance(node, Step):
        return "loop"
    return node.executor if node.elsewhere else "thread" if node.on_thread else "loop"


def name_of_flow(flow: Flow[Any, Any]) -> str:
    """Return what messages call a flow."""
    node = flow.node
    if isinstance(node, (Step, Policed)) and node.name:
        return node.name
    return name_of(node.fn) if isinstance(node, Step) else kind_name(node)


def node_of(fn: AnyStep, path: str) -> Node:
    """Return the node that a function or a flow is; `path` names it in messages."""
    return fn.node if isinstance(fn, Flow) else _step(fn, path)


def _step(fn: Any, path: str, *, as_item: bool = False, **policies: Any) -> Step:
    if not callable(fn):
        raise TypeError(f"{path}: {not_callable(fn, of=path.partition('[')[0])}")
    keywords = tuple(key for key, _ in policies.get("use", ()))
    try:
        return Step(fn, takes_value(fn, keywords, as_item=as_item), **policies)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None


class _Policies(Frozen):
    """What `step` and `each` were asked for."""

    executor: Executor = "auto"
    timeout: float | None = None
    limits: tuple[LimitState, ...] = ()
    retry: Retry | None = None
    hedge: bool = False
    use: Mapping[str, Resource] | None = None
    name: str | None = None


def _with_policies(fn: AnyStep, path: str, given: _Policies, *, as_item: bool = False) -> Node:
    timeout, name = seconds("timeout", given.timeout), "" if given.name is None else text("name", given.name)
    if not isinstance(fn, Flow):
        check_colour(fn, given.executor, given.use)
        return _step(
            fn,
            path,
            as_item=as_item,
            executor=place_given(fn, given.executor, given.use),
            timeout=timeout,
            limits=given.limits,
            retry=given.retry,
            hedge=given.hedge,
            use=tuple((given.use or {}).items()),
            name=name,
        )
    if given.executor != "auto" or given.use:
        raise TypeError(f"{path}: executor= and use= belong to a function; give them to the steps inside the flow")
    if given.hedge:
        raise TypeError(f"{path}: hedge= belongs to a function; give it to the steps inside the flow")
    if as_item and isinstance(fn.node, Step) and not fn.node.takes_value:
        _step(fn.node.fn, path, as_item=True)  # raises: every item is handed over
    if timeout is None and not given.limits and given.retry is None and not name:
        return fn.node
    return Policed(fn.node, timeout, given.limits, given.retry, name)


def _last_kind(node: Node) -> str:
    return _last_kind(node.steps[-1]) if isinstance(node, Sequence) else kind_name(node)
