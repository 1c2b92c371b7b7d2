"""What is the run of a flow? The plan of a map whose function is the flow, within a scope that it owns."""

from __future__ import annotations

import asyncio
from typing import Any

from ..core.concurrency import DEFAULT_CONCURRENCY
from ..core.outcome import noted
from ..core.plan import Plan
from ..core.tree import Each, Node, Sequence, calls_at_once, flat_steps, kind_name
from .ending import Ending
from .interpret import compile_items, compile_node, open_stream
from .openers import Runner, naming_item, path_of_stage
from .scope import Scope


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
        call = _naming(naming_item(compile_items(stage, last, scope, limits), where), value)
        many, at_once = stage.concurrency, last.at_once
        return plan._replace(fn=call, inputs=source, concurrency=many, at_once=at_once, ordered=last.ordered)
    source = open_stream(steps, scope, value, at, limits)
    return plan._replace(fn=_same, inputs=source, concurrency=1, at_once=None)


def _naming(call: Runner, value: Any) -> Runner:
    """Have what fails name the value that is streamed, besides the item."""

    async def run(item: Any) -> Any:
        try:
            return await call(item)
        except Exception as error:
            noted(error, 0, value, 1)
            raise

    return run


async def _same(item: Any) -> Any:
    return item
