"""How do the outcomes of a run get into an output by its name, from Python?

As on the command line: an output has its name when it is whole, replaces nothing unasked, and what it refuses is a
failure of its own input.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import msgspec

from ..core.described import described
from ..core.outcome import Record, short
from ..core.secrets import without_secrets
from ..core.summary import Summary
from ..errors import RunCancelled, Stopped
from .attendant import Attendant
from .jsonl import json_text
from .named import NamedRows
from .names import OF_JOURNAL, another, clash, files_of
from .open import UnknownKind, is_local, local_path, open_output, output_format, standard_error
from .output import leftovers, sweep
from .refusal import Refused
from .rows import Rejected, Row
from .sink import Misfit, Shape, Sink, Unfit

ALL_REFUSED = 50  # values that an output refuses, and takes none: it will take no other
MOST_TEXT = 10_000  # characters of an error that are kept
MOST_UNFIT = 100_000_000  # of one that holds a whole value, which is nowhere else


class Wish(msgspec.Struct, frozen=True):
    """What `run.write` was asked for."""

    name: str
    failed: str | None
    overwrite: bool
    values: bool
    inputs: Any
    """Those of the run."""
    journal: str | None
    """The path of the run's journal."""
    trace: str | None
    """The file to which the run records."""
    goes_on: bool
    """Whether the run goes on whatever fails."""


class Delivery:
    """The outputs of one run; one thread at a time."""

    def __init__(self, wish: Wish, *, on_broken: Callable[[], None]) -> None:
        self._wish = wish
        self._refused = self._given = 0
        self._notes: list[str] = []
        self._last: Row | None = None
        self.hand: Iterable[Record] = ()
        """What is to be taken next."""
        self._guard = threading.Lock()  # a cancelled `awrite` finishes while its last batch may be on its way
        with ExitStack() as undo:
            _check(wish)
            shape = _shape(wish)
            self._out: Sink = self._open(wish.name, undo)
            self._failed: Sink = self._opened_for_failures(undo)
            try:
                self._out.begin(shape)
                if self._failed is not self._out:
                    self._failed.begin(Shape())
            except Refused as refused:
                raise ValueError(str(refused)) from None
            undo.pop_all()
        self._sinks = [self._out] if self._failed is self._out else [self._out, self._failed]
        self._attendant = Attendant(self._sinks, on_broken=on_broken)

    def take(self) -> None:
        """Write what is in `hand`; OSError if the output takes nothing more, Stopped if it refuses everything."""
        with self._guard:
            records, self.hand = self.hand, ()
            self._take(records)

    def finish(self, ended_by: BaseException | None, rest: Sequence[Record] = ()) -> None:
        """Write the rest and give the outputs their names; or forget them, if the run ended before anything came."""
        self._attendant.stop()
        with self._guard:
            if ended_by is not None and self._out.broken is None:
                with suppress(OSError, Stopped):  # something is on its way out already
                    self._take((*self.hand, *rest))
            self._finish(ended_by)

    def counted(self, now: Summary) -> Summary:
        """Return the summary with what the output refused as the failures they are."""
        notes = (*now.notes, *self._notes)
        if not self._refused:
            return now._replace(notes=notes)
        failures = {**now.failures, "refused by the output": self._refused}
        return now._replace(
            ok=now.ok - self._refused, failed=now.failed + self._refused, failures=failures, notes=notes
        )

    # -- private, in order of use -----------------------------------------------------------------------------

    def _take(self, records: Iterable[Record]) -> None:
        write, prepare, values = self._out.write, self._out.prepare, self._wish.values
        for index, item, value, error, _, _, attempts in records:
            self._given += 1
            if self._given == 1:
                self._sweep()
            if type(item) is Rejected:
                self._failed.failure(item, without_secrets(item.reason), 0)
                continue
            row = Row(index + 1, item, b"" if values and error is None else _text(item))
            if error is None:
                try:
                    write(row, prepare(value))
                except (Unfit, TypeError, ValueError) as unfit:
                    self._refuse(row, unfit, attempts)
            else:
                self._failed.failure(row, described(error, MOST_TEXT), attempts)
        self._collect()

    def _finish(self, ended_by: BaseException | None) -> None:
        if ended_by is not None and not self._given:
            for sink in self._sinks:
                sink.discard()
            return
        try:
            with suppress(OSError):  # it is `broken`, and said below
                self._out.flush()
            self._collect()
        finally:
            self._name_them(ended_by)

    def _open(self, name: str, undo: ExitStack) -> Sink:
        wish = self._wish
        run = None if wish.journal is None else os.path.basename(wish.journal)
        try:
            sink = open_output(name, overwrite=wish.overwrite, run=run)
        except FileExistsError:
            size = f"it has {os.path.getsize(name):,} bytes and is" if os.path.exists(name) else "it is"
            raise FileExistsError(
                f"{name} exists; {size} not replaced\n  try: run.write({wish.name!r}, …, overwrite=True)"
            ) from None
        except UnknownKind as unknown:
            raise ValueError(f"{unknown}\n  try: run.write({unknown.better!r})") from None
        except Refused as refused:
            raise ValueError(str(refused)) from None
        undo.callback(sink.discard)
        if wish.journal is None and name != "-" and is_local(name):
            self._notes += [
                f"{os.path.relpath(part)} is what an earlier run left of {name}; it stays until you remove it"
                for part in leftovers(local_path(name))[:3]
            ]
        return sink

    def _opened_for_failures(self, undo: ExitStack) -> Sink:
        wish = self._wish
        if wish.failed is None:
            return standard_error() if wish.values else self._out
        return self._out if wish.failed == wish.name == "-" else self._open(wish.failed, undo)

    def _sweep(self) -> None:
        """Remove what killed runs of the same journal left: its lock is ours now, and all is written again."""
        wish = self._wish
        for name in (wish.name, wish.failed):
            if wish.journal is not None and name is not None and name != "-" and is_local(name):
                sweep(local_path(name), os.path.basename(wish.journal))

    def _refuse(self, row: Row, error: Exception, attempts: int) -> None:
        text = described(error, MOST_UNFIT, hide=False)  # the value in it is nowhere else
        self._failed.failure(_whole(row), text, attempts)
        self._refused += 1
        if isinstance(error, Misfit):
            raise Stopped(f"none of the values of this function fits into {self._out.name}: {short(error, 200)}")
        if self._refused == self._given == ALL_REFUSED and not self._wish.goes_on:
            raise Stopped(
                f"the first {ALL_REFUSED} values were all refused by {self._out.name}: {short(error, 200)}\n"
                '  stop_after="100%" would go on'
            )

    def _collect(self) -> None:
        """Deliver what was refused since it was taken."""
        refusals = self._out.refusals
        while refusals:
            it = refusals.popleft()
            if it.row is self._last:  # many values of one input are one failure
                self._failed.failure(_whole(it.row), str(it.error), 1)
            else:
                self._last = it.row
                self._refuse(it.row, it.error, 1)

    def _name_them(self, ended_by: BaseException | None) -> None:
        """Give the outputs their names; raise what went wrong with one, unless something else is on its way out."""
        problem: OSError | None = None
        for sink in self._sinks:
            try:
                kept = sink.finish()
            except OSError as error:
                problem = problem or OSError(f"{sink.name} cannot be finished: {error.strerror or error}")
                continue
            if kept is None:
                continue
            if sink.broken is not None:
                why = f"{sink.name} cannot be written: {sink.broken.strerror or sink.broken}"
                problem = problem or type(sink.broken)(f"{why}\n  what could be written is in {kept}")
            else:
                problem = problem or FileExistsError(
                    f"{sink.name} appeared meanwhile and was not replaced\n  results are in {kept}"
                )
        if problem is not None and (ended_by is None or isinstance(ended_by, (OSError, RunCancelled))):
            raise problem from None


