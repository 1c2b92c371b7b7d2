"""What a flow means: turns its tree into one async function, once per run.

Nodes live on the loop; only the call of a leaf holds a permit and, if it blocks, a thread. A leaf takes what it
needs in this order: the shared limits, in one order for all calls, then one of the run's permits. Nothing that holds
one of the run's permits ever waits for another call, so no nesting can deadlock.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from ..core.colour import has_method, is_generator_function, name_of
from ..core.retried import retried_inside, retries_of
from ..core.retry import Retry
from ..core.tree import (
    STAGES,
    Batched,
    Each,
    First,
    Flatten,
    Node,
    Policed,
    Sequence,
    Step,
    Together,
    Uses,
    flat_steps,
    kind_name,
)
from ..limit import Claim, Hold, Limit, report_of
from . import join, stages
from .hedging import Hedging
from .permits import Permits
from .resources import for_thread
from .retrying import Retrying
from .scope import Scope

LEAST_AHEAD = 32  # items that an adaptive stage reads ahead at first; what it finds best decides on more

Runner = Callable[[Any], Awaitable[Any]]
At = tuple[Node, str]  # a node and its path in the tree, for messages


def compile_node(node: Node, scope: Scope, path: str, limits: tuple[Limit, ...] = ()) -> Runner:
    """Return the async function that gives `node` its meaning, within one run."""
    match node:
        case Step():
            return _leaf(node, scope, path, limits)
        case Sequence():
            return _sequence(list(flat_steps(node, path)), scope, limits)
        case Together(branches, names):
            at = names if names is not None else tuple(f"[{place}]" for place in range(len(branches)))
            return _together(
                [compile_node(one, scope, _under(path, key), limits) for key, one in zip(at, branches, strict=True)],
                names,
            )
        case First(branches):
            runners = [compile_node(one, scope, f"{path}[{i}]", limits) for i, one in enumerate(branches)]
            return lambda value: join.first_of(runners, value, path)
        case Policed(inner):
            run = compile_node(inner, scope, path, (*limits, *node.limits))
            return _retried(_timed(run, node.timeout, scope, path), node, scope, path)
        case _:
            return _pipeline([(node, path)], scope, limits)


def open_stream(steps: list[At], scope: Scope, value: Any, where: str, limits: tuple[Limit, ...] = ()) -> stages.Stream:
    """Return the items that the last of `steps` gives for `value`; nothing runs before the first is asked for.

    `where` is the path of the stage that will consume them, if `steps` has none.
    """
    place = len(steps)
    while place and isinstance(steps[place - 1][0], STAGES):
        place -= 1
    head, tail = steps[:place], steps[place:]
    runners = _stage_runners(tail, scope, limits)
    first = path_of_stage(*tail[0]) if tail else where
    return _stream(_sequence(head, scope, limits) if head else None, tail, runners, value, first)


def path_of_stage(node: Node, path: str) -> str:
    """Return what messages call a stage at `path`; one that is the whole flow has its kind for a path already."""
    kind = kind_name(node)
    return path if path == kind else _under(path, kind)


def _sequence(steps: list[At], scope: Scope, limits: tuple[Limit, ...]) -> Runner:
    """Run plain steps one by one; stages in a row are one pipeline, whose items a plain step then gets as a list."""
    parts: list[Runner] = []
    row: list[At] = []
    for step, at in steps:
        if isinstance(step, STAGES):
            row.append((step, at))
            continue
        if row:
            parts.append(_pipeline(row, scope, limits))
            row = []
        parts.append(compile_node(step, scope, _named(step, at), limits))
    if row:
        parts.append(_pipeline(row, scope, limits))
    if len(parts) == 1:
        return parts[0]

    async def run(value: Any) -> Any:
        for part in parts:
            value = await part(value)
        return value

    return run


def _together(branches: list[Runner], names: tuple[str, ...] | None) -> Runner:
    async def run(value: Any) -> Any:
        found = await join.all_of(branches, value)
        return tuple(found) if names is None else dict(zip(names, found, strict=True))

    return run


def _pipeline(steps: list[At], scope: Scope, limits: tuple[Limit, ...]) -> Runner:
    runners = _stage_runners(steps, scope, limits)
    where = path_of_stage(*steps[0])

    async def run(value: Any) -> list[Any]:
        async with aclosing(_stream(None, steps, runners, value, where)) as stream:
            return [item async for item in stream]

    return run


def _stage_runners(steps: list[At], scope: Scope, limits: tuple[Limit, ...]) -> list[Runner | None]:
    """Return the function that each stage calls on its items, sharing the stage's permits over the whole run."""
    return [
        _shared(compile_node(node.step, scope, path_of_stage(node, at), limits), Permits(node.concurrency))
        if isinstance(node, Each)
        else None
        for node, at in steps
    ]


