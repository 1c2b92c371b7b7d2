"""How are the outputs of a command opened, and given their names at the end?"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..io.names import OF_JOURNAL, another, another_table, clash, files_of, is_same_table
from ..io.open import UnknownKind, is_local, local_path, open_output, output_format, standard_error
from ..io.output import Place, leftovers
from ..io.refusal import Refused
from ..io.sink import Shape, Sink
from .append import OtherColumns, appended, check_append, header_of
from .deliver import Sinks
from .keep import owns, run_name
from .messages import Problem, say
from .options import RunOptions
from .places import place_of, place_of_failures
from .streams import plain_name

if TYPE_CHECKING:
    from .inputs import Source

MOST_LEFT = 3  # unfinished files of killed runs that are named


def check_outputs(options: RunOptions) -> str:
    """Return the format of OUT; Problem if the outputs cannot be meant."""
    try:
        format = output_format(options.out)
        if options.failed is not None and output_format(options.failed) != "jsonl":
            raise Problem(
                f"--failed {options.failed}: failures are written as JSON lines",
                "so that the file is a valid INPUT of the next run",
                remedy=f"--failed {os.path.splitext(options.failed)[0]}.jsonl",
            )
    except UnknownKind as unknown:
        raise Problem(unknown.fact, *unknown.evidence, remedy=unknown.better) from None
    except Refused as refused:
        raise problem_of(refused) from None
    check_append(options, output_format)
    _check_apart(options)
    return format


def check_summary_apart(options: RunOptions) -> None:
    """Refuse a summary in the place of another file, before that is where a refusal is written."""
    if options.summary is not None and (both := _clash(options)) is not None and "--summary" in both:
        _check_apart(options)


def _clash(options: RunOptions) -> tuple[str, str] | None:
    ours = {flag: files_of(name) for flag, name in _written(options).items()}
    if options.journal:
        ours["--journal"] = [options.journal + ending for ending in OF_JOURNAL]
    return clash(ours)


def _check_apart(options: RunOptions) -> None:
    """Refuse names that stand for the same file: one would replace the other."""
    given = _written(options)
    both = _clash(options)
    if both == ("-o", "--failed"):
        raise Problem(
            f"-o and --failed are the same file: {options.out}",
            "failures are in OUT when --failed is left out",
            remedy="leave out --failed",
        )
    if both is not None:
        one, other = both
        same = given[one] == given[other]
        raise Problem(
            f"{one} and {other} are the same file: {given[one]}{'' if same else f' and {given[other]}'}",
            "one would replace the other",
            remedy=f"{one} {_another_of(one, given[one])}",
        )


def _another_of(flag: str, name: str) -> str:
    """Return a name beside one that is taken, in a format that the flag takes."""
    found = another(local_path(name))
    if flag == "-o":
        try:
            output_format(found)
        except UnknownKind as unknown:
            return unknown.better
        except Refused:
            pass
    return found


def _written(options: RunOptions) -> dict[str, str]:
    """Return what the command writes, by its flags."""
    named = {
        "-o": options.out,
        "--failed": options.failed,
        "--journal": options.journal,
        "--summary": options.summary,
        "--trace": options.trace,
    }
    return {flag: name for flag, name in named.items() if name}


def check_not_input(options: RunOptions, source: Source) -> None:
    """Refuse an output that is the input: a run that ends early would delete the rows that it did not reach."""
    read = files_of(source.name)
    for flag, name in _written(options).items():
        if is_same_table(source.name, name):
            raise Problem(
                f"{flag} {name} is the table of INPUT",
                "what is written would be among the rows that are read",
                remedy=f"{flag} {shlex.quote(another_table(name))}",
            )
        if clash({"INPUT": read, flag: files_of(name)}) is None:
            continue
        if flag == "--journal" or min(len(read), len(files_of(name))) == 1:
            raise Problem(
                f"{flag} {name} is INPUT",
                "a run that ends early would delete the rows that it did not reach",
                remedy=f"{flag} {another(name)}",
            )
        _check_not_locked(source, flag, name)


def _check_not_locked(source: Source, flag: str, name: str) -> None:
    """Refuse a table in a file that nobody can write to while INPUT is read."""
    try:
        locks = getattr(source.source, "locks", False)
    except Refused as refused:
        raise problem_of(refused) from None
    if locks:
        raise Problem(
            f"{flag} {name} is in the file of INPUT",
            "a view or a query is read in one transaction, which keeps others from writing there",
            remedy=f"{flag} {shlex.quote(another(name))}",
        )


def problem_of(refused: Refused) -> Problem:
    """Say in the command line's way what an input or output says."""
    return Problem(refused.fact, *refused.evidence, remedy=refused.remedy)


