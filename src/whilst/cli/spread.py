"""What if the value of a call is more than what is written: a list of values, or a value and where it goes on?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

import msgspec

from ..io.rows import Rejected, Row
from ..io.sink import Refusal, Shape, Sink, Unfit
from .deliver import Sinks


class Through:
    """A sink whose values go through two functions on their way to another; each is given that one first."""

    def __init__(
        self, sink: Sink, prepare: Callable[[Sink, Any], Any], write: Callable[[Sink, Row, Any], None]
    ) -> None:
        self.name: str = sink.name
        self.refusals: deque[Refusal] = sink.refusals
        self._sink = sink
        self._prepare = prepare
        self._write = write
        self.write_all: None = None
        self.flush: Callable[[], None] = sink.flush
        self.finish: Callable[[], str | None] = sink.finish
        self.discard: Callable[[], None] = sink.discard

    @property
    def broken(self) -> OSError | None:
        """What ended the sink."""
        return self._sink.broken

    @property
    def waiting(self) -> bool:
        """Whether `flush` would write something."""
        return self._sink.waiting

    @property
    def items(self) -> int | None:
        """How many elements of values were taken; None where a value is one."""
        return getattr(self._sink, "items", None)

    def begin(self, shape: Shape) -> None:
        """Say what will come."""
        self._sink.begin(shape)

    def prepare(self, value: object) -> Any:
        """Prepare what of the value is written."""
        return self._prepare(self._sink, value)

    def write(self, row: Row, prepared: Any) -> None:
        """Take a success."""
        self._write(self._sink, row, prepared)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure."""
        self._sink.failure(row, error, attempts)


def through(sinks: Sinks, prepare: Callable[[Sink, Any], Any], write: Callable[[Sink, Row, Any], None]) -> Sinks:
    """Return the sinks with values going through these functions."""
    out = cast("Sink", Through(sinks.out, prepare, write))
    return Sinks(out, out if sinks.failed is sinks.out else sinks.failed)


class Spread(Through):
    """A sink that writes each element of a value as a value of its own, known by its own fields."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink, _prepare_each, _write_each)
        self._items = 0

    @property
    def items(self) -> int:
        """How many elements were taken."""
        return self._items

    def write(self, row: Row, prepared: list[Any]) -> None:
        """Take a success."""
        self._items += len(prepared)
        super().write(row, prepared)

    def begin(self, shape: Shape) -> None:
        """Say what will come: many values of one input."""
        super().begin(msgspec.structs.replace(shape, items=True))


def spread(sinks: Sinks) -> Sinks:
    """Return the sinks with each element of a value written as if it were a value of its own; none of an empty list."""
    out = cast("Sink", Spread(sinks.out))
    return Sinks(out, out if sinks.failed is sinks.out else sinks.failed)


def _prepare_each(sink: Sink, values: list[Any]) -> list[Any]:
    return [sink.prepare(it) for it in values]


def _write_each(sink: Sink, row: Row, prepared: list[Any]) -> None:
    """Write each; those that are refused do not keep the others from being written."""
    unfit: list[Unfit] = []
    for it in prepared:
        try:
            sink.write(row, it)
        except Unfit as error:
            unfit.append(error)
    if unfit:
        kind = type(unfit[0])
        raise kind("; ".join(map(str, unfit)))
