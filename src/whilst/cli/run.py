"""`whilst run TARGET [INPUT]`: a flow, once over one value, or over each row of INPUT."""

from __future__ import annotations

import inspect
import json
import os
import shlex
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from ..arguments import limits_of, own_limit
from ..core.colour import name_of
from ..core.concurrency import AtOnce
from ..core.described import described
from ..core.summary import Summary
from ..core.tree import STAGES, Node, Sequence, Step, children, ends_in_stage, kind_name
from ..flow import Flow, plan_of, step
from ..io.attendant import Attendant
from ..io.rows import Row
from ..io.sink import Shape, Sink
from ..run import Run
from .call import Mode
from .deliver import _POLICY, Sinks, Tally, Verdict
from .eyes import watched
from .items import Items
from .job import choose_loop, give_streams
from .jobsummary import JobSummary
from .log import logged
from .map import batch_option, call_option, run_map
from .messages import BROKEN_PIPE, DISK, FAILED, OK, STOPPED, Problem, place, say, short
from .options import RunOptions, input_option, inputs_given, rows_command, with_run_options
from .outputs import check_outputs, finish_outputs, open_sink
from .pace import in_flags
from .paths import Name
from .plan import flow_of_target, speaking_of
from .signals import Interrupted, Signals
from .target import Target, load_target
from .watching import show_progress
from .whither import say_where_the_time_went

if TYPE_CHECKING:
    from ..sinks.progress import Progress

# What makes sense for one value too; the other options are those of `whilst map` and speak of rows.
FOR_ONE = frozenset(
    {"target", "value", "out", "overwrite", "concurrency", "rate", "deadline", "progress", "quiet", "summary", "trace"}
    | {"watch", "log", "advice"}
)
NOTHING = object()
NO_INPUT = Row(1, None, b"null")  # values are written alone
MOST_CAUSES = 5  # lines that a group of failures gets in a message


class Unwritable(Exception):
    """A value that JSON has no words for."""


@rows_command()
@click.argument("target", type=click.Path())
@click.argument("input", required=False, type=Name())
@input_option("--value", metavar="JSON", help="The value to run with, if there is no INPUT.")
@call_option
@batch_option
@with_run_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    target: str,
    input: str | None,
    value: str | None,
    call: Mode | None,
    batch: int | None,
    options: RunOptions,
) -> int:
    """Run TARGET once, or over each row of INPUT.

    TARGET is module:name or file.py:name, a flow or a function. Without INPUT it runs once, with no value or the value
    of --value, and the result is written as JSON. A flow that ends in a stage writes a line for each item, as soon as
    it is there. With INPUT it works like `whilst map`, with the same options and output.

    \b
    whilst run jobs.py:enrich --value 42
    whilst run jobs.py:enrich ids.txt -j 50 -o out.jsonl --failed failed.jsonl
    """
    with speaking_of("run"):
        if input is None and inputs_given() is None:
            _check_for_one(ctx)
            return run_once(target, value, options)
        if value is not None:
            raise Problem(
                "--value and INPUT cannot be given together",
                f"--value is {short(value, 60)}, INPUT is {input or ':::'}",
                remedy=f"whilst run {target} {input or '::: …'}",
            )
        return run_map(target, input or "-", call, options, batch)


def run_once(given: str, value: str | None, options: RunOptions) -> int:
    """Run TARGET over one value and return the exit code; Problem if it cannot even begin."""
    summary = JobSummary(options)
    with Signals() as signals, ExitStack() as undo:
        try:
            return summary.write(_run(given, value, options, signals, undo, summary))
        except Interrupted as signal:
            say("interrupted: nothing was called")
            return summary.write(128 + signal.number, "interrupted: nothing was called")
        except Problem as problem:
            summary.write(problem.code, str(problem))
            raise


