"""Which options do all commands that run over rows share? A new one is a line of OPTIONS and a field of RunOptions.

An option that is a policy of the run is named as the parameter of `whilst.map` is, stands in POLICIES too, and is
passed on as it is.
"""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import click
import msgspec

from ..io.open import Manner
from .fields import fields
from .given import COLONS, at_colons
from .messages import Problem, say, short
from .pace import Attempts, Concurrency, Seconds, Share, StopAfter, limit_of, rates, retry_of
from .paths import Name

POLICIES = ("concurrency", "rate", "retry", "timeout", "deadline", "stop_after", "ordered", "trace")


class RunOptions(msgspec.Struct, frozen=True):
    """The shared part of a command line, as click read it."""

    format: Literal["text", "jsonl", "json", "csv", "tsv", "parquet"] | None
    delimiter: str | None
    encoding: str | None
    null: bool
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
    advice: Literal["on", "off"] | None
    fields: list[str] | None
    times: bool
    append: bool
    retry_on: tuple[str, ...]
    retry_budget: float | None
    summary: str | None
    trace: str | None
    watch: bool
    log: Literal["text", "json"] | None

    @property
    def manner(self) -> Manner:
        """How INPUT is to be read."""
        return Manner(self.delimiter, self.encoding)

    @property
    def rows_format(self) -> str | None:
        """What INPUT holds, if that is said; Problem if it is said twice."""
        if self.null and self.format not in (None, "text"):
            raise Problem(f"-0 is for text, but --format is {self.format}", remedy="one of the two")
        return "nul" if self.null else self.format

    def policies(self) -> dict[str, Any]:
        """Return the arguments of `whilst.map` that these options are."""
        given: dict[str, Any] = {name: getattr(self, name) for name in POLICIES}
        given["retry"] = retry_of(self.retry, self.retry_on, self.retry_budget)
        if self.limit_by is None:
            return given
        return {**given, "concurrency": None, "rate": None, "limit": limit_of(self)}


def inputs_given() -> list[str] | None:
    """Return the inputs after `:::` of the command under way; None if it has none of these."""
    ctx = click.get_current_context(silent=True)
    found: list[str] | None = None if ctx is None else ctx.meta.get(COLONS)
    return found


