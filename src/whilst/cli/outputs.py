"""How are the outputs of a command opened, and given their names at the end?"""

from __future__ import annotations

import os
from contextlib import ExitStack

from ..io.open import UnknownKind, make_writer, open_output, output_format
from ..io.output import Output
from .deliver import Sinks
from .messages import Problem
from .options import RunOptions

STDERR = 2


def check_outputs(options: RunOptions) -> str:
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


def open_outputs(options: RunOptions, undo: ExitStack) -> tuple[Output, Output]:
    """Open OUT and where failures go; both are gone again if the run does not begin."""
    out = open_file(options.out, options, undo)
    if options.failed is None:
        return out, Output(STDERR, "standard error") if options.values else out
    if options.failed == options.out:
        return out, out
    return out, open_file(options.failed, options, undo)


def open_file(name: str, options: RunOptions, undo: ExitStack) -> Output:
    """Open one output by its name; Problem if it is there already or cannot be written."""
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


def make_sinks(options: RunOptions, format: str, outputs: tuple[Output, Output], columns: list[str] | None) -> Sinks:
    """Put the outputs and what makes their lines together; `columns` are those of an input that is a table."""
    out, failed = outputs
    writer = make_writer(format, columns=columns, values_only=options.values, failures_here=failed is out)
    return Sinks(
        out,
        writer,
        failed,
        writer if failed is out else make_writer("jsonl", columns=None, values_only=False, failures_here=True),
    )


def finish_outputs(sinks: Sinks) -> str:
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
