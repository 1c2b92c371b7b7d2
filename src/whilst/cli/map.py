"""`whilst map TARGET [INPUT]`: a function, many inputs, one line for each outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from msgspec.structs import replace

from ..flow import Flow
from ..io.rows import Rejected, Row
from .batch import batch_worker
from .call import Mode, choose_call, worker
from .elsewhere import elsewhere, moved, place_of
from .inputs import given_source, open_source
from .items import Items
from .job import Job, Place, Work, is_elsewhere, run_job
from .messages import Problem
from .options import Decorator, RunOptions, input_option, inputs_given, rows_command, with_run_options
from .paths import Name
from .streams import plain_name, streams
from .target import Target, load_target

batch_option: Decorator = input_option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Call TARGET with lists of N rows; it returns lists of the same length.",
)
call_option: Decorator = input_option(
    "--call",
    type=click.Choice(["one", "names", "none"]),
    help="Pass a row as one argument, as keyword arguments, or not at all.",
)


executor_option: Decorator = input_option(
    "--executor",
    type=click.Choice(["auto", "thread", "process", "ray"]),
    help="Where to make calls: process for functions that compute, ray for a cluster.",
)
cluster_options: tuple[Decorator, ...] = (
    input_option(
        "--address",
        metavar="ADDR",
        help="Address of the Ray cluster: auto, host:port; if not given, one is started here.",
    ),
    input_option(
        "--nodes", type=click.IntRange(min=1), metavar="N", help="Use N nodes of the cluster; by default all."
    ),
    input_option(
        "--per-node", type=click.IntRange(min=1), metavar="N", help="Calls at once on each node; by default 32."
    ),
    input_option(
        "--trusted",
        is_flag=True,
        help="Allow an ADDR on another machine: who can reach it can run code here and there.",
    ),
)


def with_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a cluster."""
    for add in reversed(cluster_options):
        command = add(command)
    return command


@rows_command()
@click.argument("target", type=click.Path())
@click.argument("input", default="-", type=Name())
@call_option
@batch_option
@executor_option
@with_cluster
@with_run_options
def command(
    target: str,
    input: str,
    call: Mode | None,
    batch: int | None,
    executor: str | None,
    address: str | None,
    nodes: int | None,
    per_node: int | None,
    trusted: bool,
    options: RunOptions,
) -> int:
    """Call TARGET on every row of INPUT, many at a time.

    TARGET is module:name or file.py:name, a function you already have, blocking or async. INPUT is - (standard
    input, one input a line), a .txt, .jsonl, .csv or .parquet file (.gz and .zst are unpacked), files:FOLDER/**/*.txt,
    or a URL: sqlite:///f.db?table=t, postgresql://…?query=…, s3://…, https://…; OUT takes the same names.
    Each outcome is a line, a JSON object with input and value, or error and attempts.

    \b
    whilst map jobs.py:check hosts.txt -j 50 -o out.jsonl --failed failed.jsonl
    whilst map jobs.py:check failed.jsonl -o again.jsonl
    whilst map jobs.py:check ::: example.com example.org
    """
    place = place_of(executor, address, nodes, per_node, trusted=trusted)
    return run_map(target, input, call, options, batch, place)


def run_map(
    given: str,
    input: str,
    call: Mode | None,
    options: RunOptions,
    batch: int | None,
    executor: Place = None,
) -> int:
    """Run it and return the exit code; Problem if it cannot even begin."""
    values = inputs_given()

    def prepare() -> Job:
        if plain_name(input) == "-" and values is None:
            streams.input()
        target = load_target(given)
        if values is None:
            source, total = open_source(input, options.rows_format, options.manner), None
        else:
            source, total = given_source(values, input), len(values)
        return Job(source, lambda first: _work(target, call, first, source.name, batch, executor), total, batch=batch)

    return run_job(options, prepare, "whilst map")


def _work(
    target: Target,
    mode: Mode | None,
    first: Row | Rejected | None,
    source_name: str,
    batch: int | None,
    executor: Place,
) -> Work:
    if batch is not None and mode in ("names", "none"):
        what = "spreads one row" if mode == "names" else "hands over none"
        raise Problem(f"--call {mode} {what}, and --batch hands over many", remedy="leave out --call")
    apart: Any = None
    subject: Any = target.fn
    if is_elsewhere(executor) and isinstance(subject, Flow):
        target, executor = replace(target, fn=moved(subject, target.name, executor)), None
    call = choose_call(target, mode if batch is None else "one", first, source_name)
    fn: Any = target.fn
    items = Items(fn.node) if isinstance(fn, Flow) else None
    if is_elsewhere(executor):
        apart = elsewhere(call, executor, in_batches=batch is not None)
    return Work(
        name=target.name,
        worker=lambda prepare: (
            apart or (worker(call, prepare, items) if batch is None else batch_worker(target, prepare))
        ),
        executor=executor,
        shown=call.shown,
        misfit=call.misfit if call.mode == "names" else None,
        subject=subject,
        items=items,
    )
