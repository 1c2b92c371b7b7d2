"""What is the run of a flow? The plan of a map whose function is the flow, within a scope that it owns."""

from __future__ import annotations

import asyncio
from typing import Any

from ..core.plan import Plan
from ..core.tree import Each, Node, Sequence, flat_steps, kind_name
from .interpret import compile_node, open_stream, path_of_stage
from .scope import Scope


def compiled(plan: Plan, node: Node, loop: asyncio.AbstractEventLoop) -> tuple[Plan, Scope]:
    """Give the plan of a flow the function that the flow means; the scope is for the run to close."""
    path, scope = kind_name(node), Scope(loop, plan.calls)
    if not plan.as_stream:
        return plan._replace(fn=compile_node(node, scope, path, plan.limits), limits=()), scope
    steps: list[tuple[Node, str]] = list(flat_steps(node, path)) if isinstance(node, Sequence) else [(node, path)]
    (last, at), value, limits = steps[-1], plan.inputs[0], plan.limits
    plan = plan._replace(limits=(), total=None)  # the leaves hold them
    if isinstance(last, Each):
        where = path_of_stage(last, at)
        source = open_stream(steps[:-1], scope, value, where, limits)
        call = compile_node(last.step, scope, where, limits)
        return plan._replace(fn=call, inputs=source, concurrency=last.concurrency, ordered=last.ordered), scope
    return plan._replace(fn=_same, inputs=open_stream(steps, scope, value, at, limits), concurrency=1), scope


async def _same(item: Any) -> Any:
    return item
