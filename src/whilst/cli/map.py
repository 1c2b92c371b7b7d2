"""`whilst map TARGET [INPUT]`: a function, many inputs, one line for each outcome."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal

import click

from ..io.open import Input, UnknownKind, Writer, make_writer, open_input, open_output, output_format
from ..io.output import Output
from ..io.rows import Rejected, Row
from .call import Call, Mode, choose_call, worker
from .deliver import Sinks, Tally, deliver, judge
from .feed import Feed
from .messages import DISK, FAILED, OK, Problem, say
from .progress import Attendant
from .signals import Interrupted, Signals
from .target import load_target

STDERR = 2
_MORE_THAN_0 = click.FloatRange(min=0, min_open=True)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of one `whilst map`, as click read it."""

    target: str
    input: str
    out: str
    format: Literal["text", "jsonl", "csv"] | None
    failed: str | None
    overwrite: bool
    values: bool
    call: Mode | None
    take: int | None
    dry_run: int | None
    concurrency: int | None
    timeout: float | None
    deadline: float | None
    stop_after: str | None
    ordered: bool
    progress: bool | None
    quiet: bool


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("target")
@click.argument("input", default="-")
@click.option("-o", "--out", default="-", metavar="OUT", help="Where outcomes go: - (JSON lines), .jsonl, .csv.")
@click.option("--format", type=click.Choice(["text", "jsonl", "csv"]), help="What INPUT holds, whatever its name.")
@click.option("--failed", metavar="FILE", help="Where failures go instead; a .jsonl that is a valid INPUT.")
@click.option("--overwrite", is_flag=True, help="Replace OUT and FILE if they exist.")
@click.option("--values", is_flag=True, help="Write values alone; failures go to stderr or --failed.")
@click.option("--call", type=click.Choice(["one", "names"]), help="Hand a row over whole, or by its names.")
@click.option("--take", type=click.IntRange(min=1), metavar="N", help="Stop after N rows of INPUT.")
@click.option("--dry-run", type=click.IntRange(min=1), metavar="N", help="Show the first N calls, make none.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), metavar="N", help="Calls in flight at once: 32.")
@click.option("--timeout", type=_MORE_THAN_0, metavar="S", help="Seconds for one call.")
@click.option("--deadline", type=_MORE_THAN_0, metavar="S", help="Seconds for the whole run.")
@click.option("--stop-after", metavar="N|P%", help="Give up after N failures, or P percent.")
@click.option("--ordered/--unordered", default=True, help="In the order of INPUT (the default), or as they finish.")
@click.option("--progress/--no-progress", default=None, help="Show progress on stderr: on a terminal yes.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
def command(**given: Any) -> int:
    """Call TARGET on every row of INPUT, many at a time.

    TARGET is module:name or file.py:name, a function you already have, blocking or async. INPUT is - (standard
    input, a line an input), .txt, .jsonl or .csv. Each outcome is one JSON object a line, with input and value, or
    error and attempts.

    \b
    whilst map jobs.py:check hosts.txt -j 50 -o out.jsonl --failed failed.jsonl
    whilst map jobs.py:check failed.jsonl -o again.jsonl
    """
    return run_map(Options(**given))


def run_map(options: Options) -> int:
    """Run it and return the exit code; Problem if it cannot even begin."""
    with Signals() as signals, ExitStack() as undo:
        try:
            return _run(options, signals, undo)
        except Interrupted as signal:
            say("interrupted: nothing was called")
            return 128 + signal.number


def _run(options: Options, signals: Signals, undo: ExitStack) -> int:
    target = load_target(options.target)
    source = _open_input(options)
    formats = _check_outputs(options)
    with signals.held():
        outputs = _open_outputs(options, undo) if options.dry_run is None else None
    if source.name == "standard input" and sys.stdin is not None and sys.stdin.isatty() and not options.quiet:
        say("reading inputs from the terminal, one a line; Ctrl-D ends them")
    rows = source.rows() if options.take is None else itertools.islice(source.rows(), options.take)
    first, rows = signals.wait(lambda: _peek(rows, source))
    call = choose_call(target, options.call, first, source.name)
    if outputs is None:
        return _show_calls(call, rows, options.dry_run or 0)
    columns = list(first.value) if source.format == "csv" and isinstance(first, Row) else None
    sinks = _sinks(options, formats, outputs, columns)
    feed = Feed(rows, call, source.name)
    run = _make_run(options, call, sinks.writer, feed)
    signals.attach(run, [it.finish for it in sinks.each()])
    undo.pop_all()  # from here on what was written is kept
    return _drive(run, source, sinks, feed, signals, options)


def _drive(run: Any, source: Input, sinks: Sinks, feed: Feed, signals: Signals, options: Options) -> int:
    """Let the run go on to whatever end, write the rest, and say how it ended."""
    tally = Tally()
    ended_by: BaseException | None = None
    show = False if options.quiet else options.progress
    attendant = Attendant(run.summary, sinks.each(), source.source, show=show, on_broken=run.cancel)
    try:
        deliver(run, sinks, feed, tally)
    except BaseException as error:  # also SystemExit and KeyboardInterrupt out of a call: results are saved first
        ended_by = error
    now = run.summary()
    feed.close()
    attendant.stop()
    problem = _finish(sinks)
    broken = next((it.broken for it in sinks.each() if it.broken is not None), None)
    verdict = judge(broken or ended_by, signals, tally, now, feed, sinks)
    if verdict.text and (verdict.code != OK or not options.quiet):
        say(verdict.text)
    if problem:
        say(problem)
    return DISK if problem and verdict.code in (OK, FAILED) else verdict.code


def _make_run(options: Options, call: Call, writer: Writer, feed: Feed) -> Any:
    if importlib.util.find_spec("uvloop") is not None:
        os.environ.setdefault("WHILST_LOOP", "uvloop")
    from .. import map as whilst_map

    try:
        return whilst_map(
            worker(call, writer.prepare),
            feed,
            concurrency=options.concurrency,
            timeout=options.timeout,
            deadline=options.deadline,
            stop_after=options.stop_after,
            ordered=options.ordered,
            progress=False,
            name=call.target.name,
        )
    except (TypeError, ValueError) as error:
        fact, _, more = str(error).partition("\n")
        fact = fact.replace("stop_after", "--stop-after")
        raise Problem(fact, *([more.strip()] if more else []), remedy="whilst map --help") from None


def _peek(rows: Iterator[Row | Rejected], source: Input) -> tuple[Row | Rejected | None, Iterator[Row | Rejected]]:
    """Read the first row, which decides how rows are handed over."""
    try:
        first = next(rows, None)
    except ValueError as error:
        raise Problem(f"{source.name} is no {source.format.upper()}: {error}") from None
    except OSError as error:
        raise Problem(f"{source.name} cannot be read: {error.strerror}", code=DISK) from None
    return first, rows if first is None else itertools.chain([first], rows)


def _show_calls(call: Call, rows: Iterator[Row | Rejected], count: int) -> int:
    code, shown = OK, 0
    for row in itertools.islice(rows, count):
        shown += 1
        reason = row.reason if isinstance(row, Rejected) else call.misfit(row.value)
        if isinstance(row, Row) and reason is None:
            click.echo(f"{call.shown(row)}  # line {row.line}")
        else:
            code = FAILED
            click.echo(f"# line {row.line} is rejected: {reason}")
    say(f"dry run: the first {shown:,} of the calls are shown, none was made")
    return code


def _open_input(options: Options) -> Input:
    try:
        return open_input(options.input, options.format)
    except UnknownKind as unknown:
        raise Problem(
            str(unknown), f"known endings: {', '.join(unknown.endings)}", remedy="--format text|jsonl|csv"
        ) from None
    except OSError as error:
        raise Problem(f"{options.input} cannot be read: {error.strerror}", remedy=_close_file(options.input)) from None


def _close_file(name: str) -> str:
    """Return the file that was likely meant."""
    import difflib

    with suppress(OSError):
        close = difflib.get_close_matches(os.path.basename(name), os.listdir(os.path.dirname(name) or "."), n=1)
        if close and close[0] != os.path.basename(name):
            return os.path.join(os.path.dirname(name), close[0])
    return ""


def _check_outputs(options: Options) -> str:
    """Return the format of OUT; Problem if the outputs cannot be meant."""
    try:
        format = output_format(options.out)
        if options.failed is not None and output_format(options.failed) != "jsonl":
            raise Problem(
                f"--failed {options.failed}: failures are kept as JSON lines",
                "so that the file is a valid INPUT of the next run",
                remedy=f"--failed {os.path.splitext(options.failed)[0]}.jsonl",
            )
    except UnknownKind as unknown:
        stem = os.path.splitext(unknown.name)[0]
        raise Problem(str(unknown), f"known endings: {', '.join(unknown.endings)}", remedy=f"{stem}.jsonl") from None
    if options.failed not in (None, "-") and os.path.realpath(options.out) == os.path.realpath(str(options.failed)):
        raise Problem(
            f"-o and --failed are the same file: {options.out}",
            "failures are in OUT when --failed is left out",
            remedy="leave out --failed",
        )
    return format


def _open_outputs(options: Options, undo: ExitStack) -> tuple[Output, Output]:
    """Open OUT and where failures go; both are gone again if the run does not begin."""
    out = _open_output(options.out, options, undo)
    if options.failed is None:
        return out, Output(STDERR, "standard error") if options.values else out
    if options.failed == options.out:
        return out, out
    return out, _open_output(options.failed, options, undo)


def _open_output(name: str, options: Options, undo: ExitStack) -> Output:
    try:
        output = open_output(name, overwrite=options.overwrite)
    except FileExistsError:
        raise Problem(
            f"{name} exists", f"it has {os.path.getsize(name):,} bytes and is not replaced", remedy="--overwrite"
        ) from None
    except OSError as error:
        raise Problem(
            f"{name} cannot be written: {error.strerror}", f"in {os.path.dirname(os.path.abspath(name))}"
        ) from None
    undo.callback(output.discard)
    return output


def _sinks(options: Options, format: str, outputs: tuple[Output, Output], columns: list[str] | None) -> Sinks:
    out, failed = outputs
    writer = make_writer(format, columns=columns, values_only=options.values, failures_here=failed is out)
    return Sinks(
        out,
        writer,
        failed,
        writer if failed is out else make_writer("jsonl", columns=None, values_only=False, failures_here=True),
    )


def _finish(sinks: Sinks) -> str:
    """Write what is left and give files their names; return what went wrong, in words."""
    problems: list[str] = []
    for output in sinks.each():
        try:
            kept = output.finish()
            if kept is not None:
                problems.append(
                    f"error: {output.name} appeared meanwhile and was not replaced\n  results are in {kept}"
                )
        except OSError as error:
            if output.broken is None:
                problems.append(f"error: {output.name} cannot be finished: {error.strerror or error}")
    return "\n".join(problems)