def open_outputs(options: RunOptions, undo: ExitStack, check: Callable[[], None]) -> Sinks:
    """Open OUT and where failures go; both are gone again if the run does not begin.

    `check` is called while an output is waited for; it may raise.
    """
    out = open_sink(options.out, options, undo, check)
    if options.failed is None:
        return Sinks(out, standard_error(place_of_failures()) if options.values else out)
    if plain_name(options.failed) == plain_name(options.out):
        return Sinks(out, out)
    return Sinks(out, open_sink(options.failed, options, undo, check))


def open_sink(name: str, options: RunOptions, undo: ExitStack, check: Callable[[], None]) -> Sink:
    """Open one output of a run; what an earlier run with the same journal wrote may be replaced."""
    overwrite = options.overwrite or (name != "-" and owns(options, name))
    place = appended(name, output_format(name)) if options.append else None
    sink = open_named(name, undo, check, overwrite=overwrite, run=run_name(options.journal), place=place)
    if options.journal is None and name != "-" and is_local(name) and not options.quiet:
        for part in leftovers(local_path(name))[:MOST_LEFT]:
            say(f"note: {os.path.relpath(part)} is what an earlier run left of {name}; it stays until you remove it")
    return sink


def open_named(
    name: str,
    undo: ExitStack,
    check: Callable[[], None],
    *,
    overwrite: bool,
    run: str | None = None,
    place: Place | None = None,
) -> Sink:
    """Open an output by its name; Problem if it is there already or cannot be written."""
    name = plain_name(name)
    try:
        sink = open_output(name, overwrite=overwrite, run=run, place=place or place_of(name, check))
    except FileExistsError:
        size = f"it has {os.path.getsize(name):,} bytes and is" if os.path.exists(name) else "it is"
        raise Problem(f"{name} exists", f"{size} not replaced", remedy="--overwrite") from None
    except UnknownKind as unknown:
        raise Problem(unknown.fact, *unknown.evidence, remedy=unknown.better) from None
    except Refused as refused:
        raise problem_of(refused) from None
    except OSError as error:
        folder = os.path.dirname(os.path.abspath(local_path(name)))
        remedy = "" if os.path.exists(folder) else f"mkdir -p {shlex.quote(os.path.relpath(folder))}"
        raise Problem(f"{name} cannot be written: {error.strerror}", f"in {folder}", remedy=remedy) from None
    undo.callback(sink.discard)
    return sink


def begin_outputs(sinks: Sinks, options: RunOptions, columns: list[str] | None) -> None:
    """Say what will come; `columns` are those of an input that is a table. Problem if there is no place for it."""
    header = header_of(options.out, output_format(options.out)) if options.append and options.values else None
    try:
        sinks.out.begin(Shape(columns, options.values, sinks.failed is sinks.out, header=header))
        if options.append:
            sinks.out.flush()  # which finds out whether the columns are those of the file
        if sinks.failed is not sinks.out:
            sinks.failed.begin(Shape())
    except Refused as refused:
        raise problem_of(refused) from None
    except OtherColumns as error:
        raise Problem(f"{options.out} cannot be appended to", str(error.strerror), remedy="another -o") from None
    except OSError:  # kept as `broken`, and said at the end
        pass


def finish_outputs(sinks: Sinks) -> str:
    """Write what is left and give files their names; return what went wrong, in words."""
    return finish_sinks(sinks.each())


def finish_sinks(sinks: list[Sink]) -> str:
    """Do so for each of these."""
    problems: list[str] = []
    for output in sinks:
        try:
            kept = output.finish()
            if kept is not None and output.broken is not None:
                problems.append(f"  what could be written is in {kept}")
            elif kept is not None:
                problems.append(
                    f"error: {output.name} appeared meanwhile and was not replaced\n  results are in {kept}"
                )
        except OSError as error:
            if output.broken is None:
                problems.append(f"error: {output.name} cannot be finished: {error.strerror or error}")
    return "\n".join(problems)
