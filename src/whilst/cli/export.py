"""`whilst export JOURNAL`: the outcomes of a journal, in any output format."""

from __future__ import annotations

from contextlib import ExitStack

import click
import msgspec

from ..errors import JournalError
from ..io.rows import Row
from ..io.sink import Shape, Sink, Unfit
from .keep import problem_of
from .messages import DISK, Problem, say
from .outputs import finish_sinks, open_named


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("journal")
@click.option(
    "-o", "--out", default="-", metavar="OUT", help="Where they go: - (JSON lines), or any name of an output."
)
@click.option("--failed", is_flag=True, help="Failures alone; a .jsonl of them is a valid INPUT.")
@click.option("--done", is_flag=True, help="What is done alone.")
@click.option("--values", is_flag=True, help="Write values alone.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--rescue", metavar="NEW", help="Get what is whole out of a damaged journal, into a journal NEW.")
def command(journal: str, out: str, failed: bool, done: bool, values: bool, overwrite: bool, rescue: str | None) -> int:
    """Write the outcomes in JOURNAL, the last of each input, in the order in which they came.

    \b
    whilst export run.db -o out.csv
    whilst export run.db --failed -o failed.jsonl
    """
    if rescue is not None:
        return _rescue(journal, rescue)
    if failed and (done or values):
        raise Problem(f"--failed and {'--done' if done else '--values'} leave nothing", remedy="one of the two")
    with ExitStack() as undo:
        sink = open_named(out, undo, overwrite=overwrite)
        failures = not done and not values
        sink.begin(Shape(None, values, failures))
        try:
            count = _write(journal, sink, failures=failures, values=not failed)
        except JournalError as error:
            raise problem_of(error) from None
        undo.pop_all()
    problem = finish_sinks([sink])
    if problem:
        say(problem)
        return DISK
    say(f"exported: {count:,} {'outcome' if count == 1 else 'outcomes'}")
    return 0


def _write(journal: str, sink: Sink, *, failures: bool, values: bool) -> int:
    from ..journal import read_outcomes

    count = 0
    for line, stored in enumerate(read_outcomes(journal), start=1):
        row = Row(line, msgspec.json.decode(stored.input), stored.input)
        if stored.error is not None and failures:
            sink.failure(row, f"{stored.error.class_name.rpartition('.')[2]}: {stored.error.message}", stored.attempts)
        elif stored.value is not None and values:
            try:
                sink.write(row, sink.prepare(msgspec.json.decode(stored.value)))
            except Unfit as unfit:
                sink.failure(row, str(unfit), stored.attempts)
        else:
            continue
        count += 1
    return count


def _rescue(journal: str, new: str) -> int:
    from ..journal import rescue

    try:
        found = rescue(journal, new)
    except JournalError as error:
        raise problem_of(error) from None
    except OSError as error:
        raise Problem(f"{journal} cannot be rescued: {error.strerror}", code=DISK) from None
    say(f"rescued: {found:,} outcomes are in {new}")
    return 0
