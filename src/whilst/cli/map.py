"""`whilst map TARGET [INPUT]`: a function, many inputs, one line for each outcome."""

from __future__ import annotations

import click

from ..io.rows import Rejected, Row
from .call import Mode, choose_call, worker
from .inputs import open_source
from .job import Job, Work, run_job
from .options import Decorator, RunOptions, input_option, rows_command, with_run_options
from .target import Target, load_target

call_option: Decorator = input_option(
    "--call", type=click.Choice(["one", "names"]), help="Hand a row over whole, or by its names."
)


@rows_command()
@click.argument("target")
@click.argument("input", default="-")
@call_option
@with_run_options
def command(target: str, input: str, call: Mode | None, options: RunOptions) -> int:
    """Call TARGET on every row of INPUT, many at a time.

    TARGET is module:name or file.py:name, a function you already have, blocking or async. INPUT is - (standard
    input, a line an input), a .txt, .jsonl, .csv or .parquet file (.gz and .zst are unpacked), files:FOLDER/**/*.txt,
    or a URL: sqlite:///f.db?table=t, postgresql://…?query=…, s3://…, https://…; OUT goes by its name in the same way.
    Each outcome is one JSON object a line, with input and value, or error and attempts.

    \b
    whilst map jobs.py:check hosts.txt -j 50 -o out.jsonl --failed failed.jsonl
    whilst map jobs.py:check failed.jsonl -o again.jsonl
    """
    return run_map(target, input, call, options)


def run_map(given: str, input: str, call: Mode | None, options: RunOptions) -> int:
    """Run it and return the exit code; Problem if it cannot even begin."""

    def prepare() -> Job:
        target = load_target(given)
        source = open_source(input, options.format)
        return Job(source, lambda first: _work(target, call, first, source.name))

    return run_job(options, prepare, "whilst map")


def _work(target: Target, mode: Mode | None, first: Row | Rejected | None, source_name: str) -> Work:
    call = choose_call(target, mode, first, source_name)
    return Work(
        name=target.name,
        worker=lambda prepare: worker(call, prepare),
        shown=call.shown,
        misfit=call.misfit if call.mode == "names" else None,
        subject=target.fn,
    )
