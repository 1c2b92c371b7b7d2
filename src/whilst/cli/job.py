"""How does a command run over rows? Source and work are the command's own; all that comes after is the same for all."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.failures import StopAfter
from ..errors import JournalError
from ..io.attendant import Attendant
from ..io.rows import Rejected, Row
from . import collector
from .batch import Batches, check_batch
from .beside import Beside, beside_of, check_fields
from .deliver import Sinks, Tally, as_written, deliver, judge
from .eyes import watched
from .feed import Feed, Holder
from .inputs import Source, peek
from .jobsummary import JobSummary
from .keep import Keeper, check_journal_key, check_keeping
from .log import logged
from .messages import DISK, FAILED, OK, Problem, say
from .options import POLICIES, RunOptions
from .outputs import begin_outputs, check_not_input, check_outputs, check_summary_apart, finish_outputs, open_outputs
from .pace import check_limit_by, in_flags, unmatched
from .signals import Interrupted, Signals
from .streams import plain_name, streams
from .watching import Watched, show_progress
from .whither import say_where_the_time_went

if TYPE_CHECKING:
    from ..sinks.progress import Progress
    from .items import Items

STANDARD_INPUT = "standard input"

Place = Any
"""Where calls are made: a word, or a cluster; None where nobody says."""


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
    executor: Place = None
    """Where calls are made; where that is another process, values come back as they are, and are prepared here."""
    subject: Any = None
    """What a journal knows the work again by: the user's function."""
    after: Callable[[Row | Rejected], Row | None] | None = None
    """Return the row that follows from an outcome, if one does, once that has been delivered."""
    holder: Holder | None = None
    """What is told of rows that were written, while it holds something for one."""
    items: Items | None = None
    """Counts the items of values that hold many."""
    through: Callable[[Sinks], Sinks] | None = None
    """What values go through before they are written, if they are more than what is written."""
    as_text: bool = False
    """Whether values are JSON that stays text, from a journal too."""
    lacks: str = ""
    """What is not installed and would make it faster, in words."""


class Job(msgspec.Struct, frozen=True):
    """A source of rows, and what to do with them once the first has been seen."""

    source: Source
    work: Callable[[Row | Rejected | None], Work]
    total: int | None = None
    """How many rows there are, if that is known."""
    batch: int | None = None
    """How many rows one call gets, if it gets a list of them."""


def run_job(options: RunOptions, prepare: Callable[[], Job], command: str) -> int:
    """Run what `prepare` returns and return the exit code; Problem if it cannot even begin.

    `command` is what a message proposes to look up: `whilst map`.
    """
    check_summary_apart(options)
    summary = JobSummary(options)
    with Signals() as signals, ExitStack() as undo:
        try:
            return summary.write(_run(options, prepare, command, signals, undo, summary))
        except Interrupted as signal:
            say("interrupted: nothing was called")
            return summary.write(128 + signal.number, "interrupted: nothing was called")
        except Problem as problem:
            summary.write(problem.code, str(problem))
            raise


def choose_loop() -> None:
    """Run on uvloop where it is installed: the command line's processes are its own."""
    if find_spec("uvloop") is not None:
        os.environ.setdefault("WHILST_LOOP", "uvloop")


def give_streams(options: RunOptions) -> None:
    """Settle which standard streams are ours, before any code of the user is imported."""
    if options.dry_run is not None:
        streams.output("the command again, with > FILE")
    elif plain_name(options.out) == "-":
        streams.output()
    else:
        streams.give()


def _run(
    options: RunOptions,
    prepare: Callable[[], Job],
    command: str,
    signals: Signals,
    undo: ExitStack,
    summary: JobSummary,
) -> int:
    beside = beside_of(options, check_outputs(options))
    give_streams(options)
    job = prepare()
    source = job.source
    check_not_input(options, source)
    check_keeping(options)
    if job.batch is not None:
        check_batch(options)
    with signals.held():
        sinks = open_outputs(options, undo, signals.check) if options.dry_run is None else None
    if source.name == STANDARD_INPUT and os.isatty(streams.input()) and not options.quiet:
        say("reading inputs from the terminal, one a line; Ctrl-D ends them")
    rows = source.rows() if options.take is None else itertools.islice(source.rows(), options.take)
    first, rows = signals.wait(lambda: peek(rows, source))
    for note in [] if options.quiet else getattr(source, "notes", []):
        say(f"note: {note}")
    work = job.work(first)
    check_limit_by(options, first, source.name)
    check_journal_key(options, first, source.name)
    check_fields(options, first, source.name)
    if sinks is None:
        return _show_calls(work, rows, options.dry_run or 0, job.batch)
    columns = list(first.value) if source.is_table and isinstance(first, Row) else None
    if work.through is not None:
        sinks = work.through(sinks)
    if beside is not None:
        columns = beside.columns(columns)
    begin_outputs(sinks, options, columns)
    feed = Feed(rows, work.misfit, source.name, after=work.after, holder=work.holder, ordered=options.ordered)
    keeper = Keeper(options, work.subject, as_text=work.as_text)
    run = _make_run(options, job, work, sinks, feed, command, keeper)
    tally = Tally()

    def rescue_summary() -> None:
        summary.tell(as_written(run.summary(), tally), tally, "interrupted: not all could be waited for")
        summary.write(128 + (signals.first or 0))

    signals.attach(run, [keeper.rescue, *(it.finish for it in sinks.each()), rescue_summary])
    undo.pop_all()  # from here on what was written is kept
    with watched(options), logged(options):
        return _drive(run, job, work, sinks, feed, signals, options, keeper, beside, tally, summary)


