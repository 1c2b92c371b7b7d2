"""What does a flow mean? Turns its tree into one async function, once per run; its stages into what opens them.

Nodes live on the loop; only the call of a leaf (`engine.leaf`) holds permits and, if it blocks, a thread. It takes them
all at once, and nothing that holds one waits for another call, so no nesting can deadlock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from itertools import groupby
from math import inf
from typing import Any, Literal

from ..core.attempt import Patience
from ..core.colour import name_of
from ..core.failures import StopAfter
from ..core.judge import checked_key
from ..core.outcome import Outcome, Record, noted, noted_item
from ..core.retried import retries_of
from ..core.tree import (
    STAGES,
    Batched,
    Each,
    Fallback,
    First,
    Flatten,
    Node,
    Policed,
    Sequence,
    Step,
    Together,
    flat_steps,
    kind_name,
)
from ..engine import join, stages
from ..lanes.awaiting import check_told_to_end
from ..lanes.calling import wanted
from ..limit.state import LimitState, in_order
from .batching import KeyOf, batched
from .consume import value_of
from .invoke import InRow, invoker, may_be_in_row
from .leaf import Leaf, is_calling
from .opening import Opening
from .scope import Scope
from .slots import Slots
from .stage import Behind, Ending, Stage
from .stages import merged
from .suspended import GivenUp, tells

Runner = Callable[[Any], Awaitable[Any]]
Opener = Callable[[Any, Ending | None], stages.Stream]
"""Gives the items that a stage makes of those of a stream, whose end may be asked for if the stage reads it itself."""

LEAST_AHEAD = 32  # items that an adaptive stage reads ahead at first; what it finds best decides on more
ALL_OF_THEM = StopAfter(share=1.0)
HOLDS_PLACES = tells(holds=lambda its: (its["places"], None, None))
HOLDS_SLOTS = tells(holds=lambda its: (its["slots"], its["leaf"], None) if is_calling(its) else None)


def opener(node: Node, path: str, scope: Scope) -> Opener:
    """Return what opens a stage that makes no calls. What it shares holds over the whole run."""
    left = partial(scope.leave_source, path)
    match node:
        case Batched(n, within, by):
            key_of = None if by is None else _key_of(by, scope, path)
            return lambda source, _: batched(source, n, within, key_of, left)
        case Flatten(concurrency) if concurrency > 1:
            return lambda source, _: merged(source, concurrency, path, left)
        case _:
            return lambda source, _: stages.flatten(source, path)


def noting(run: Runner, where: str, value: Any) -> Runner:
    """Have what fails in a stage name the item, the stage by its path, and the value that is streamed."""

    async def call(item: Any) -> Any:
        try:
            return await run(item)
        except Exception as error:
            noted_item(error, item, where)
            noted(error, 0, value, 1)
            raise

    return call


def path_of_stage(node: Node, path: str) -> str:
    """Return what messages call a stage at `path`; one that is the whole flow has its kind for a path already."""
    kind = kind_name(node)
    return path if path == kind else f"{path}.{kind}"


def each(node: Each, stage: Stage, scope: Scope, step: Runner) -> Opener:
    """Return what opens a stage that calls `step` on its items."""
    given = _yields(node, stage.path, scope)
    call = _shared(step, stage.places, stage.path)

    def open_it(source: Any, ending: Ending | None) -> stages.Stream:
        return stages.each(
            call,
            source,
            concurrency=stage.concurrency,
            ordered=node.ordered,
            name=stage.path,
            run_ahead=LEAST_AHEAD if node.at_once.adaptive else None,
            ending=ending,
            yields=given,
            stage=stage,
            look=scope.look,
            left=scope.leave,
        )

    return open_it


def _shared(run: Runner, places: Slots, where: str) -> Runner:
    """Hold the stage's concurrency over all inputs that are in it at the same time."""

    @HOLDS_PLACES
    async def call(item: Any) -> Any:
        if places.free > 0:
            places.free -= 1
        else:
            await places.acquire()
        try:
            return await run(item)
        except Exception as error:
            noted_item(error, item, where)
            raise
        finally:
            if places.waiting or places.lent:
                places.release()
            else:
                places.free += 1

    return call


