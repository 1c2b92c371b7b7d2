"""How do outcomes get to the outputs, and how is the end of a run said?"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from .. import errors
from ..core.secrets import without_secrets
from ..core.summary import efforts, kinds_of
from ..io.rows import Rejected, Row
from ..io.sink import Sink, Unfit
from ..run import records_of
from .feed import Feed
from .keep import remedy_of
from .messages import BROKEN_PIPE, DISK, FAILED, OK, STOPPED, described, place, short
from .signals import Signals

if TYPE_CHECKING:
    from ..core.summary import Summary
    from ..run import Run

MOST_TEXT = 10_000  # characters of an error that are kept
MOST_UNFIT = 100_000_000  # of one that holds a whole value, which is nowhere else
_POLICY = (errors.Stopped, errors.DeadlineExceeded, errors.TooManyAbandoned)


class Tally(msgspec.Struct):
    """What has been written; the first failure stands for all in the final message."""

    ok: int = 0
    failed: int = 0
    rejected: int = 0
    first: str = ""

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


def deliver(run: Run[Row | Rejected, Any], sinks: Sinks, feed: Feed, tally: Tally, *, prepared: bool) -> None:
    """Write every outcome as it comes, its value `prepared` for the output or not; what ends the run is raised."""
    write, delivered = sinks.out.write if prepared else _preparing(sinks.out), feed.delivered
    write_all = sinks.out.write_all if prepared else None
    with run:
        for taken in records_of(run):
            records = [*taken]
            if write_all is not None and not [1 for record in records if record[3] is not None]:
                rows = [record[1] for record in records]
                write_all(rows, [record[2] for record in records])
                tally.ok += len(rows)
                feed.all_delivered(rows)
                del records, rows  # while the next ones are waited for
                continue
            for _, row, value, error, _, _, attempts in records:
                if error is None:
                    try:
                        write(row, value)
                        tally.ok += 1
                    except Unfit as unfit:
                        error = unfit
                if error is not None:
                    _deliver_failure(row, error, attempts, sinks, feed.source_name, tally)
                delivered(row)


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
        where, text = "", row.reason
    else:
        tally.failed += 1
        where = place(error)
        # The message of an Unfit has the value in it, which is nowhere else; those of clients often have whole URLs.
        is_whole = isinstance(error, Unfit)
        text = described(error, MOST_UNFIT) if is_whole else without_secrets(described(error, MOST_TEXT))
    sinks.failed.failure(row, text, attempts)
    if not tally.first:
        where = f"{where}; " if where else ""
        tally.first = f"{short(text, 160)} ({where}row {row.line} of {source_name})"


class Verdict(msgspec.Struct, frozen=True):
    """How a run ended: the exit code, and what to say of it."""

    code: int
    text: str


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
        text = f"error: the run ended with {short(without_secrets(described(ended_by)), 200)}"
        where = place(ended_by)
        return Verdict(
            FAILED, "\n  ".join([text, *([where] if where else []), counts, *evidence, *_rest(feed, journal)])
        )
    code = FAILED if tally.failed or tally.rejected else OK
    if tally.failed and now.rejected and not now.retried:
        evidence.append('a call that is told "slower" is made again with --retry 5')
    return Verdict(code, "\n  ".join([f"done: {counts}", *evidence]))


def _counts(tally: Tally, now: Summary) -> str:
    parts = [f"{tally.ok:,} ok"]
    if tally.failed:
        kinds = {kind: count for kind, count in now.failures.items() if kind != "RowRejected" or not tally.rejected}
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
    lines += now.notes[:5]
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
    return [f"nothing after line {feed.last_line:,} of {feed.source_name} was written"] if feed.last_line else []