def _run(
    given: str, text: str | None, options: RunOptions, signals: Signals, undo: ExitStack, summary: JobSummary
) -> int:
    value = NOTHING if text is None else _parsed(text)
    give_streams(options)
    target = load_target(given)
    flow = flow_of_target(target)
    if value is NOTHING:
        flow, value = _over_nothing(flow, target), None
    if check_outputs(options) != "jsonl":
        stem = os.path.splitext(options.out)[0]
        raise Problem(f"{options.out}: one value is written as JSON", remedy=f"-o {stem}.jsonl, or an INPUT of rows")
    out = open_sink(options.out, options, undo, signals.check)
    run = _make_run(flow, value, target, options)
    undo.pop_all()  # from here on what was written is kept
    with watched(options), logged(options):
        return _drive(run, out, signals, options, summary, Items(flow.node))


def _drive(
    run: Run[Any, Any], out: Sink, signals: Signals, options: RunOptions, summary: JobSummary, items: Items
) -> int:
    """Let the run go on to whatever end, write the rest, and say how it ended."""
    written = 0
    ended_by: BaseException | None = None
    signals.attach(run, [out.finish])
    attendant: Attendant | None = None
    progress: Progress | None = None
    try:
        attendant = Attendant([out], on_broken=run.cancel)
        progress = show_progress(run.summary, wanted=False if options.quiet else options.progress)
        with run:
            out.begin(Shape(values_only=True))
            for item in run:
                out.write(NO_INPUT, _prepared(out, item))
                written += 1
                items.take_one(item)
    except BaseException as error:  # also SystemExit and KeyboardInterrupt out of a call: results are saved first
        ended_by = error
    now = run.summary()
    if attendant is not None:
        attendant.stop()
    if progress is not None:
        progress.stop()
    problem = finish_outputs(Sinks(out, out))
    verdict = _judge(out.broken or ended_by, signals, now, out, written, items.of_batches)
    summary.tell(now, Tally(ok=written, failed=now.failed, items=items.of_batches), verdict.text, broke=verdict.broke)
    if verdict.text and (verdict.code != OK or not options.quiet):
        say(verdict.text)
    say_where_the_time_went(now, options)
    if options.trace is not None and not options.quiet:
        say(f"see it: whilst report {shlex.quote(options.trace)}")
    if problem:
        say(problem)
    return DISK if problem and verdict.code in (OK, FAILED) else verdict.code


def _make_run(flow: Flow[Any, Any], value: Any, target: Target, options: RunOptions) -> Run[Any, Any]:
    choose_loop()
    own = own_limit(options.concurrency, options.rate)
    plan = plan_of(
        flow,
        [value],
        as_stream=ends_in_stage(flow.node),
        at_once=AtOnce(options.concurrency) if isinstance(options.concurrency, int) else None,
        limits=limits_of(own),
        deadline=options.deadline,
        progress=False,
        name=target.name,
        trace=_trace_of(options),
    )
    return Run(plan._replace(in_flags=True))


def _trace_of(options: RunOptions) -> str | None:
    if options.trace is None:
        return None
    from ..insight.tracefile import check_trace

    try:
        return check_trace(options.trace)
    except ValueError as error:
        raise in_flags(error, ("trace",), "whilst run") from None


def _judge(
    ended_by: BaseException | None, signals: Signals, now: Summary, out: Sink, written: int, items: int | None
) -> Verdict:
    """Turn the end of the run into its message and exit code; a signal counts before what it caused."""
    many = "" if items is None else f" ({items:,} {'item' if items == 1 else 'items'})"
    count = f"{written:,} {'value' if written == 1 else 'values'}{many}"
    tail = [f"{count} written in {now.elapsed:,.1f} s"]
    if now.abandoned:
        tail.append(f"left behind, still inside: {'; '.join(now.left_behind[:3])}")
    if isinstance(ended_by, OSError) and ended_by is out.broken:
        if isinstance(ended_by, BrokenPipeError):
            return Verdict(BROKEN_PIPE, "")
        return Verdict(DISK, _said(f"error: {out.name} cannot be written: {ended_by.strerror or ended_by}", tail))
    if signals.first is not None:
        return Verdict(128 + signals.first, _said(f"interrupted: {tail[0]}", tail[1:]))
    if isinstance(ended_by, _POLICY):
        return Verdict(STOPPED, _said(f"stopped: {str(ended_by).partition(chr(10))[0]}", tail))
    if isinstance(ended_by, Unwritable):
        return Verdict(FAILED, _said(f"error: value {written + 1} cannot be written: {ended_by}", tail), broke=True)
    if ended_by is not None:
        text = _said(f"error: {short(described(ended_by), 300)}", [*_evidence(ended_by), *tail])
        return Verdict(FAILED, text, broke=True)
    return Verdict(OK, f"done: {tail[0]}")