def _yields(node: Each, path: str, scope: Scope) -> stages.Yields:
    """Return what a stage gives: values, items that are kept, values without failures, or outcomes."""

    def kept(record: Record) -> Any:
        return record[1] if value_of(record) else stages.NOTHING

    def skipping(record: Record) -> Any:
        if record[3] is None:
            return record[2]
        scope.went_on(f"{path} skipped", record[3])
        return stages.NOTHING

    def outcome(record: Record) -> Outcome[Any, Any]:
        index, item, value, error, started, took, attempts = record
        if error is not None:
            scope.went_on(f"{path} passed on", error)
        return Outcome(index, item, value, error, started - scope.began, took, attempts)

    if node.keeps:
        return stages.Yields(kept, leaves_out=True)
    if node.failures == "skip":
        way_on = 'failures="pass" would have the next stage decide'
        return stages.Yields(skipping, fail_fast=False, leaves_out=True, way_on=way_on)
    if node.failures == "pass":
        return stages.Yields(outcome, fail_fast=False, stop_after=ALL_OF_THEM)
    return stages.RAISING


def _key_of(by: Callable[[Any], Any], scope: Scope, path: str) -> KeyOf:
    """Return what asks for the key of an item, not for long at a time."""
    name, asking = f"batched(by={name_of(by)})", scope.asking

    async def key_of(item: Any) -> Any:
        await asking.turn()
        try:
            return checked_key(asking.ask(name, by, item), name)
        except Exception as error:
            noted_item(error, item, path)
            raise

    return key_of


At = tuple[Node, str]  # a node and its path in the tree, for messages
ALONE = "step"  # the path of a step that is the whole flow


def compile_node(
    node: Node, scope: Scope, path: str, limits: tuple[LimitState, ...] = (), stage: Stage | None = None
) -> Runner:
    """Return the async function that gives `node` its meaning, within one run.

    `limits` are those of what it is part of; `stage` is the one that it is in.
    """
    match node:
        case Step():
            return _leaf(node, scope, path, limits, stage)
        case Sequence():
            return _sequence(list(flat_steps(node, path)), scope, limits, stage)
        case Together(branches, names):
            at = names if names is not None else tuple(f"[{place}]" for place in range(len(branches)))
            each_at = [(one, _under(path, key)) for key, one in zip(at, branches, strict=True)]
            return _together(scope, scope.behind(path, at), _branches(each_at, scope, limits, stage), names)
        case First(branches):
            each_at = [(one, f"{path}[{place}]") for place, one in enumerate(branches)]
            runners = _branches(each_at, scope, limits, stage)
            return _first(scope, runners, path)
        case Fallback(branches):
            runners = [compile_node(one, scope, f"{path}[{i}]", limits, stage) for i, one in enumerate(branches)]
            return lambda value: join.fallback(runners, value, path)
        case Policed(inner):
            first = scope.at_first_step
            scope.at_first_step |= node.retry is not None  # of an attempt
            run = compile_node(inner, scope, path, (*limits, *node.limits), stage)
            return _policed(node, run, scope, path, first)
        case _:
            return _pipeline([(node, path)], scope, limits)


def open_stream(
    steps: list[At], scope: Scope, value: Any, where: str, limits: tuple[LimitState, ...] = ()
) -> stages.Stream:
    """Return the items that the last of `steps` gives for `value`; nothing runs before the first is asked for.

    `where` is the path of the stage that will consume them, if `steps` has none.
    """
    place = len(steps)
    while place and isinstance(steps[place - 1][0], STAGES):
        place -= 1
    head, tail = steps[:place], steps[place:]
    openers = _openers(tail, scope, limits)
    first = path_of_stage(*tail[0]) if tail else where
    made = _sequence(head, scope, limits, ending=scope.ending) if head else None
    return _named_value(_stream(made, tail, openers, value, first, scope.ending), value)