def _make_run(options: RunOptions, job: Job, work: Work, sinks: Sinks, feed: Feed, command: str, keeper: Keeper) -> Any:
    choose_loop()
    from .. import map as whilst_map

    # A journal keeps what the function returned, for any output; without one it is prepared where it was made.
    fn = work.worker(sinks.out.prepare if _is_prepared_there(work, keeper) else as_it_is)
    place: dict[str, Any] = {} if work.executor is None else {"executor": work.executor}
    try:
        run: Any = whilst_map(
            fn,
            feed if job.batch is None else Batches(feed, job.batch),
            total=job.total if options.take is None or job.total is None else min(job.total, options.take),
            progress=False,
            name=work.name,
            journal=keeper.journal,
            **place,
            **options.policies(),
        )
        run._plan = run._plan._replace(in_flags=True)
        return run
    except (TypeError, ValueError) as error:
        raise in_flags(error, POLICIES, command) from None


def is_elsewhere(place: Place) -> bool:
    """Whether calls are made in other processes."""
    return place == "process" or not (place is None or isinstance(place, str))


def _is_prepared_there(work: Work, keeper: Keeper) -> bool:
    """Whether values are prepared for the output where they are made."""
    return keeper.journal is None and not is_elsewhere(work.executor)


def as_it_is(value: object) -> object:
    """Prepare nothing."""
    return value


def _drive(
    run: Any,
    job: Job,
    work: Work,
    sinks: Sinks,
    feed: Feed,
    signals: Signals,
    options: RunOptions,
    keeper: Keeper,
    beside: Beside | None,
    tally: Tally,
    summary: JobSummary,
) -> int:
    """Let the run go on to whatever end, write the rest, and say how it ended."""
    ended_by: BaseException | None = None
    attendant: Attendant | None = None
    progress: Progress | None = None
    collector.take_up()
    try:
        attendant = Attendant(sinks.each(), on_broken=run.cancel)
        progress = _progress(run, job, feed, options, tally)
        deliver(
            run,
            sinks,
            feed,
            tally,
            prepared=_is_prepared_there(work, keeper),
            stop_after=StopAfter.parse(options.stop_after),
            total=job.total,
            beside=beside,
            batches=job.batch is not None,
        )
    except BaseException as error:  # also SystemExit and KeyboardInterrupt out of a call: results are saved first
        ended_by = error
    now = run.summary()
    feed.close()
    if attendant is not None:
        attendant.stop()
    if progress is not None:
        progress.stop()
    if isinstance(ended_by, (JournalError, MemoryError, RuntimeError)) and not tally.finished:
        for it in sinks.each():  # nothing was called: what stood there before stays
            it.discard()
    problem = finish_outputs(sinks)
    broken = next((it.broken for it in sinks.each() if it.broken is not None), None)
    tally.items = work.items.count if work.items is not None else getattr(sinks.out, "items", None)
    verdict = judge(broken or ended_by, signals, tally, now, feed, sinks, keeper.path)
    if verdict.code == FAILED and (hint := unmatched(options.retry_on, now)):
        verdict = msgspec.structs.replace(verdict, text=f"{verdict.text}\n  {hint}")
    summary.tell(as_written(now, tally), tally, verdict.text, broke=verdict.broke)
    if verdict.text and (verdict.code != OK or not options.quiet):
        say(verdict.text)
    say_where_the_time_went(now, options, work.lacks)
    if options.trace is not None and not options.quiet:
        say(f"see it: whilst report {shlex.quote(options.trace)}")
    if problem:
        say(problem)
    return DISK if problem and verdict.code in (OK, FAILED) else verdict.code


def _progress(run: Any, job: Job, feed: Feed, options: RunOptions, tally: Tally) -> Progress | None:
    source = job.source
    extent = Watched(feed, source.source, take=options.take, path=source.name, format=source.format)

    def in_rows() -> Any:
        return run.summary()._replace(ok=tally.ok, failed=tally.failed + tally.rejected)

    wanted = False if options.quiet else options.progress
    return show_progress(run.summary if job.batch is None else in_rows, wanted=wanted, extent=extent)


def _show_calls(work: Work, rows: Iterator[Row | Rejected], count: int, batch: int | None) -> int:
    code, shown = OK, 0
    waiting: list[Row] = []
    for row in itertools.islice(rows, count):
        shown += 1
        misfit = work.misfit
        reason = row.reason if isinstance(row, Rejected) else misfit(row.value) if misfit is not None else None
        if not isinstance(row, Row) or reason is not None:
            code = FAILED
            streams.show(f"# line {row.line} is rejected: {reason}")
        elif batch is None:
            streams.show(f"{work.shown(row)}  # line {row.line}")
        else:
            waiting.append(row)
            waiting = waiting if len(waiting) < batch else _show_batch(work, waiting)
    if waiting:
        _show_batch(work, waiting)
    what = "calls are shown, none was made" if batch is None else "rows are shown, and no call was made"
    say(f"dry run: the first {shown:,} of the {what}")
    return code


def _show_batch(work: Work, rows: list[Row]) -> list[Row]:
    whole = Row(rows[0].line, [row.value for row in rows], b"")
    streams.show(f"{work.shown(whole)}  # lines {rows[0].line} to {rows[-1].line}")
    return []
