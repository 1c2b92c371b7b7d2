"""What is the run of a flow? The plan of a map whose function is the flow, within a scope that it owns."""

from __future__ import annotations

import asyncio
from typing import Any

from ..core.outcome import noted
from ..core.plan import Plan
from ..core.tree import Each, Node, Sequence, flat_steps, kind_name
from .ending import Ending
from .interpret import compile_node, open_stream
from .openers import Runner, naming_item, path_of_stage
from .scope import Scope


def compiled(plan: Plan, node: Node, loop: asyncio.AbstractEventLoop, *, once: bool = False) -> tuple[Plan, Scope]:
    """Give the plan of a flow the function that the flow means; the scope is for the run to close.

    `once`: whether there is no run, but one value, whose single calls the loop's own threads make.
    """
    path = kind_name(node)
    scope = Scope(loop, plan.calls, plan.context, plan.name, observers=plan.observers, once=once)
    if not plan.as_stream:
        return plan._replace(fn=compile_node(node, scope, path, plan.limits), limits=(), composed=True), scope
    steps: list[tuple[Node, str]] = list(flat_steps(node, path)) if isinstance(node, Sequence) else [(node, path)]
    (last, at), value, limits = steps[-1], plan.inputs[0], plan.limits
    scope.ending = Ending()
    plan = plan._replace(limits=(), total=None, composed=True)  # the leaves hold them
    if isinstance(last, Each) and last.failures == "raise" and not last.keeps:  # the run is that stage
        where = path_of_stage(last, at)
        scope.last_stage = where
        source = open_stream(steps[:-1], scope, value, where, limits)
        scope.at_first_step = True
        call = _naming(naming_item(compile_node(last.step, scope, where, limits, last.concurrency), where), value)
        return plan._replace(fn=call, inputs=source, concurrency=last.concurrency, ordered=last.ordered), scope
    return plan._replace(fn=_same, inputs=open_stream(steps, scope, value, at, limits), concurrency=1), scope


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