def _sequence(
    steps: list[At],
    scope: Scope,
    limits: tuple[LimitState, ...],
    stage: Stage | None = None,
    ending: Ending | None = None,
) -> Runner:
    """Run plain steps one by one; stages in a row are one pipeline, whose items a plain step then gets as a list."""
    parts: list[Runner] = []
    for kind, group in groupby(steps, lambda at: _kind_of_part(at[0], limits, scope)):
        row = list(group)
        if kind == "stages":
            parts.append(_pipeline(row, scope, limits, ending))
        elif kind == "row" and len(row) > 1:
            parts.append(_row(row, scope, stage))
        else:
            parts += [compile_node(step, scope, _named(step, at), limits, stage) for step, at in row]
    first, *others = parts
    if not others:
        return first

    async def run(value: Any) -> Any:
        value = await first(value)
        for part in others:
            check_told_to_end()
            value = await part(value)
        return value

    return run


def _kind_of_part(node: Node, limits: tuple[LimitState, ...], scope: Scope) -> Literal["stages", "row", "one"]:
    if isinstance(node, STAGES):
        return "stages"
    return "row" if not (limits or scope.watch.observers) and may_be_in_row(node) else "one"


def _row(steps: list[At], scope: Scope, stage: Stage | None) -> Runner:
    slots = _slots(scope, stage)

    def alone(place: int) -> tuple[Leaf, Runner]:
        step, at = steps[place]
        assert isinstance(step, Step)
        return _short(step, scope, at, slots)

    return InRow([step for step, _ in steps if isinstance(step, Step)], scope, slots, alone)


def _branches(branches: list[At], scope: Scope, limits: tuple[LimitState, ...], stage: Stage | None) -> list[Runner]:
    """Return what runs at the same time: each branch has a first step, if that is the first of all."""
    first, runners = scope.at_first_step, list[Runner]()
    for node, at in branches:
        scope.at_first_step = first
        runners.append(compile_node(node, scope, at, limits, stage))
    scope.at_first_step = False
    return runners


def _together(scope: Scope, behind: Behind, branches: list[Runner], names: tuple[str, ...] | None) -> Runner:
    async def run(value: Any) -> Any:
        if scope.left:
            scope.check_left()
        found = await join.all_of(branches, value, scope.leave, behind)
        return tuple(found) if names is None else dict(zip(names, found, strict=True))

    return run


def _first(scope: Scope, branches: list[Runner], path: str) -> Runner:
    async def run(value: Any) -> Any:
        if scope.left:
            scope.check_left()
        return await join.first_of(branches, value, scope.leave, path)

    return run


def _pipeline(steps: list[At], scope: Scope, limits: tuple[LimitState, ...], ending: Ending | None = None) -> Runner:
    openers = _openers(steps, scope, limits)
    where = path_of_stage(*steps[0])

    async def run(value: Any) -> list[Any]:
        if scope.left:
            scope.check_left()
        async with aclosing(_stream(None, steps, openers, value, where, ending)) as stream:
            return [item async for item in stream]

    return run


def _openers(steps: list[At], scope: Scope, limits: tuple[LimitState, ...]) -> list[Opener]:
    """Return how each stage is opened; what it shares holds over the whole run."""
    found: list[Opener] = []
    for node, at in steps:
        where = path_of_stage(node, at)
        if isinstance(node, Each):
            stage = scope.stage(node, where)
            found.append(each(node, stage, scope, compile_items(stage, node, scope, limits)))
        else:
            scope.at_first_step = False
            found.append(opener(node, where, scope))
    return found


