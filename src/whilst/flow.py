"""Flows: what runs one after another and what runs together, nested, as data that can be printed before it runs."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from .arguments import DEFAULT_CONCURRENCY, at_once, check_colour, check_concurrency, limits_of, own_limit
from .core.check import flag, not_callable, seconds, whole
from .core.colour import name_of
from .core.expression import show
from .core.plan import Executor, Plan
from .core.resource import Resource
from .core.retry import Retry
from .core.tree import (
    Batched,
    Each,
    First,
    Flatten,
    Node,
    Policed,
    Sequence,
    Step,
    Together,
    calls_at_once,
    ends_in_stage,
    kind_name,
    takes_value,
)
from .limit import Limit
from .run import Run

if TYPE_CHECKING:
    from .core.picture import Picture

V = TypeVar("V", contravariant=True)
R = TypeVar("R", covariant=True)


@dataclass(frozen=True, slots=True, repr=False)
class Flow(Generic[V, R]):
    """A tree of steps: call it, await it, stream it, map it, print its plan, or put it into another flow.

    Flows are immutable; two are equal when they have the same shape, functions and policies. Make one with
    `sequence`, `together`, `first`, `each`, `flatten`, `batched` or `step`.

    >>> import whilst
    >>> flow = whilst.sequence(str.split, whilst.each(len), whilst.together(longest=max, total=sum))
    >>> flow("do something else")
    {'longest': 9, 'total': 15}
    >>> whilst.map(flow, ["a bc", "d"]).list()
    [{'longest': 2, 'total': 3}, {'longest': 1, 'total': 1}]
    """

    node: Node

    def __call__(self, value: V = None) -> R:  # type: ignore[assignment]
        """Run the flow over one value, in plain code; a flow that ends in a stage returns the list.

        The first failure raises the function's own exception, with notes that name the step by its path.
        """
        return cast("R", self._run(value).list()[0])

    async def aio(self, value: V = None) -> R:  # type: ignore[assignment]
        """Run the flow over one value, in async code, on the caller's loop."""
        return cast("R", (await self._run(value))[0])

    def stream(self, value: V = None) -> Run[Any, Any]:  # type: ignore[assignment]
        """Return a `Run` over the items that the last stage gives for one value, as they come.

        >>> import whilst
        >>> words = whilst.sequence(str.split, whilst.each(str.upper))
        >>> for word in words.stream("one two"):
        ...     print(word)
        ONE
        TWO
        """
        if not ends_in_stage(self.node):
            raise TypeError(
                f"this flow ends in a {_last_kind(self.node)}, so it gives one value and not a stream\n"
                "  try: flow(value), or a stage at the end: whilst.each(…), whilst.flatten(), whilst.batched(…)"
            )
        return self._run(value, as_stream=True)

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
        return show(self.node)

    def _run(self, value: Any, *, as_stream: bool = False) -> Run[Any, Any]:
        return Run(plan_of(self, [value], as_stream=as_stream, progress=False))


AnyStep = Flow[Any, Any] | Callable[..., Any]


def sequence(*steps: AnyStep) -> Flow[Any, Any]:
    """Run steps one after another; each gets what the one before returned.

    A step is called without the value only if its signature takes none. After a stage (`each`, `flatten`,
    `batched`) the value is a stream: a following stage consumes it item by item, a plain step gets it as a list.

    >>> import whilst
    >>> whilst.sequence(abs, str)(-4)
    '4'
    """
    if not steps:
        raise TypeError("sequence() needs at least one step")
    return Flow(Sequence(tuple(_node(step, f"sequence[{place}]") for place, step in enumerate(steps))))


def together(*branches: AnyStep, **named: AnyStep) -> Flow[Any, Any]:
    """Run branches at the same time, each with the same value; a tuple comes out, or a dict if they are named.

    When one fails the others are cancelled and that failure is raised; what else failed meanwhile is in its notes.

    >>> import whilst
    >>> whilst.together(min, max)([3, 1, 2]), whilst.together(low=min, high=max)([3, 1, 2])
    ((1, 3), {'low': 1, 'high': 3})
    """
    if branches and named:
        raise TypeError("together() takes branches by position (a tuple comes out) or by name (a dict), not both")
    if named:
        nodes = tuple(_node(branch, f"together.{name}") for name, branch in named.items())
        return Flow(Together(nodes, tuple(named)))
    if not branches:
        raise TypeError("together() needs at least one branch")
    return Flow(Together(tuple(_node(branch, f"together[{place}]") for place, branch in enumerate(branches))))


def first(*branches: AnyStep) -> Flow[Any, Any]:
    """Run branches at the same time; the first success comes out and the others are cancelled.

    When all fail, an ExceptionGroup of their failures is raised.

    >>> import whilst
    >>> whilst.first(int, float)("2.5")
    2.5
    """
    if not branches:
        raise TypeError("first() needs at least one branch")
    return Flow(First(tuple(_node(branch, f"first[{place}]") for place, branch in enumerate(branches))))


