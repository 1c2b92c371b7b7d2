"""What takes the outcomes of a run? Lines of bytes, a Parquet file and a table of a database, all by the same calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from .output import Output
from .rows import Rejected, Row

TOGETHER = 32  # lines made at once; more gain nothing, and they may be large


class Shape(msgspec.Struct, frozen=True):
    """What goes into an output; known once the first row of the input was read.

    Attributes:
        columns: the names of an input that is a table, whose rows keep their columns; else None.
        values_only: values without their inputs.
        failures_here: whether failures go to the same output.
        items: whether an input gives many values, so that each is known by its own fields.
        header: the columns of a file that grows; None: the values decide.
    """

    columns: list[str] | None = None
    values_only: bool = False
    failures_here: bool = True
    items: bool = False
    header: list[str] | None = None


def beside(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return columns with further ones behind them, which have underscores where their names are taken.

    >>> beside(["id", "value"], ["value", "error"])
    ['id', 'value', 'value_', 'error']
    """
    found = [*columns]
    for name in names:
        while name in found:
            name += "_"
        found.append(name)
    return found


class Unfit(ValueError):
    """A value that this output has no place for; nothing was written, and the next one may well fit."""


class Misfit(Unfit):
    """A value that has no place here, and no other of the same function will have: the run should end."""


class Refusal(msgspec.Struct, frozen=True):
    """A success that was taken, and then refused by what it was written to, which had kept so many rows before."""

    row: Row
    error: Unfit
    kept: int = 0


class Sink(Protocol):
    """An open output. `prepare` is called from any thread, `flush` from one other than `write`; the rest by one thread.

    Nothing can be read under the output's own name before `finish`, where the kind of output allows that.
    """

    name: str
    """How messages call it; passwords are masked."""
    broken: OSError | None
    """What ended it; nothing is written after that."""
    refusals: deque[Refusal]
    """What was taken and refused later, for whoever delivers to take out; a failure of its own input."""

    @property
    def waiting(self) -> bool:
        """Whether `flush` would write something."""
        ...

    def begin(self, shape: Shape) -> None:
        """Say what will come, before all else; Refused if this output has no place for it."""
        ...

    def prepare(self, value: object) -> Any:
        """Turn a value into what `write` takes; TypeError or ValueError if it cannot be written."""
        ...

    def write(self, row: Row, prepared: Any) -> None:
        """Take a success; Unfit if this value alone has no place here, OSError if nothing has any more."""
        ...

    @property
    def write_all(self) -> Callable[[Sequence[Row], Sequence[Any]], None] | None:
        """Do as `write` for many at once: Unfit, and none is taken, if one is; None where each goes alone."""
        ...

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take a failure, or a row that was rejected before any call."""
        ...

    def flush(self) -> None:
        """Write what has been taken, as far as the format can write part of it; OSError as from `write`."""
        ...

    def finish(self) -> str | None:
        """Write the rest and give the output its name; return another if that one is taken, or not all was written."""
        ...

    def discard(self) -> None:
        """Forget everything: nothing was called, so there is nothing to keep."""
        ...


class Writer(Protocol):
    """Makes the lines of a format; see `JsonlWriter`."""

    def head(self) -> bytes:
        """Return what stands before the first row."""
        ...

    def prepare(self, value: object) -> Any:
        """Turn a value into what `value` takes; TypeError or ValueError if it cannot be written."""
        ...

    def value(self, row: Row, prepared: Any) -> bytes:
        """Return the line of a success."""
        ...

    def values(self, rows: Sequence[Row], prepared: Sequence[Any]) -> bytes:
        """Return the lines of successes."""
        ...

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> bytes:
        """Return the line of a failure or of a rejected row."""
        ...


class LineSink:
    """A sink of lines, one an outcome, in the format of its writer."""

    def __init__(self, output: Output, make_writer: Callable[[Shape], Writer]) -> None:
        self.name: str = output.name
        self.refusals: deque[Refusal] = deque()
        self._output = output
        self._make_writer = make_writer
        self._writer: Writer = make_writer(Shape())
        self.write: Callable[[Row, Any], None] = output.writing(self._writer.value)
        self.write_all: Callable[[Sequence[Row], Sequence[Any]], None] | None = self._write_all
        self.prepare: Callable[[object], Any] = self._writer.prepare
        self.flush: Callable[[], None] = output.flush
        self.finish: Callable[[], str | None] = output.finish
        self.discard: Callable[[], None] = output.discard

    @property
    def broken(self) -> OSError | None:
        """What a write met; nothing is written after it."""
        return self._output.broken

    @property
    def waiting(self) -> bool:
        """Whether lines have been taken that are not written yet."""
        return self._output.waiting

    def begin(self, shape: Shape) -> None:
        """Choose the columns and write what stands before the first row."""
        self._writer = writer = self._make_writer(shape)
        if head := writer.head():
            self._output.write(head)
        self.write, self.prepare = self._output.writing(writer.value), writer.prepare  # no call of ours in between

    def _write_all(self, rows: Sequence[Row], prepared: Sequence[Any]) -> None:
        """Take the lines of successes."""
        values, write = self._writer.values, self._output.write
        for at in range(0, len(rows), TOGETHER):
            write(values(rows[at : at + TOGETHER], prepared[at : at + TOGETHER]))

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> None:
        """Take the line of a failure."""
        self._output.write(self._writer.failure(row, error, attempts))

    def __repr__(self) -> str:
        return f"<LineSink {self.name}, {self._output!r}>"