def compile_items(stage: Stage, node: Each, scope: Scope, limits: tuple[LimitState, ...]) -> Runner:
    """Return what a stage does with each of its items."""
    scope.at_first_step, before = True, len(scope.leaves)
    run = compile_node(node.step, scope, stage.path, limits, stage)
    scope.at_first_step = False
    stage.leaves = scope.leaves[before:]
    return run


async def _named_value(stream: stages.Stream, value: Any) -> stages.Stream:
    """Have what fails name the value that is streamed."""
    async with aclosing(stream):
        try:
            async for item in stream:
                yield item
        except Exception as error:
            noted(error, 0, value, 1)
            raise


async def _stream(
    head: Runner | None,
    steps: list[At],
    openers: list[Opener],
    value: Any,
    where: str,
    ending: Ending | None = None,
) -> stages.Stream:
    source: Any = value if head is None else await head(value)
    one = bool(steps) and isinstance(steps[0][0], Flatten)
    if ending is not None or not one:
        stages.check_stream(source, where)
    if ending is not None and not steps:
        if not ending.begins(None):
            return
    elif ending is not None and not isinstance(steps[0][0], Each):
        source, ending = stages.until(source, ending), None
    if one:
        source = [source]  # a plain value is a stream of one: one input, many outputs
    for opens in openers:
        source, ending = opens(source, ending), None  # to end is the first one's
    async with aclosing(source if steps else stages.items(source)) as stream:
        async for item in stream:
            yield item


# -- leaves and policies ------------------------------------------------------------------------------------------


def _leaf(step: Step, scope: Scope, path: str, limits: tuple[LimitState, ...], stage: Stage | None) -> Runner:
    """Return one call of a step with its policies: attempts, each perhaps with a hedge, each call with its permits."""
    limits, slots = in_order((*limits, *step.limits)), _slots_of(step, scope, path, stage)
    opening = scope.opening() if step.use or step.elsewhere else None
    if scope.watch.observers:
        seen = step
        if not step.elsewhere:
            seen = step._replace(fn=scope.watch.wrap(step.fn, path, is_async=not step.on_thread))
        return _with_policies(
            step, scope, path, limits, slots, invoker(seen, scope, opening, alone=path == ALONE), opening
        )
    careful = step.retry is not None and (step.retry.total is not None or step.retry.on_value is not None)
    if not (limits or step.hedge or careful):
        return _short(step, scope, path, slots, opening)[1]
    leaf = _with_policies(step, scope, path, limits, slots, invoker(step, scope, opening, alone=path == ALONE), opening)
    return leaf.straight if leaf.may_go_straight else leaf


def _slots(scope: Scope, stage: Stage | None) -> Slots:
    return scope.slots if stage is None else stage.slots()


def _slots_of(step: Step, scope: Scope, path: str, stage: Stage | None) -> Slots:
    """Return the places of a step; where its calls are made elsewhere, as many as can be made there at once."""
    if not step.elsewhere:
        return _slots(scope, stage)
    place = step.executor
    if stage is not None:
        scope.calls_there(place, lambda: stage.concurrency)
    elif path == ALONE:
        scope.calls_there(place, lambda: scope.most)
    else:
        scope.calls_there(place, lambda: place.default)
        return Slots(place.default, scope.slots)
    return _slots(scope, stage)


def _short(step: Step, scope: Scope, path: str, slots: Slots, opening: Opening | None = None) -> tuple[Leaf, Runner]:
    invoke = invoker(step, scope, opening, alone=path == ALONE)
    leaf = _with_policies(step, scope, path, (), slots, invoke, opening)
    if step.on_thread and not step.is_generator:
        invoke = partial(invoke, after=leaf.off_thread)
    if step.timeout is not None and not step.elsewhere:
        invoke = _timed(invoke, step.timeout, step.called, scope, leaf)
    return leaf, _plain(leaf, invoke, scope, slots, retries=step.retry is not None)