def step(
    fn: AnyStep,
    *,
    executor: Executor = "auto",
    timeout: float | None = None,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Several[str] | None = None,
    limit: Limit | None = None,
    retry: int | Retry | None = None,
    hedge: bool = False,
    use: Mapping[str, Resource] | None = None,
    name: str | None = None,
) -> Flow[Any, Any]:
    """Give a function, or a part of a flow, policies of its own.

    Args:
        fn: any callable, or a flow (then `timeout` and `retry` are for the whole of it, limits for each call in it).
        executor: "auto", or "thread" to insist on a thread.
        timeout: seconds; then the call is cancelled (a blocking one is left behind) and TimeoutError raised. The
            time that a call waits for a permit does not count.
        concurrency: calls in flight at once over all runs of this step, or "adaptive"; short for a `Limit` of its own.
        rate: calls that may start in a time, likewise: "100/s".
        limit: a shared `Limit`, held during each call.
        retry: how many attempts a call has, or a `Retry`; an attempt that waits holds no permit and no thread.
        hedge: start a second call beside one that takes longer than 95 % of them do, and take the first success; for
            calls that may well be made twice. At most 5 % of the calls, and none while the other side says "slower".
            A blocking call that loses is left behind.
        use: resources that each call gets by keyword.
        name: what plans and messages call it.

    >>> import whilst
    >>> whilst.step(sorted, timeout=5.0, retry=3)([2, 1])
    [1, 2]
    """
    wanted = check_concurrency(concurrency)  # a step has no lanes that a number could bound
    own = Limit(concurrency=wanted, rate=rate) if wanted is not None or rate is not None else None
    policies = _Policies(executor, timeout, limits_of(own, limit), Retry.of(retry), flag("hedge", hedge), use, name)
    return Flow(_with_policies(fn, "step", policies))


def each(
    fn: AnyStep,
    *,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Several[str] | None = None,
    ordered: bool = True,
    executor: Executor = "auto",
    timeout: float | None = None,
    limit: Limit | None = None,
    retry: int | Retry | None = None,
    hedge: bool = False,
    use: Mapping[str, Resource] | None = None,
) -> Flow[Any, Any]:
    """A stage: call `fn` on every item of the stream, at most `concurrency` (default 32) at once.

    It streams: items go on to the next stage as they come, in order unless `ordered=False`, through bounded
    buffers. `concurrency` holds for the whole run, however many inputs are in the stage; "adaptive" finds the best
    by itself. The other policies are those of `step`.

    >>> import whilst
    >>> whilst.sequence(range, whilst.each(str, rate="1000/s"))(3)
    ['0', '1', '2']
    """
    wanted = check_concurrency(concurrency)
    adaptive = wanted == "adaptive"
    policies = _Policies(
        executor, timeout, limits_of(own_limit(wanted, rate), limit), Retry.of(retry), flag("hedge", hedge), use, None
    )
    node = _with_policies(fn, "each", policies, as_item=True)
    on_threads = isinstance(node, Step) and node.on_thread
    lanes, _ = at_once(wanted, policies.limits, adaptive=adaptive, on_threads=on_threads)
    return Flow(Each(node, lanes or DEFAULT_CONCURRENCY, flag("ordered", ordered), adaptive))


def flatten() -> Flow[Any, Any]:
    """A stage: give the items of each item, one level down. A plain value counts as one item.

    >>> import whilst
    >>> whilst.sequence(str.split, whilst.each(list), whilst.flatten())("ab c")
    ['a', 'b', 'c']
    """
    return Flow(Flatten())


def batched(n: int, *, within: float | None = None) -> Flow[Any, Any]:
    """A stage: give lists of at most `n` items; with `within`, no item waits longer than so many seconds for company.

    >>> import whilst
    >>> whilst.sequence(range, whilst.batched(2))(5)
    [[0, 1], [2, 3], [4]]
    """
    return Flow(Batched(whole("n", n, least=1), seconds("within", within)))


def plan_of(
    flow: Flow[Any, Any],
    inputs: Any,
    *,
    as_stream: bool = False,
    concurrency: int | None = None,
    progress: bool | None = None,
    **policies: Any,
) -> Plan:
    """Return the plan of mapping a flow; `concurrency` bounds its calls in flight, else what the stages ask for."""
    most = max(DEFAULT_CONCURRENCY, calls_at_once(flow.node)) if concurrency is None else concurrency
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
        concurrency=DEFAULT_CONCURRENCY if concurrency is None else concurrency,
        on_threads=False,
        progress=progress,
        context=contextvars.copy_context(),
        node=flow.node,
        calls=most,
        as_stream=as_stream,
        **settings,
    )


def flow_of(fn: Any, use: Mapping[str, Resource] | None) -> Flow[Any, Any]:
    """Return the flow of one step that a function with resources is, when it is mapped."""
    return Flow(_with_policies(fn, "map", _Policies(use=use), as_item=True))


def name_of_flow(flow: Flow[Any, Any]) -> str:
    """Return what messages call a flow."""
    node = flow.node
    if isinstance(node, (Step, Policed)) and node.name:
        return node.name
    return name_of(node.fn) if isinstance(node, Step) else kind_name(node)


def _node(fn: AnyStep, path: str) -> Node:
    return fn.node if isinstance(fn, Flow) else _step(fn, path)


def _step(fn: Any, path: str, *, as_item: bool = False, **policies: Any) -> Step:
    if not callable(fn):
        raise TypeError(f"{path}: {not_callable(fn)}")
    keywords = tuple(key for key, _ in policies.get("use", ()))
    try:
        return Step(fn, takes_value(fn, keywords, as_item=as_item), **policies)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Policies:
    """What `step` and `each` were asked for."""

    executor: Executor = "auto"
    timeout: float | None = None
    limits: tuple[Limit, ...] = ()
    retry: Retry | None = None
    hedge: bool = False
    use: Mapping[str, Resource] | None = None
    name: str | None = None


def _with_policies(fn: AnyStep, path: str, given: _Policies, *, as_item: bool = False) -> Node:
    timeout, name = seconds("timeout", given.timeout), given.name or ""
    if not isinstance(fn, Flow):
        check_colour(fn, given.executor, given.use)
        return _step(
            fn,
            path,
            as_item=as_item,
            executor=given.executor,
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