def _evidence(error: BaseException) -> list[str]:
    """Say where it happened: the step of the flow, the user's own line, and what a group holds."""
    notes: list[str] = getattr(error, "__notes__", [])
    steps = [note.removeprefix("whilst: ") for note in notes if note.startswith(("whilst: step", "whilst: meanwhile"))]
    where = "; ".join(it for it in (place(error), *steps) if it)
    causes: list[BaseException] = list(getattr(error, "exceptions", ()))
    shown = [f"{short(described(it), 160)} ({place(it)})" for it in causes[:MOST_CAUSES]]
    return [*([where] if where else []), *shown]


def _said(fact: str, evidence: list[str]) -> str:
    return "\n  ".join([fact, *evidence])


def _prepared(out: Sink, value: object) -> Any:
    try:
        return out.prepare(value)
    except (TypeError, ValueError) as error:
        raise Unwritable(str(error)) from error


# -- the one value ------------------------------------------------------------------------------------------------


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        fact = "nested too deep" if deep else str(error).removeprefix("JSON is malformed: ")
        raise Problem(
            f"--value is not JSON: {fact[0].lower()}{fact[1:]}",
            f"it is {short(text, 60) or 'empty'}",
            remedy=f"--value {shlex.quote(json.dumps(short(text, 60), ensure_ascii=False))} for text",
        ) from None


def _over_nothing(flow: Flow[Any, Any], target: Target) -> Flow[Any, Any]:
    """Return what to run over no value; Problem if that cannot be meant."""
    if isinstance(target.fn, Flow):
        needy = _in_need(flow.node)
        evidence = f"{target.given} begins with it"
    else:
        flow = step(_without_value(target.fn))  # its parameters may have defaults of their own: None is not meant
        needy = None if _takes_nothing(target.fn, unknown=True) else target.fn
        evidence = target.place
    if needy is None:
        return flow
    raise Problem(
        f"{name_of(needy) + '()' if callable(needy) else needy} needs a value, and none was given",
        evidence,
        remedy=f"whilst run {target.given} --value JSON, or an INPUT of rows",
    )


def _without_value(fn: Callable[..., Any]) -> Callable[[], Any]:
    def call() -> Any:
        return fn()

    call.__qualname__ = name_of(fn)
    return call


def _in_need(node: Node) -> Callable[..., Any] | str | None:
    """Return the first function, or the kind of stage, that cannot do without a value, if there is one."""
    match node:
        case Step(fn):
            keywords = [key for key, _ in node.use]
            return None if not node.takes_value or _takes_nothing(fn, keywords) else fn
        case Sequence(steps):
            return _in_need(steps[0])
        case _ if isinstance(node, STAGES):
            return f"{kind_name(node)}()"
        case _:
            return next((found for _, child in children(node) if (found := _in_need(child))), None)


def _takes_nothing(fn: Callable[..., Any], keywords: Iterable[str] = (), *, unknown: bool = False) -> bool:
    """Whether `fn` can be called without a value; `unknown` where Python does not say (many builtins)."""
    try:
        inspect.signature(fn).bind(**dict.fromkeys(keywords))
    except TypeError:
        return False
    except ValueError:
        return unknown
    return True


def _check_for_one(ctx: click.Context) -> None:
    """Refuse the options that speak of rows where there are none."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name not in FOR_ONE and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            off = ctx.params[name] is False and parameter.secondary_opts
            option = (parameter.secondary_opts if off else parameter.opts)[-1]
            raise Problem(
                f"{option} is for rows, and there is no INPUT",
                "without INPUT, TARGET runs once; - is standard input",
                remedy=f"whilst run {ctx.params['target']} - {option} …",
            )