def _shared(run: Runner, permits: Permits) -> Runner:
    """Hold the stage's concurrency over all inputs that are in it at the same time."""

    async def call(item: Any) -> Any:
        if permits.free:
            permits.free -= 1
        else:
            await permits.acquire()
        try:
            return await run(item)
        finally:
            permits.release()

    return call


async def _stream(
    head: Runner | None, steps: list[At], runners: list[Runner | None], value: Any, where: str
) -> stages.Stream:
    source: Any = value if head is None else await head(value)
    if steps and isinstance(steps[0][0], Flatten):
        source = [source]  # a plain value is a stream of one: one input, many outputs
    else:
        stages.check_stream(source, where)
    for (node, path), runner in zip(steps, runners, strict=True):
        match node:
            case Each(_, concurrency, ordered, adaptive):
                assert runner is not None
                source = stages.each(
                    runner,
                    source,
                    concurrency=concurrency,
                    ordered=ordered,
                    name=path_of_stage(node, path),
                    run_ahead=LEAST_AHEAD if adaptive else None,
                )
            case Batched(n, within):
                source = stages.batched(source, n, within)
            case _:
                source = stages.flatten(source, path_of_stage(node, path))
    async with aclosing(source if steps else stages.items(source)) as stream:
        async for item in stream:
            yield item


# -- leaves -------------------------------------------------------------------------------------------------------


def _leaf(step: Step, scope: Scope, path: str, limits: tuple[Limit, ...]) -> Runner:
    """Return one call of a step with its policies: attempts, each perhaps with a hedge, each call with its permits."""
    permits = scope.permits
    limits = Hold.in_order((*limits, *step.limits))
    name = f"{name_of(step.fn)}()"
    invoke = _timed(_invoker(step, scope), step.timeout, scope, name)
    where = f"whilst: step {path} ({step.name or name_of(step.fn)})"

    async def leaf(value: Any, *hold: Hold) -> Any:
        if permits.free:
            permits.free -= 1
        else:
            await permits.acquire()
        try:
            return await invoke(value, *hold)
        except Exception as error:
            _note(error, where)
            raise
        finally:
            permits.release()

    run: Callable[..., Awaitable[Any]] = leaf
    if limits:
        run = _limited(leaf, limits, on_thread=step.on_thread)
    elif step.retry is not None:
        run = _pausable(leaf, scope, on_thread=step.on_thread)
    if step.hedge:
        run = Hedging(run, clock=scope.clock)
        scope.hedges.append(run.hedge)
    return _retried(run, step, scope, name, queues=bool(limits))


def _retried(
    run: Callable[..., Awaitable[Any]], node: Step | Policed, scope: Scope, name: str, *, queues: bool = False
) -> Runner:
    retry: Retry | None = node.retry
    if retry is None:
        return run
    inside = retries_of(node.fn) if isinstance(node, Step) else ""

    def on_retry(error: Exception) -> None:
        scope.retried += 1
        by = inside or retried_inside(error)
        if by:
            scope.notes.setdefault(f"{name} is retried at two levels: by {by} inside it and by retry= here")

    def on_open() -> None:
        scope.opened += 1

    return Retrying(
        run,
        retry,
        name,
        clock=scope.clock,
        timeouts=scope.timeouts,
        on_retry=on_retry,
        on_open=on_open,
        queues=queues,
    )


