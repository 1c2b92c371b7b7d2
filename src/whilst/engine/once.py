"""One value through a flow, awaited in place: without the run around it, which costs ten times what most steps do.

What it promises is what a run of one input does: a context of its own, notes on what fails, everything closed at the
end, and nothing left of it after a cancellation but blocking calls. Its blocking steps take the threads that the loop
has for single calls.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..core.outcome import noted
from ..core.plan import Plan
from ..core.tree import Node
from ..lanes.awaiting import ended
from ..lanes.caught import failure_of
from .compiled import compiled
from .scope import Scope

CLEAN_UP = 2.0  # seconds that a cancelled flow may take for its clean-up before it is left behind, as a run may


async def once(plan: Plan, node: Node, value: Any) -> Any:
    """Return what the flow makes of `value`, or raise what it fails of."""
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    plan, scope = compiled(plan, node, loop, once=True)
    ending: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    task = asyncio.Task(_make(plan, value, ending), loop=loop, context=plan.context)
    try:
        made, error = await ending
        if error is not None:
            raise noted(error, 0, value, 1)
        return made
    except asyncio.CancelledError:
        if not task.done():
            task.cancel()
            await ended([asyncio.ensure_future(asyncio.wait([task], timeout=CLEAN_UP))])
        raise
    finally:
        error = None  # or the error and its traceback would keep each other alive
        del task, ending
        await _closed(scope)


async def _make(plan: Plan, value: Any, ending: asyncio.Future[tuple[Any, BaseException | None]]) -> None:
    """Tell value or error: an exit must not end the loop, but come out where the flow is awaited."""
    made: Any = None
    error: BaseException | None = None
    try:
        made = await plan.fn(value)
    except asyncio.CancelledError as caught:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            ending.cancel()
            raise
        error = failure_of(caught, plan.name)
    except BaseException as caught:  # all of them, see above
        error = failure_of(caught, plan.name)
    if not ending.done():
        ending.set_result((made, error))
    del made, error, ending  # a failure's frames keep this one


async def _closed(scope: Scope) -> None:
    """Close what the steps have opened, whatever happens meanwhile; mostly that is nothing."""
    if scope.holds_something:
        closing = asyncio.ensure_future(scope.close())
        await ended([closing])
        closing.result()
    else:
        await scope.close()
    scope.let_go()
