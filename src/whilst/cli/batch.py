"""How are rows handed over many at a time? As a list, for which the function returns a list as long."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..core.colour import is_async
from ..core.outcome import Record
from ..io.rows import Rejected, Row
from .feed import Feed, RowRejected
from .messages import Problem, short
from .options import RunOptions

if TYPE_CHECKING:
    from .target import Target


class Batch(msgspec.Struct, frozen=True):
    """Rows that are one input of the run, rejected ones among them."""

    rows: list[Row | Rejected]

    @property
    def values(self) -> list[Any]:
        """What the function gets."""
        return [row.value for row in self.rows if type(row) is Row]

    @property
    def line(self) -> int:
        """The line of the last one."""
        return self.rows[-1].line


class Refused(msgspec.Struct, frozen=True):
    """A value of a batch that cannot be written, and why."""

    error: Exception


class Batches:
    """The source of a run whose inputs are batches of the rows of a feed."""

    def __init__(self, feed: Feed, size: int) -> None:
        self._feed = feed
        self._size = size

    def __iter__(self) -> Iterator[Batch]:
        rows: list[Row | Rejected] = []
        for row in self._feed:
            rows.append(row)
            if len(rows) == self._size:
                yield Batch(rows)
                rows = []
        if rows:
            yield Batch(rows)


def batch_worker(target: Target, prepare: Callable[[object], Any]) -> Callable[[Batch], Any]:
    """Return a function of a batch, of the user's colour; it gives what to write for each of its rows."""
    from ..flow import Flow  # who hands over one row a call need not load it
    from .exits import heed

    fn: Any = target.fn

    def finished(values: list[Any], found: Any) -> list[Any]:
        if isinstance(found, str | bytes | Mapping | Set) or not isinstance(found, Iterable):
            got = short(f"{found!r}", 60)  # a set has no order: its answers would stand beside the rows of others
            raise TypeError(f"{target.name}() gets a list of {len(values)} and must return one, got {got}")
        answers: list[Any] = [*found]
        if len(answers) != len(values):
            rows = "1 row" if len(values) == 1 else f"{len(values):,} rows"
            raise ValueError(f"{target.name}() returned {len(answers):,} values for {rows}")
        return [_prepared(prepare, answer) for answer in answers]

    if isinstance(fn, Flow):
        return _flow_worker(fn, finished)

    async def call_async(batch: Batch) -> Any:
        try:
            return finished(values := batch.values, await fn(values) if values else [])
        except BaseException as error:
            heed(error, batch.line)
            raise

    def call_plain(batch: Batch) -> Any:
        try:
            return finished(values := batch.values, fn(values) if values else [])
        except BaseException as error:
            heed(error, batch.line)
            raise

    chosen: Callable[[Batch], Any] = call_async if is_async(fn) else call_plain
    functools.update_wrapper(chosen, fn)
    chosen.__qualname__ = target.name
    return chosen


def unbatched(records: Iterable[Record]) -> Iterator[Record]:
    """Give the outcomes of the rows of batches, one by one; those of a call that failed fail alike."""
    for index, batch, found, error, started, took, attempts in records:
        answers = iter(cast("Sequence[Any]", found or ()))
        for row in cast("Batch", batch).rows:
            if type(row) is Rejected:
                yield index, row, None, RowRejected(row.reason), started, took, 0
            elif error is not None:
                yield index, row, None, error, started, took, attempts
            else:
                answer = next(answers)
                refused = answer.error if type(answer) is Refused else None
                yield index, row, None if refused else answer, refused, started, took, attempts


def check_batch(options: RunOptions) -> None:
    """Refuse what speaks of single rows where they are handed over many at a time."""
    for flag, given in (("--journal-key", options.journal_key), ("--limit-by", options.limit_by)):
        if given is not None:
            raise Problem(
                f"{flag} is for single rows, and --batch passes many rows at a time",
                remedy=f"leave out {flag} or --batch",
            )


def _flow_worker(flow: Any, finished: Callable[[list[Any], Any], list[Any]]) -> Callable[[Batch], Any]:
    """Put the flow between two steps of ours; its value is the list."""
    from ..composing import sequence

    async def open_batch(batch: Batch) -> Any:
        return batch.values

    async def close_batch(found: Any) -> Any:
        return found  # what a last stage of the flow gave is a list here

    whole = sequence(open_batch, flow, close_batch)

    async def call(batch: Batch) -> Any:
        return finished(batch.values, await whole.aio(batch))

    return call


def _prepared(prepare: Callable[[object], Any], answer: Any) -> Any:
    try:
        return prepare(answer)
    except (TypeError, ValueError) as error:
        return Refused(error)
