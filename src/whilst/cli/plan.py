"""`whilst plan TARGET`: the tree of a flow, as it would run; nothing runs."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..flow import Flow, step
from .messages import OK, Problem
from .streams import streams
from .target import Target, load_target

if TYPE_CHECKING:
    from collections.abc import Generator


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("target", type=click.Path())
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart, for a page or a pull request.")
def command(target: str, mermaid: bool) -> int:
    """Print what TARGET would do, without doing it.

    TARGET is module:name or file.py:name, a flow or a function. Each line is a node: its function, its colour
    (async, or blocking on a thread) and its policies.

    \b
    whilst plan jobs.py:enrich
    whilst plan jobs.py:enrich --mermaid > plan.mmd
    """
    streams.output(f"whilst plan {shlex.quote(target)} > FILE")
    with speaking_of("plan"):
        picture = flow_of_target(load_target(target)).plan()
    streams.show(picture.mermaid() if mermaid else str(picture))
    return OK


def flow_of_target(target: Target) -> Flow[Any, Any]:
    """Return the flow that TARGET is, or the flow of one step that a function is."""
    fn: Any = target.fn
    if isinstance(fn, Flow):
        return fn  # pyright: ignore[reportUnknownVariableType]
    try:
        return step(fn)
    except TypeError as error:
        fact, _, remedy = str(error).removeprefix("step: ").partition("\n")
        raise Problem(fact, target.place, remedy=remedy.strip().removeprefix("try: ")) from None


@contextmanager
def speaking_of(name: str) -> Generator[None]:
    """Have what is shared with `whilst map` propose this command instead, in what it says to try."""
    try:
        yield
    except Problem as problem:
        remedy = problem.remedy.replace("whilst map ", f"whilst {name} ", 1)
        raise Problem(problem.fact, *problem.evidence, remedy=remedy, code=problem.code) from None
