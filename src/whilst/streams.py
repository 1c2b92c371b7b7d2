"""Streams: which items go on, and how several streams become one."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from collections.abc import Sequence as Several
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .arguments import callers_context
from .core.check import answered
from .core.outcome import short
from .core.plan import Executor, Plan
from .core.resource import Resource
from .flow import Flow, StagePolicies, stage_of
from .run import Run

if TYPE_CHECKING:
    from typing import Unpack

    from .limit.limit import Limit
    from .options import StageOptions
    from .retrying import Retry
    from .typevars import A, Items

T = TypeVar("T")


@overload
def filter(
    fn: Callable[..., Any], *, use: Mapping[str, Resource], **policies: Unpack[StageOptions]
) -> Flow[Items[Any], list[Any]]: ...
@overload
def filter(
    fn: Callable[[A], Any], *, use: None = None, **policies: Unpack[StageOptions]
) -> Flow[Items[A], list[Any]]: ...
@answered
def filter(
    fn: Flow[Any, Any] | Callable[..., Any],
    *,
    concurrency: int | Literal["adaptive"] | None = None,
    rate: str | Several[str] | None = None,
    ordered: bool = True,
    executor: Executor = "auto",
    timeout: float | None = None,
    limit: Limit | Several[Limit] | None = None,
    retry: int | Retry | None = None,
    hedge: bool = False,
    use: Mapping[str, Resource] | None = None,
) -> Flow[Any, Any]:
    """A stage: keep the items of the stream for which `fn` returns true, at most `concurrency` calls at once.

    `fn` may be blocking or async, or a flow, with the arguments of `each`. A call that fails ends the stage.

    >>> import whilst
    >>> whilst.sequence(range, whilst.filter(lambda n: n % 2))(6)
    [1, 3, 5]
    """
    given = StagePolicies(concurrency, rate, ordered, executor, timeout, limit, retry, hedge, use)
    return Flow(stage_of(fn, "filter", given, keeps=True))


def merge(*streams: Iterable[T] | AsyncIterable[T]) -> Run[T, T]:
    """Return one run over the items of several streams; all streams are read at the same time.

    A stream is any iterable or async iterable: a list, a generator, a run, `flow.stream(value)`. The items of one
    stream stay in order. Nothing is read before you ask for the first item, and only a limited number of items is read
    ahead. The first stream that fails ends the others and raises; if you leave early, all are closed.

    >>> import whilst
    >>> sorted(whilst.merge([1, 4], whilst.map(abs, [-2, -3])))
    [1, 2, 3, 4]
    """
    for place, stream in enumerate(streams, 1):
        if isinstance(stream, (str, bytes)) or not (hasattr(stream, "__aiter__") or hasattr(stream, "__iter__")):
            raise TypeError(
                f"merge() takes streams, and the {_th(place)} of {len(streams)} is {short(stream, 60)}\n"
                "  try: whilst.merge(first_list, second_generator, flow.stream(value))"
            )
    return Run(
        Plan(
            fn=_same,
            inputs=_Merged(streams),
            concurrency=1,
            timeout=None,
            deadline=None,
            ordered=True,
            stop_after=None,
            executor="loop",
            total=None,
            progress=False,
            name="merge",
            context=callers_context(),
        )
    )


class _Merged:
    """Streams of either colour as one, in no order; nothing is read before the first item is asked for."""

    def __init__(self, streams: tuple[Any, ...]) -> None:
        self._streams = streams

    def __aiter__(self) -> AsyncIterator[Any]:
        from .engine.stages import merged  # loaded when used: the run has loaded most of it, on a thread

        streams, self._streams = self._streams, ()
        return merged(streams, max(1, len(streams)), "merge")


async def _same(item: Any) -> Any:
    return item


def _th(place: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(place, f"{place}th")
