"""How does a command run over rows? Source and work are the command's own; all that comes after is the same for all."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

import click
import msgspec

from ..errors import JournalError
from ..io.rows import Rejected, Row
from . import collector
from .deliver import Sinks, Tally, deliver, judge
from .feed import Feed
from .inputs import Source, peek
from .keep import Keeper, check_journal_key, check_keeping
from .messages import DISK, FAILED, OK, say
from .options import POLICIES, RunOptions
from .outputs import begin_outputs, check_not_input, check_outputs, finish_outputs, open_outputs
from .pace import check_limit_by, in_flags
from .progress import Attendant
from .signals import Interrupted, Signals


class Work(msgspec.Struct, frozen=True):
    """What a command does with each row."""

    name: str
    """What messages call it."""
    worker: Callable[[Callable[[object], Any]], Any]
    """Given what prepares a value for the output, return the function (or flow) of a row; its value is prepared.

    A `Rejected` row must raise `RowRejected`.
    """
    shown: Callable[[Row], str]
    """Write the call, for `--dry-run`."""
    misfit: Callable[[Any], str | None] | None = None
    """Say why a row's value is no input; None: it is."""
    subject: Any = None
    """What a journal knows the work again by: the user's function."""
    after: Callable[[Row | Rejected], Row | None] | None = None
    """Return the row that follows from an outcome, if one does, once that has been delivered."""
    through: Callable[[Sinks], Sinks] | None = None
    """What values go through before they are written, if they are more than what is written."""


class Job(msgspec.Struct, frozen=True):
    """A source of rows, and what to do with them once the first has been seen."""

    source: Source
    work: Callable[[Row | Rejected | None], Work]
    total: int | None = None
    """How many rows there are, if that is known."""


def run_job(options: RunOptions, prepare: Callable[[], Job], command: str) -> int:
    """Run what `prepare` returns and return the exit code; Problem if it cannot even begin.

    `command` is what a message proposes to look up: `whilst map`.
    """
    with Signals() as signals, ExitStack() as undo:
        try:
            return _run(options, prepare, command, signals, undo)
        except Interrupted as signal:
            say("interrupted: nothing was called")
            return 128 + signal.number


def choose_loop() -> None:
    """Run on uvloop where it is installed: the command line's processes are its own."""
    if find_spec("uvloop") is not None:
        os.environ.setdefault("WHILST_LOOP", "uvloop")


def _run(options: RunOptions, prepare: Callable[[], Job], command: str, signals: Signals, undo: ExitStack) -> int:
    job = prepare()
    source = job.source
    check_outputs(options)
    check_not_input(options, source.name)
    check_keeping(options)
    with signals.held():
        sinks = open_outputs(options, undo) if options.dry_run is None else None
    if source.name == "standard input" and sys.stdin is not None and sys.stdin.isatty() and not options.quiet:
        say("reading inputs from the terminal, one a line; Ctrl-D ends them")
    rows = source.rows() if options.take is None else itertools.islice(source.rows(), options.take)
    first, rows = signals.wait(lambda: peek(rows, source))
    work = job.work(first)
    check_limit_by(options, first, source.name)
    check_journal_key(options, first, source.name)
    if sinks is None:
        return _show_calls(work, rows, options.dry_run or 0)
    columns = list(first.value) if source.is_table and isinstance(first, Row) else None
    if work.through is not None:
        sinks = work.through(sinks)
    begin_outputs(sinks, options, columns)
    feed = Feed(rows, work.misfit, source.name, after=work.after)
    keeper = Keeper(options, work.subject)
    run = _make_run(options, job, work, sinks, feed, command, keeper)
    signals.attach(run, [keeper.rescue, *(it.finish for it in sinks.each())])
    undo.pop_all()  # from here on what was written is kept
    return _drive(run, source, sinks, feed, signals, options, keeper)


def _make_run(options: RunOptions, job: Job, work: Work, sinks: Sinks, feed: Feed, command: str, keeper: Keeper) -> Any:
    choose_loop()
    from .. import map as whilst_map

    # A journal keeps what the function returned, for any output; without one it is prepared where it was made.
    fn = work.worker(sinks.out.prepare if keeper.journal is None else _as_it_is)
    try:
        return whilst_map(
            fn,
            feed,
            total=job.total if options.take is None or job.total is None else min(job.total, options.take),
            progress=False,
            name=work.name,
            journal=keeper.journal,
            **options.policies(),
        )
    except (TypeError, ValueError) as error:
        raise in_flags(error, POLICIES, command) from None


def _as_it_is(value: object) -> object:
    return value


def _drive(
    run: Any, source: Source, sinks: Sinks, feed: Feed, signals: Signals, options: RunOptions, keeper: Keeper
) -> int:
    """Let the run go on to whatever end, write the rest, and say how it ended."""
    tally = Tally()
    ended_by: BaseException | None = None
    show = False if options.quiet else options.progress
    attendant = Attendant(run.summary, sinks.each(), source.source, show=show, on_broken=run.cancel)
    collector.take_up()
    try:
        deliver(run, sinks, feed, tally, prepared=keeper.journal is None)
    except BaseException as error:  # also SystemExit and KeyboardInterrupt out of a call: results are saved first
        ended_by = error
    now = run.summary()
    feed.close()
    attendant.stop()
    if isinstance(ended_by, JournalError) and not tally.finished:
        for it in sinks.each():  # nothing was called: what stood there before stays
            it.discard()
    problem = finish_outputs(sinks)
    broken = next((it.broken for it in sinks.each() if it.broken is not None), None)
    verdict = judge(broken or ended_by, signals, tally, now, feed, sinks, keeper.path)
    if verdict.text and (verdict.code != OK or not options.quiet):
        say(verdict.text)
    if problem:
        say(problem)
    return DISK if problem and verdict.code in (OK, FAILED) else verdict.code


def _show_calls(work: Work, rows: Iterator[Row | Rejected], count: int) -> int:
    code, shown = OK, 0
    for row in itertools.islice(rows, count):
        shown += 1
        misfit = work.misfit
        reason = row.reason if isinstance(row, Rejected) else misfit(row.value) if misfit is not None else None
        if isinstance(row, Row) and reason is None:
            click.echo(f"{work.shown(row)}  # line {row.line}")
        else:
            code = FAILED
            click.echo(f"# line {row.line} is rejected: {reason}")
    say(f"dry run: the first {shown:,} of the calls are shown, none was made")
    return code
