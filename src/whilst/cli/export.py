"""`whilst export JOURNAL`: the outcomes of a journal, in any output format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import click
import msgspec
from click.core import ParameterSource

from ..core.secrets import without_secrets
from ..errors import JournalError
from ..io.names import OF_JOURNAL, clash, files_of
from ..io.open import output_format
from ..io.refusal import Refused
from ..io.rows import Row
from ..io.sink import Refusal, Shape, Sink, Unfit
from ..journal.reading import NoHeader
from .beside import Beside, beside_for, utc
from .keep import header_of, problem_of
from .messages import DISK, FAILED, Problem, say, short
from .outputs import finish_sinks, open_named
from .outputs import problem_of as refused_by
from .paths import Name
from .signals import Interrupted, Signals
from .streams import plain_name

if TYPE_CHECKING:
    from ..journal.reading import Stored


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("journal", type=Name())
@click.option(
    "-o", "--out", default="-", type=Name(), metavar="OUT", help="Write outcomes to OUT: - (JSON lines), a file, a URL."
)
@click.option("--failed", is_flag=True, help="Only failures; a .jsonl of them is a valid INPUT.")
@click.option("--done", is_flag=True, help="Only inputs that are done.")
@click.option("--values", is_flag=True, help="Write only the values.")
@click.option("--times", is_flag=True, help="Add the start of the last call (UTC) and the seconds it took.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option(
    "--rescue",
    type=Name("new.db"),
    metavar="NEW",
    help="Copy what is whole in a damaged journal into a new journal NEW.",
)
def command(
    journal: str,
    out: str,
    failed: bool,
    done: bool,
    values: bool,
    times: bool,
    overwrite: bool,
    rescue: str | None,
) -> int:
    """Write the outcomes in JOURNAL, the last one of each input, in the order in which they were recorded.

    \b
    whilst export run.db -o out.csv
    whilst export run.db --failed -o failed.jsonl
    """
    if rescue is not None:
        _check_alone("--rescue")
        _check_apart(journal, "--rescue", rescue)
        return _rescue(journal, rescue)
    if failed and (done or values):
        raise Problem(f"--failed and {'--done' if done else '--values'} leave nothing", remedy="one of the two")
    _check_apart(journal, "-o", out)
    failures = not done and not values
    sink: Sink | None = None
    with Signals() as signals, ExitStack() as undo:
        try:
            sink = open_named(out, undo, signals.check, overwrite=overwrite)
            beside = beside_for(_format(out), times=times, values=values)
            try:
                sink.begin(Shape(None if beside is None else beside.columns(None), values, failures))
            except Refused as nowhere:
                raise refused_by(nowhere) from None
            count, refused = _write(journal, sink, beside, failures=failures, values=not failed)
        except Interrupted as signal:
            say("interrupted: nothing was exported")
            return 128 + signal.number
        except JournalError as error:
            raise problem_of(error) from None
        except OSError as error:
            if sink is None or sink.broken is None:
                raise
            raise Problem(f"{sink.name} cannot be written: {error.strerror or error}", code=DISK) from None
        undo.pop_all()
    with suppress(OSError):  # it is `broken`, and said below
        sink.flush()
    refused += _of_refused(sink, failures=failures)
    problem = finish_sinks([sink])
    if sink.broken is not None:
        raise Problem(f"{sink.name} cannot be written: {sink.broken.strerror or sink.broken}", code=DISK)
    if problem:
        say(problem)
        return DISK
    count -= 0 if failures else len(refused)
    said = f"exported: {count:,} {'outcome' if count == 1 else 'outcomes'}"
    say("\n  ".join([said, *([f"refused: {len(refused):,}, the first {short(refused[0], 300)}"] if refused else [])]))
    return FAILED if refused else 0


def _check_alone(flag: str) -> None:
    """Refuse other options beside one that does without them."""
    context = click.get_current_context()
    options = [option for option in context.command.params if isinstance(option, click.Option)]
    given = [it for it in options if context.get_parameter_source(it.name or "") is ParameterSource.COMMANDLINE]
    if others := [it.opts[0] for it in given if it.opts[0] != flag]:
        raise Problem(
            f"{flag} copies a whole journal, and {others[0]} chooses what is written",
            remedy=f"leave out {' and '.join(others)}, and export the new journal with them",
        )


def _check_apart(journal: str, flag: str, name: str) -> None:
    """Refuse to write over the journal, whatever it is called."""
    if clash({"JOURNAL": [journal + ending for ending in OF_JOURNAL], flag: files_of(name)}) is not None:
        raise Problem(f"{flag} {name} is the JOURNAL itself", "it would be replaced", remedy=f"{flag} another name")


def _format(out: str) -> str:
    return output_format(plain_name(out))


def _write(journal: str, sink: Sink, beside: Beside | None, *, failures: bool, values: bool) -> tuple[int, list[str]]:
    """Write the outcomes; return how many, and what the output had no place for."""
    count = 0
    refused: list[str] = []
    for line, stored in enumerate(_outcomes(journal), start=1):
        row = Row(line, msgspec.json.decode(stored.input), stored.input)
        if beside is not None:
            at = stored.started_at
            row = beside.row_at(row, None if at is None else utc(at.timestamp()), stored.took, ok=stored.error is None)
        if stored.error is not None and failures:
            text = f"{stored.error.class_name.rpartition('.')[2]}: {stored.error.message}"
            sink.failure(row, without_secrets(text), stored.attempts)
        elif stored.value is not None and values:
            try:
                sink.write(row, sink.prepare(msgspec.json.decode(stored.value)))
            except (Unfit, TypeError, ValueError) as unfit:
                sink.refusals.append(Refusal(row, Unfit(str(unfit))))
        else:
            continue
        refused += _of_refused(sink, failures=failures)
        count += 1
    return count, refused


def _outcomes(journal: str) -> Iterator[Stored]:
    """Give the outcomes of rows; a command that handed over many at a time has those of batches in its journal."""
    from ..journal import read_outcomes

    outcomes = read_outcomes(journal)
    command = None
    with suppress(NoHeader):
        command = header_of(journal).command
    if command is None or not any(word.startswith("--batch") for word in command.argv):
        yield from outcomes
        return
    whole = msgspec.json.Decoder(list[msgspec.Raw]).decode
    for stored in outcomes:
        rows = whole(stored.input)
        answers = [None] * len(rows) if stored.value is None else whole(stored.value)
        for row, answer in zip(rows, answers, strict=True):
            value = None if answer is None else bytes(answer)
            yield msgspec.structs.replace(stored, input=bytes(row), value=value)


def _of_refused(sink: Sink, *, failures: bool) -> list[str]:
    """Write what was refused as failures, where failures are written, and return what was said of them."""
    said: list[str] = []
    while sink.refusals:
        it = sink.refusals.popleft()
        said.append(str(it.error))
        if failures:
            sink.failure(it.row, str(it.error), 1)
    return said


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
