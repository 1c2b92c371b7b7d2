"""How do outcomes get to the outputs, and how is the end of a run said?"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from .. import errors
from ..core.described import described
from ..core.failures import StopAfter, kind_of
from ..core.flags import in_flags
from ..core.secrets import without_secrets
from ..core.summary import efforts, kinds_of
from ..io.rows import Rejected, Row
from ..io.sink import Misfit, Sink, Unfit
from ..run import clock_of_records, records_of
from .batch import unbatched
from .beside import Beside
from .exits import row_of
from .feed import Feed
from .keep import remedy_of
from .messages import BROKEN_PIPE, DISK, FAILED, OK, STOPPED, place, short
from .signals import Signals

if TYPE_CHECKING:
    from ..core.summary import Summary
    from ..run import Run

MOST_TEXT = 10_000  # characters of an error that are kept
MOST_UNFIT = 100_000_000  # of one that holds a whole value, which is nowhere else
MOST_MISSING = 10  # lines that are named
ALL_REFUSED = 50  # values that an output refuses, and takes none: it will take no other
_POLICY = (errors.Stopped, errors.DeadlineExceeded, errors.TooManyAbandoned)


class Tally(msgspec.Struct):
    """What has been written; the first failure stands for all in the final message."""

    ok: int = 0
    failed: int = 0
    rejected: int = 0
    refused: int = 0
    """How many of the failed an output refused."""
    first: str = ""
    items: int | None = None
    """How many items there were in the values, where a value may hold many."""
    kinds: Counter[str] = msgspec.field(default_factory=lambda: Counter())
    """How many failures of each kind, where the run counts batches of rows."""
    recalled: int = 0
    """How many came from the journal, likewise."""

    @property
    def finished(self) -> int:
        """How many outcomes there were."""
        return self.ok + self.failed + self.rejected


class Sinks(msgspec.Struct, frozen=True):
    """Where successes and failures go, and in which form; both may be the same output."""

    out: Sink
    failed: Sink

    def each(self) -> list[Sink]:
        """Return every output once."""
        return [self.out] if self.failed is self.out else [self.out, self.failed]


def deliver(
    run: Run[Row | Rejected, Any],
    sinks: Sinks,
    feed: Feed,
    tally: Tally,
    *,
    prepared: bool,
    stop_after: StopAfter | None = None,
    total: int | None = None,
    beside: Beside | None = None,
    batches: bool = False,
) -> None:
    """Write every outcome as it comes, its value `prepared` for the output or not; what ends the run is raised.

    What an output refuses is a failure of its input, and counts for `stop_after` (of `total`) as any other.
    """
    write, delivered = sinks.out.write if prepared else _preparing(sinks.out), feed.delivered
    write_all = sinks.out.write_all if prepared and beside is None else None
    refused = Refused(sinks, feed.source_name, tally, stop_after, total)
    try:
        with run:
            for taken in records_of(run):
                if beside is not None:
                    beside.timed_by(clock_of_records(run))
                records = [*(unbatched(taken) if batches else taken)]
                if write_all is not None and not [1 for record in records if record[3] is not None]:
                    rows = [record[1] for record in records]
                    with suppress(Unfit):  # none was taken, and one by one those that fit are
                        write_all(rows, [record[2] for record in records])
                        tally.ok += len(rows)
                        feed.all_delivered(rows)
                        records = []
                    del rows  # while the next ones are waited for
                for _, row, value, error, started, took, attempts in records:
                    if batches:
                        tally.recalled += started != started
                        if error is not None:
                            tally.kinds[kind_of(error)] += 1
                    shown = row if beside is None else beside.row(row, ok=error is None, started=started, took=took)
                    if error is None:
                        try:
                            write(shown, value)
                            tally.ok += 1
                        except Unfit as unfit:
                            if beside is not None:
                                shown = beside.row(row, ok=False, started=started, took=took)
                            refused.add(shown, unfit, attempts)
                    else:
                        _deliver_failure(shown, error, attempts, sinks, feed.source_name, tally)
                    delivered(row)
                if refused.collect():
                    run.drain()  # what is in flight was paid for, and is written or kept as failed
    finally:
        refused.finish()
    if refused.too_many is not None:
        raise refused.too_many


class Refused:
    """What outputs refuse of what was written to them: failures that the run does not know of."""

    def __init__(
        self, sinks: Sinks, source_name: str, tally: Tally, stop_after: StopAfter | None, total: int | None
    ) -> None:
        self.too_many: errors.Stopped | None = None
        """What ends the run."""
        self._sinks = sinks
        self._source_name = source_name
        self._tally = tally
        self._stop_after = stop_after
        self._total = total
        self._last: Row | None = None

    def add(self, row: Row, unfit: Unfit, attempts: int) -> None:
        """Deliver one as a failure."""
        _deliver_failure(row, unfit, attempts, self._sinks, self._source_name, self._tally)
        self._tally.refused += 1
        failed, name = self._tally.failed + self._tally.rejected, self._sinks.out.name
        if isinstance(unfit, Misfit):
            self.too_many = self.too_many or errors.Stopped(f"none of the values of this function fits into {name}")
        elif self._stop_after is not None and self._stop_after.reached(failed, self._tally.finished, self._total):
            text = f"{failed:,} of the first {self._tally.finished:,} rows failed, the last refused by {name}"
            self.too_many = self.too_many or errors.Stopped(f"{text} (--stop-after {self._stop_after})")

    def collect(self) -> bool:
        """Deliver what was refused since it was taken; whether the run should end."""
        refusals = self._sinks.out.refusals
        while refusals:
            it = refusals.popleft()
            if it.row is not self._last:  # many values of one input are one failure
                self._tally.ok -= 1
                self.add(it.row, it.error, 1)
            else:
                self._sinks.failed.failure(it.row, str(it.error), 1)
            self._last = it.row
            if not it.kept and self._tally.refused >= ALL_REFUSED and self._stop_after is None:
                text = f"the first {self._tally.refused:,} values were all refused by {self._sinks.out.name}"
                self.too_many = self.too_many or errors.Stopped(f"{text} (--stop-after 100% would go on)")
        return self.too_many is not None

    def finish(self) -> None:
        """Write what is left, so that nothing is refused later than that."""
        with suppress(OSError):  # it is `broken`, and said at the end
            self._sinks.out.flush()
        self.collect()


def _preparing(sink: Sink) -> Callable[[Row, Any], None]:
    def write(row: Row, value: Any) -> None:
        try:
            made = sink.prepare(value)
        except (TypeError, ValueError) as error:
            raise Unfit(str(error)) from error
        sink.write(row, made)

    return write


def _deliver_failure(
    row: Row | Rejected, error: BaseException, attempts: int, sinks: Sinks, source_name: str, tally: Tally
) -> None:
    if isinstance(row, Rejected):
        tally.rejected += 1
        where, text = "", without_secrets(row.reason)
    else:
        tally.failed += 1
        where = place(error)
        # The message of an Unfit has the value in it, which is nowhere else; those of clients often have whole URLs.
        is_whole = isinstance(error, Unfit)
        text = described(error, MOST_UNFIT, hide=False) if is_whole else described(error, MOST_TEXT)
    sinks.failed.failure(row, text, attempts)
    if not tally.first:
        where = f"{where}; " if where else ""
        tally.first = f"{short(text, 160)} ({where}row {row.line} of {source_name})"


class Verdict(msgspec.Struct, frozen=True):
    """How a run ended: the exit code, and what to say of it."""

    code: int
    text: str
    broke: bool = False
    """Whether what it calls, or cannot write, ended it."""


def judge(
    ended_by: BaseException | None,
    signals: Signals,
    tally: Tally,
    now: Summary,
    feed: Feed,
    sinks: Sinks,
    journal: str | None = None,
) -> Verdict:
    """Turn the end of a run into its message and exit code; a signal counts before what it caused."""
    now = as_written(now, tally)
    if isinstance(ended_by, BrokenPipeError) and sinks.out.broken is ended_by:
        return Verdict(BROKEN_PIPE, "")
    counts = _counts(tally, now)
    if isinstance(ended_by, OSError) and ended_by in [it.broken for it in sinks.each()]:
        name = next(it.name for it in sinks.each() if it.broken is ended_by)
        return Verdict(DISK, f"error: {name} cannot be written: {ended_by.strerror or ended_by}\n  {counts}")
    evidence = _evidence(tally, now)
    if signals.first is not None:
        flight = f"; {signals.in_flight:,} were in flight and may run again" if signals.in_flight else ""
        text = f"interrupted: {counts}{', saved' if journal is not None else ''}{flight}"
        return Verdict(128 + signals.first, "\n  ".join([text, *evidence, *_rest(feed, journal)]))
    if isinstance(ended_by, errors.JournalError):
        return Verdict(DISK, _about_journal(ended_by, counts if tally.finished else ""))
    if isinstance(ended_by, _POLICY):
        fact, *more = str(ended_by).split("\n")
        if isinstance(ended_by, errors.Stopped) and ended_by.remedy:
            again = " run it again" if journal is None else f": whilst resume {shlex.quote(journal)}"
            lines = [f"stopped: {fact}", more[0].strip(), counts, *evidence, f"{ended_by.remedy}, then{again}"]
            return Verdict(STOPPED, "\n  ".join(lines))
        return Verdict(STOPPED, "\n  ".join([f"stopped: {fact}", counts, *evidence, *_rest(feed, journal)]))
    if isinstance(ended_by, OSError):
        text = f"error: reading {feed.source_name} failed: {ended_by.strerror or ended_by}"
        return Verdict(DISK, "\n  ".join([text, counts, *evidence]))
    if ended_by is not None:
        text = f"error: the run ended with {short(described(ended_by), 200)}"
        where = "; ".join(filter(None, (row_of(ended_by), place(ended_by))))
        lines = [text, *([where] if where else []), counts, *evidence, *_rest(feed, journal)]
        return Verdict(FAILED, "\n  ".join(lines), broke=True)
    code = FAILED if tally.failed or tally.rejected else OK
    if tally.failed and now.rejected and not now.retried:
        evidence.append('a call that is told "slower" is made again with --retry 5')
    if "NotJSON" in now.failures:
        evidence.append("answers that are not JSON are taken with --as text, or --as bytes")
    return Verdict(code, "\n  ".join([f"done: {counts}", *evidence]))


def as_written(now: Summary, tally: Tally) -> Summary:
    """Have what is said of a run be about the outcomes that were written: rows, where calls got many at a time.

    Where not all were written, nobody has counted the kinds of those that were.
    """
    if tally.kinds or tally.recalled:
        return now._replace(failures=tally.kinds, recalled=tally.recalled)
    return now if now.ok + now.failed == tally.finished else now._replace(failures={}, recalled=0)


def _counts(tally: Tally, now: Summary) -> str:
    items = "" if tally.items is None else f" ({tally.items:,} {'item' if tally.items == 1 else 'items'})"
    parts = [f"{tally.ok:,} ok{items}"]
    if tally.failed:
        kinds = {kind: count for kind, count in now.failures.items() if kind != "RowRejected" or not tally.rejected}
        if tally.refused:
            kinds["refused by the output"] = tally.refused
        parts.append(f"{tally.failed:,} failed" + (f" ({kinds_of(kinds)})" if kinds else ""))
    if tally.rejected:
        parts.append(f"{tally.rejected:,} {'row' if tally.rejected == 1 else 'rows'} rejected")
    parts += efforts(now)
    rate = f" ({tally.finished / now.elapsed:,.0f}/s)" if now.elapsed > 0 else ""
    return f"{', '.join(parts)} in {now.elapsed:,.1f} s{rate}"


def _evidence(tally: Tally, now: Summary) -> list[str]:
    lines: list[str] = []
    if tally.first:
        lines.append(f"first: {tally.first}")
        if "not UTF-8: " in tally.first:
            lines.append("another encoding is read with --encoding latin-1, or whichever it is")
    lines += [in_flags(note) for note in now.notes[:5]]
    if now.abandoned:
        lines.append(f"left behind, still inside: {'; '.join(now.left_behind[:3])}")
    return lines


def _about_journal(error: errors.JournalError, counts: str) -> str:
    """Say what is wrong with a journal, with flags where Python has arguments."""
    if isinstance(error, errors.JournalChanged):
        lines = [
            error.fact,
            *error.evidence,
            "keep them: --accept-old   start afresh: --fresh   leave it: another --journal",
        ]
    else:
        remedy = remedy_of(error)
        lines = [error.fact, *error.evidence, *([f"try: {remedy}"] if remedy else [])]
    return "\n  ".join([f"error: {lines[0]}", *([counts] if counts else []), *lines[1:]])


def _rest(feed: Feed, journal: str | None) -> list[str]:
    if journal is not None:
        return [f"go on: whilst resume {shlex.quote(journal)}"]
    if not feed.last_line:
        return []
    said = f"nothing after line {feed.last_line:,} of {feed.source_name} was written"
    if missing := feed.missing():
        lines = ", ".join(f"{line:,}" for line in missing[:MOST_MISSING])
        more = f" and {len(missing) - MOST_MISSING:,} more" if len(missing) > MOST_MISSING else ""
        said += f", nor of line{'s' if len(missing) > 1 else ''} {lines}{more}"
    return [said]