def _check(wish: Wish) -> None:
    """Refuse names that cannot be meant, before anything is opened."""
    try:
        output_format(wish.name)
        if wish.failed is not None and output_format(wish.failed) != "jsonl":
            raise ValueError(
                f"failed={wish.failed!r}: failures are written as JSON lines, a valid input of the next run\n"
                f"  try: failed={os.path.splitext(wish.failed)[0] + '.jsonl'!r}"
            )
    except UnknownKind as unknown:
        evidence = "\n  ".join(unknown.evidence)
        raise ValueError(f"{unknown.fact}\n  {evidence}\n  try: {unknown.better!r}") from None
    except Refused as refused:
        raise ValueError(str(refused)) from None
    named: dict[str, list[str]] = {"the output": files_of(wish.name)}
    if wish.failed is not None:
        named["failed="] = files_of(wish.failed)
    if wish.journal is not None:
        named["the journal"] = [wish.journal + ending for ending in OF_JOURNAL]
    if wish.trace is not None:
        named["the trace"] = [wish.trace]
    if isinstance(wish.inputs, NamedRows):
        named["the input"] = files_of(wish.inputs.name)
    if (both := clash(named)) is not None:
        raise ValueError(
            f"{both[0]} and {both[1]} are the same file: {wish.name}; one would replace the other\n"
            f"  try: run.write({another(local_path(wish.name))!r})"
        )


def _shape(wish: Wish) -> Shape:
    columns = wish.inputs.columns() if isinstance(wish.inputs, NamedRows) else None
    return Shape(columns, wish.values, wish.failed is None and not wish.values)


def _whole(row: Row) -> Row:
    return row if row.raw else Row(row.line, row.value, _text(row.value))


def _text(item: Any) -> bytes:
    """Return an input as JSON; one that JSON has no word for as its repr, because its outcome was paid for."""
    try:
        return json_text(item)
    except (TypeError, ValueError):
        return json_text(short(item, 1000))