class GroupedOption(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *arguments: Any, heading: str, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help has headings, in the order of their first options; its inputs may stand after `:::`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what stands after `:::` as inputs, whatever it looks like."""
        if COLONS in args and ctx.info_name in ("map", "run"):
            args, (_, *ctx.meta[COLONS]) = at_colons(args)
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise _one_input(ctx, rest)
        options = {name for parameter in self.params for name in parameter.opts if name.startswith("-")}
        given: list[str] = ctx.meta.get(COLONS, [])
        meant = next((word for word in given if word.partition("=")[0] in options), None)
        if meant is not None and not ctx.params.get("quiet"):
            say(f"note: {short(meant, 40)} stands after ::: and is an input; as an option it stands before")
        if COLONS in given and not ctx.params.get("quiet"):
            say(f"note: the {COLONS} after the first one is an input; all words behind that are one list of inputs")
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each option under its heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups.setdefault(getattr(parameter, "heading", "Help"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def _one_input(ctx: click.Context, more: list[str]) -> Problem:
    """Say where more inputs than one stand."""
    if COLONS in ctx.meta or not isinstance(first := ctx.params.get("input"), str):
        return Problem(f"there is one INPUT too many: {short(shlex.join(more))}", remedy=f"{ctx.command_path} --help")
    words = [first, *more]
    if set(first) == {":"} and len(first) > len(COLONS):  # what GNU parallel has before the name of a file
        files = shlex.join(more)
        return Problem(
            f"{ctx.command_path} has no {first}: a file of inputs is given as it is",
            remedy=f"{ctx.command_path} {shlex.quote(str(ctx.params['target']))} {short(files, 200)}",
        )
    target = shlex.quote(str(ctx.params["target"]))
    listed = short(shlex.join(words), 200)
    in_files = f"for the rows in them: cat {listed} | {ctx.command_path} {target}"
    return Problem(
        f"{ctx.command_path} takes one INPUT, and got {len(words)}",
        *([in_files] if all(os.path.isfile(word) for word in words) else []),
        remedy=f"{ctx.command_path} {target} ::: {listed}",
    )


Decorator: TypeAlias = Callable[[Callable[..., int]], Callable[..., int]]
Decorates: TypeAlias = Callable[..., Decorator]

input_option: Decorates = partial(click.option, cls=GroupedOption, heading="Input")
output_option: Decorates = partial(click.option, cls=GroupedOption, heading="Output")
pace_option: Decorates = partial(click.option, cls=GroupedOption, heading="Pace and patience")
journal_option: Decorates = partial(click.option, cls=GroupedOption, heading="Journal")
message_option: Decorates = partial(click.option, cls=GroupedOption, heading="Messages")

OPTIONS = (
    input_option(
        "--format",
        type=click.Choice(["text", "jsonl", "json", "csv", "tsv", "parquet"]),
        help="The format of INPUT, if its name does not say it.",
    ),
    input_option("--delimiter", metavar="C", help="The separator of CSV fields: ; or tab."),
    input_option(
        "--encoding", metavar="NAME", help="The encoding of text: utf-16, latin-1, cp1252, …; UTF-8 if not given."
    ),
    input_option("-0", "--null", is_flag=True, help="Inputs end with NUL instead of a line end: find -print0."),
    input_option("--take", type=click.IntRange(min=1), metavar="N", help="Stop after N rows of INPUT."),
    input_option(
        "--dry-run", type=click.IntRange(min=1), metavar="N", help="Show the first N calls without making them."
    ),
    output_option(
        "-o",
        "--out",
        default="-",
        type=Name(),
        metavar="OUT",
        help="Write outcomes to OUT: - (JSON lines), a file, a URL.",
    ),
    output_option(
        "--failed", type=Name(), metavar="FILE", help="Write failures to FILE; as .jsonl it is a valid INPUT."
    ),
    output_option("--overwrite", is_flag=True, help="Replace OUT and FILE if they exist."),
    output_option("--append", is_flag=True, help="Add outcomes to the end of OUT and FILE: .jsonl, .csv."),
    output_option("--values", is_flag=True, help="Write only the values; failures go to stderr or --failed."),
    output_option("--fields", metavar="A,B", callback=fields, help="Write only these fields of the input."),
    output_option("--times", is_flag=True, help="Add the start of the call (UTC) and the seconds it took."),
    output_option(
        "--summary", type=Name("summary.json"), metavar="FILE", help="Write a summary to FILE, as one JSON object."
    ),
    output_option(
        "--trace",
        type=Name("run.trace"),
        metavar="FILE",
        help="Record each call, without its input, in FILE for whilst report.",
    ),
    pace_option(
        "-j",
        "--concurrency",
        type=Concurrency(),
        metavar="N|adaptive",
        help="Calls at once; by default 32; adaptive finds the best number.",
    ),
    pace_option(
        "--rate",
        multiple=True,
        callback=rates,
        metavar="100/s",
        help="Calls that may start in a time: 100/s, 5000/h; may be given several times.",
    ),
    pace_option("--limit-by", metavar="FIELD", help="-j and --rate are for each value of FIELD."),
    pace_option("--retry", type=Attempts(), metavar="N", help="Make at most N attempts for each input."),
    pace_option(
        "--retry-on",
        multiple=True,
        metavar="WHAT",
        help="What to try again: transient (the default), all, or names: KeyError, 404; may be given several times.",
    ),
    pace_option(
        "--retry-budget",
        type=Share(),
        metavar="P%|none",
        help="How many retries there may be to the calls: by default 20%, and 10 a second; none: any number.",
    ),
    pace_option("--timeout", type=Seconds(), metavar="S", help="Seconds for one attempt."),
    pace_option("--deadline", type=Seconds(), metavar="S", help="Seconds for the whole run."),
    pace_option("--stop-after", type=StopAfter(), metavar="N|P%", help="Stop after N failures, or P percent."),
    pace_option(
        "--ordered/--unordered", default=True, help="Outcomes in the order of INPUT (the default), or as they finish."
    ),
    journal_option(
        "--journal",
        type=Name("run.db"),
        metavar="FILE",
        help="Keep outcomes in FILE; the same command continues from there.",
    ),
    journal_option("--journal-key", metavar="FIELD", help="Recognise a row by FIELD, not by its whole content."),
    journal_option(
        "--commit",
        type=click.Choice(["buffered", "strict"]),
        default="buffered",
        help="Write outcomes many at a time, or each one before it is given out.",
    ),
    journal_option("--accept-old", is_flag=True, help="Keep old results although the function has changed."),
    journal_option("--fresh", is_flag=True, help="Move the old FILE aside and start a new one."),
    journal_option("--keep-failed", is_flag=True, help="Do not try failed inputs again."),
    message_option(
        "--progress/--no-progress", default=None, help="Show progress on stderr; by default only on a terminal."
    ),
    message_option("--watch", is_flag=True, help="Serve a live page of the run, on this machine."),
    message_option(
        "--advice",
        type=click.Choice(["on", "off"]),
        help="Say at the end what would help; by default after runs of over a second.",
    ),
    message_option(
        "--log",
        type=click.Choice(["text", "json"]),
        help="Write a line on stderr for each event: retries, pauses.",
    ),
    message_option("-q", "--quiet", is_flag=True, help="Print only errors on stderr."),
)

rows_command: Callable[..., Callable[[Callable[..., Any]], click.Command]] = partial(
    click.command,
    cls=GroupedCommand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes and signals: whilst help.",
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