def _timed(invoke: Runner, timeout: float, name: str, scope: Scope, leaf: Leaf) -> Runner:
    patience, clock, within = Patience(name, timeout, inf), scope.clock, scope.deadlines.within

    async def run(value: Any) -> Any:
        started = clock()
        bound = leaf.bound(started + timeout, started)
        try:
            return await within(bound, lambda: patience.error(started, clock()), invoke, value)
        finally:
            if bound.gone:
                raise GivenUp

    return run


def _with_policies(
    step: Step,
    scope: Scope,
    path: str,
    limits: tuple[LimitState, ...],
    slots: Slots,
    invoke: Runner,
    opening: Opening | None,
) -> Leaf:
    first, scope.at_first_step = scope.at_first_step, False
    leaf = Leaf(
        scope,
        invoke,
        step.called,
        where=f"whilst: step {path} ({step.label})",
        slots=slots,
        limits=limits,
        retry=step.retry,
        timeout=None if step.elsewhere else step.timeout,  # there a call has its time from when it begins
        hedge=step.hedge,
        path=path,
        alone=path == ALONE,
        on_thread=step.on_thread,
        inside=retries_of(step.fn) if step.retry is not None else "",
        first=first,
    )
    leaf.spent.opening = opening
    return leaf


def _plain(leaf: Leaf, invoke: Runner, scope: Scope, slots: Slots, *, retries: bool) -> Runner:
    """Return the short way of a step without limits, as long as its calls go well and nobody has told it to pause."""
    clock, spent, outer = leaf.clock, leaf.spent, slots.outer
    named = leaf.naming(invoke)

    @HOLDS_SLOTS
    async def run(value: Any) -> Any:
        began = 0.0
        if timed := spent.is_timed:
            if leaf.gate is not None:
                return await leaf(value)
            if scope.left:
                scope.check_left()
            began = clock()
        if slots.free > 0 and (outer is None or outer.free > 0):
            slots.free -= 1
            if outer is not None:
                outer.free -= 1
        else:
            reason, since = slots.refusal, clock()
            await slots.acquire()
            began = clock()
            spent.waited(reason, began - since)
            if leaf.gate is not None:  # it has come meanwhile, and may have everybody wait
                slots.release()
                return await leaf(value)
        started = clock() if retries else 0.0
        leaf.begun += 1
        try:
            result = await (named(value) if wanted.is_asked else invoke(value))
        except Exception as error:
            if not retries:
                if timed:
                    spent.called(took := clock() - began)
                    scope.took(error, took)
                leaf.failed(leaf.plain(clock()), value, error)
                raise
            again = await leaf.failed_first(leaf.plain(started), value, error)
            if again is None:
                raise
        except BaseException:  # a cancellation says nothing of the other side
            if timed:
                spent.called(clock() - began)
            leaf.dropped(leaf.plain(started))
            raise
        else:
            if timed:
                spent.called(clock() - began)
            if leaf.gate is not None:
                leaf.went_well(leaf.plain(started or clock()), value)
            else:
                leaf.over += 1
                if slots.waiting or slots.lent or (outer is not None and outer.waiting):
                    slots.release()
                else:
                    slots.free += 1
                    if outer is not None:
                        outer.free += 1
            return result
        return await leaf.go_on(value, again)

    return run


def _policed(node: Policed, run: Runner, scope: Scope, path: str, first: bool) -> Runner:
    """Return a part of a flow with its retry and timeout; it holds no slot, as its steps do."""
    if node.timeout is None and node.retry is None:
        return run
    return Leaf(scope, run, path, slots=Slots(), retry=node.retry, timeout=node.timeout, first=first)


def _under(path: str, key: str) -> str:
    return f"{path}{key}" if key.startswith("[") else f"{path}.{key}"


def _named(node: Node, path: str) -> str:
    """Return the path of a node in a sequence: its place, and its kind where it has parts of its own."""
    return path if isinstance(node, (Step, Policed)) else f"{path}.{kind_name(node)}"
