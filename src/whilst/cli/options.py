"""Which options do all commands that run over rows share? A new one is a line of OPTIONS and a field of RunOptions.

An option that is a policy of the run is named as the parameter of `whilst.map` is, stands in POLICIES too, and is
passed on as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import click
import msgspec

from .pace import Attempts, Concurrency, Seconds, StopAfter, limit_of, rates

POLICIES = ("concurrency", "rate", "retry", "timeout", "deadline", "stop_after", "ordered")


class RunOptions(msgspec.Struct, frozen=True):
    """The shared part of a command line, as click read it."""

    format: Literal["text", "jsonl", "csv", "parquet"] | None
    take: int | None
    dry_run: int | None
    out: str
    failed: str | None
    overwrite: bool
    values: bool
    concurrency: int | Literal["adaptive"] | None
    rate: list[str] | None
    limit_by: str | None
    retry: int | None
    timeout: float | None
    deadline: float | None
    stop_after: str | None
    ordered: bool
    journal: str | None
    journal_key: str | None
    commit: Literal["buffered", "strict"]
    accept_old: bool
    fresh: bool
    keep_failed: bool
    progress: bool | None
    quiet: bool

    def policies(self) -> dict[str, Any]:
        """Return the arguments of `whilst.map` that these options are."""
        given: dict[str, Any] = {name: getattr(self, name) for name in POLICIES}
        if self.limit_by is None:
            return given
        return {**given, "concurrency": None, "rate": None, "limit": limit_of(self)}


class GroupedOption(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *arguments: Any, heading: str, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help has headings, in the order of their first options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each option under its heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups.setdefault(getattr(parameter, "heading", "Help"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


Decorator: TypeAlias = Callable[[Callable[..., int]], Callable[..., int]]
Decorates: TypeAlias = Callable[..., Decorator]

input_option: Decorates = partial(click.option, cls=GroupedOption, heading="Input")
output_option: Decorates = partial(click.option, cls=GroupedOption, heading="Output")
pace_option: Decorates = partial(click.option, cls=GroupedOption, heading="Pace and patience")
journal_option: Decorates = partial(click.option, cls=GroupedOption, heading="Journal")
message_option: Decorates = partial(click.option, cls=GroupedOption, heading="Messages")

OPTIONS = (
    input_option(
        "--format", type=click.Choice(["text", "jsonl", "csv", "parquet"]), help="What INPUT holds, whatever its name."
    ),
    input_option("--take", type=click.IntRange(min=1), metavar="N", help="Stop after N rows of INPUT."),
    input_option("--dry-run", type=click.IntRange(min=1), metavar="N", help="Show the first N calls, make none."),
    output_option("-o", "--out", default="-", metavar="OUT", help="Where outcomes go: - (JSON lines), a file, a URL."),
    output_option("--failed", metavar="FILE", help="Where failures go instead; a .jsonl that is a valid INPUT."),
    output_option("--overwrite", is_flag=True, help="Replace OUT and FILE if they exist."),
    output_option("--values", is_flag=True, help="Write values alone; failures go to stderr or --failed."),
    pace_option(
        "-j",
        "--concurrency",
        type=Concurrency(),
        metavar="N|adaptive",
        help="Calls in flight at once: 32, or the best by itself.",
    ),
    pace_option(
        "--rate",
        multiple=True,
        callback=rates,
        metavar="100/s",
        help="Calls that may start in a time: 100/s, 5000/h; may be repeated.",
    ),
    pace_option("--limit-by", metavar="FIELD", help="-j and --rate hold for each value of FIELD alone."),
    pace_option("--retry", type=Attempts(), metavar="N", help="Attempts for one input, the first counts."),
    pace_option("--timeout", type=Seconds(), metavar="S", help="Seconds for one attempt."),
    pace_option("--deadline", type=Seconds(), metavar="S", help="Seconds for the whole run."),
    pace_option("--stop-after", type=StopAfter(), metavar="N|P%", help="Give up after N failures, or P percent."),
    pace_option("--ordered/--unordered", default=True, help="In the order of INPUT (the default), or as they finish."),
    journal_option("--journal", metavar="FILE", help="Keep outcomes in FILE; the same command goes on from there."),
    journal_option("--journal-key", metavar="FIELD", help="Know a row again by FIELD, not by all of it."),
    journal_option(
        "--commit",
        type=click.Choice(["buffered", "strict"]),
        default="buffered",
        help="Write outcomes many at a time, or each before it is given.",
    ),
    journal_option("--accept-old", is_flag=True, help="Keep results of a function that has changed since."),
    journal_option("--fresh", is_flag=True, help="Put FILE aside and start a new one."),
    journal_option("--keep-failed", is_flag=True, help="Do not try again what failed before."),
    message_option("--progress/--no-progress", default=None, help="Show progress on stderr: on a terminal yes."),
    message_option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors."),
)

rows_command: Callable[..., Callable[[Callable[..., Any]], click.Command]] = partial(
    click.command,
    cls=GroupedCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
"""The decorator of a command whose options these are."""


def with_run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the shared options; it gets them as `options`, a `RunOptions`."""

    @functools.wraps(command)
    def collect(*arguments: Any, **given: Any) -> int:
        options = RunOptions(**{name: given.pop(name) for name in RunOptions.__struct_fields__})
        return command(*arguments, options=options, **given)

    decorated: Callable[..., int] = collect
    for add in reversed(OPTIONS):
        decorated = add(decorated)
    return decorated