def _pausable(leaf: Callable[..., Awaitable[Any]], scope: Scope, *, on_thread: bool) -> Callable[..., Awaitable[Any]]:
    """Make all calls of a step without limits pause when one is told to, from the first time on that this happens."""
    limit: Limit | None = None

    async def run(value: Any) -> Any:
        nonlocal limit
        if limit is not None:
            return await _limited(leaf, (limit,), on_thread=on_thread)(value)
        try:
            return await leaf(value)
        except Exception as error:
            report = report_of(error)
            if report is not None and (report.retry_after is not None or report.rate is not None):
                limit = Limit._unlimited() if limit is None else limit
                Claim((limit,), value, loop=scope.loop, granted=lambda _: None).learn(0.0, report)
            raise

    return run


def _limited(
    leaf: Callable[..., Awaitable[Any]], limits: tuple[Limit, ...], *, on_thread: bool
) -> Callable[..., Awaitable[Any]]:
    """Hold every limit during the call; a blocking call that is left behind keeps them until it returns."""

    async def run(value: Any, *begin: Callable[[], None]) -> Any:
        hold = Hold(limits, value)
        await hold.take()
        for told in begin:
            told()
        try:
            result = await (leaf(value, hold) if on_thread else leaf(value))
        except BaseException as error:  # a cancellation too: whatever ends the call gives its permits back
            hold.end(report_of(error))
            raise
        hold.end(report_of(None))
        return result

    return run


def _invoker(step: Step, scope: Scope) -> Callable[..., Awaitable[Any]]:
    """Return what calls the function, in the way its colour wants."""
    fn, use = step.fn, step.use
    if is_generator_function(fn):
        return _inline(step, scope, awaits=False)
    if step.on_thread:
        return _on_thread(step, scope)
    if use:
        return _inline(step, scope, awaits=True)
    return fn if step.takes_value else _without_value(fn)


def _without_value(fn: Callable[[], Awaitable[Any]]) -> Runner:
    return lambda _: fn()


def _inline(step: Step, scope: Scope, *, awaits: bool) -> Runner:
    fn, args = step.fn, _args(step)

    async def call(value: Any, *_: Hold) -> Any:
        made = fn(*args(value), **await _for_run(step.use, scope))
        return await made if awaits else made

    return call


def _on_thread(step: Step, scope: Scope) -> Callable[..., Awaitable[Any]]:
    fn, args = step.fn, _args(step)
    for_run = tuple((key, wanted) for key, wanted in step.use if wanted.per == "run")
    per_thread = tuple((key, wanted) for key, wanted in step.use if wanted.per == "thread")

    async def call(value: Any, *hold: Hold) -> Any:
        target = fn
        if step.use:
            target = _with_resources(fn, await _for_run(for_run, scope), per_thread)
        if hold:
            result = await hold[0].during(scope.calls, target, *args(value))
        else:
            result = await scope.calls.call(target, *args(value))
        return await result if has_method(result, "__await__") else result

    return call


def _with_resources(fn: Callable[..., Any], opened: dict[str, Any], per_thread: Uses) -> Callable[..., Any]:
    @functools.wraps(fn, updated=())
    def target(*args: Any) -> Any:
        return fn(*args, **opened, **{key: for_thread(wanted) for key, wanted in per_thread})

    return target


def _args(step: Step) -> Callable[[Any], tuple[Any, ...]]:
    return (lambda value: (value,)) if step.takes_value else (lambda _: ())


async def _for_run(use: Uses, scope: Scope) -> dict[str, Any]:
    return {key: await scope.resources.for_run(wanted) for key, wanted in use}


def _timed(
    run: Callable[..., Awaitable[Any]], timeout: float | None, scope: Scope, name: str
) -> Callable[..., Awaitable[Any]]:
    if timeout is None:
        return run
    timeouts = scope.timeouts

    def too_long() -> TimeoutError:
        return TimeoutError(f"{name} took longer than its timeout of {timeout:g} s")

    return lambda *args: timeouts.run(timeout, too_long, run, *args)


def _note(error: Exception, where: str) -> None:
    try:
        if not any(note.startswith("whilst: step ") for note in getattr(error, "__notes__", ())):
            error.add_note(where)
    except Exception:  # an exception class may forbid attributes; a missing note must not hide the error
        pass


def _under(path: str, key: str) -> str:
    return f"{path}{key}" if key.startswith("[") else f"{path}.{key}"


def _named(node: Node, path: str) -> str:
    """Return the path of a node in a sequence: its place, and its kind where it has parts of its own."""
    return path if isinstance(node, (Step, Policed)) else f"{path}.{kind_name(node)}"
