"""What if one input gives many values? A sink that takes each as if it were an outcome of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ..io.rows import Rejected, Row
from ..io.sink import Shape, Sink
from .deliver import Sinks


class Spread:
    """Writes the elements of a list to a sink that would write the list."""

    def __init__(self, sink: Sink) -> None:
        self.name: str = sink.name
        self._sink = sink
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

    def begin(self, shape: Shape) -> None:
        """Say what will come."""
        self._sink.begin(shape)

    def prepare(self, value: object) -> list[Any]:
        """Prepare each element."""
        return [self._sink.prepare(it) for it in cast("list[object]", value)]

    def write(self, row: Row, prepared: Any) -> None:
        """Take each element as a success; none of an empty list."""
        for it in prepared:
            self._sink.write(row, it)

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure."""
        self._sink.failure(row, error, attempts)


def spread(sinks: Sinks) -> Sinks:
    """Return the sinks with values spread."""
    out = cast("Sink", Spread(sinks.out))
    return Sinks(out, out if sinks.failed is sinks.out else sinks.failed)
