"""What is the run of a flow, or of one value through it? A map whose function is the flow, within a scope.

One value is awaited in place (`once`), without the run around it, which costs ten times what most steps do. What that
promises is what a run of one input does: a context of its own, notes on what fails, everything closed at the end, and
nothing left of it after a cancellation but blocking calls. Its blocking steps take the threads that the loop has for
single calls.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from ..core.concurrency import DEFAULT_CONCURRENCY
from ..core.outcome import noted
from ..core.plan import Plan
from ..core.tree import Each, Node, Sequence, calls_at_once, flat_steps, kind_name
from ..lanes.awaiting import CLEAN_UP, OwnTask, ended, failure_of, insist, is_cancelled
from .interpret import compile_items, compile_node, noting, open_stream, path_of_stage
from .scope import Scope
from .stage import Ending
from .stages import same


def compiled(plan: Plan, node: Node, loop: asyncio.AbstractEventLoop, *, once: bool = False) -> tuple[Plan, Scope]:
    """Give the plan of a flow the function that the flow means; the scope is for the run to close.

    `once`: whether there is no run, but one value, whose single calls the loop's own threads make.
    """
    path, told = kind_name(node), plan.at_once

    def calls() -> int:
        most = told.told if told is not None else None
        return max(DEFAULT_CONCURRENCY, calls_at_once(node)) if most is None else most

    scope = Scope(loop, calls, plan.context, plan.name, observers=plan.observers, once=once)
    plan = _compiled(plan, node, scope, path)
    if told is not None or scope.has_stages:
        scope.follow()  # a limit may have moved before all that follows it was there
    return plan, scope


def _compiled(plan: Plan, node: Node, scope: Scope, path: str) -> Plan:
    if not plan.as_stream:
        return plan._replace(fn=compile_node(node, scope, path, plan.limits), limits=(), composed=True)
    steps: list[tuple[Node, str]] = list(flat_steps(node, path)) if isinstance(node, Sequence) else [(node, path)]
    (last, at), value, limits = steps[-1], plan.inputs[0], plan.limits
    scope.ending = Ending()
    plan = plan._replace(limits=(), total=None, composed=True)  # the leaves hold them
    if isinstance(last, Each) and last.failures == "raise" and not last.keeps:  # the run is that stage
        where = path_of_stage(last, at)
        source = open_stream(steps[:-1], scope, value, where, limits)
        stage = scope.stage(last, where)
        scope.last_stage = where
        call = noting(compile_items(stage, last, scope, limits), where, value)
        many, at_once = stage.concurrency, last.at_once
        return plan._replace(fn=call, inputs=source, concurrency=many, at_once=at_once, ordered=last.ordered)
    source = open_stream(steps, scope, value, at, limits)
    return plan._replace(fn=same, inputs=source, concurrency=1, at_once=None)


async def once(plan: Plan, node: Node, value: Any) -> Any:
    """Return what the flow makes of `value`, or raise what it fails of."""
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    plan, scope = compiled(plan, node, loop, once=True)
    ending: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    task = OwnTask(_make(plan, value, ending), loop=loop, context=plan.context)
    scope.give_up = partial(_settle, ending, scope, task)
    try:
        made, error = await ending
        if error is not None:
            raise noted(error, 0, value, 1)
        return made
    except asyncio.CancelledError:
        if not task.done():
            task.cancel()
            await ended([task], CLEAN_UP, scope.leave)
        raise
    finally:
        error = scope.give_up = None  # or the error and its traceback would keep each other alive
        del task, ending
        await _closed(scope)


async def _make(plan: Plan, value: Any, ending: asyncio.Future[tuple[Any, BaseException | None]]) -> None:
    """Tell value or error: an exit must not end the loop, but come out where the flow is awaited."""
    made: Any = None
    error: BaseException | None = None
    try:
        made = await plan.fn(value)
    except asyncio.CancelledError as caught:
        if is_cancelled():
            ending.cancel()
            raise
        error = failure_of(caught, plan.name)
    except BaseException as caught:  # all of them, see above
        error = failure_of(caught, plan.name)
    if not ending.done():
        ending.set_result((made, error))
    del made, error, ending  # a failure's frames keep this one


def _settle(
    ending: asyncio.Future[tuple[Any, BaseException | None]], scope: Scope, task: asyncio.Task[None], error: Exception
) -> None:
    """End with a failure although the flow goes on, as one of its calls ignores that it was cancelled."""
    if not ending.done():
        ending.set_result((None, error))
    scope.leave(task)
    insist(task)


async def _closed(scope: Scope) -> None:
    """Close what the steps have opened, whatever happens meanwhile; mostly that is nothing."""
    if scope.holds_something:
        closing = asyncio.ensure_future(scope.close())
        await ended([closing])
        closing.result()
    else:
        await scope.close()
    scope.let_go()
