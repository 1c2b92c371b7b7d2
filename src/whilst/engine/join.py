"""Branches at the same time: all of them, or the first that succeeds; none outlives the join.

The branches' own tasks are created and awaited here. A branch never raises out of its task, so nothing is "never
retrieved", and a KeyboardInterrupt comes out of the join instead of tearing the loop down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Runner = Callable[[Any], Awaitable[Any]]
Ended = tuple[Any, BaseException | None]


async def all_of(branches: Sequence[Runner], value: Any) -> list[Any]:
    """Return every branch's value; at the first failure cancel the others, await them, and raise it.

    What else failed meanwhile stands in the notes of the raised exception.
    """
    tasks, failed = await _run(branches, value, until=lambda ended: ended[1] is not None)
    if failed is None:
        return [task.result()[0] for task in tasks]
    error = failed.result()[1]
    assert error is not None
    for task in tasks:
        other = None if task is failed or task.cancelled() else task.result()[1]
        if other is not None:
            error.add_note(f"whilst: meanwhile another branch failed: {type(other).__name__}: {other}")
    raise error


async def first_of(branches: Sequence[Runner], value: Any, path: str) -> Any:
    """Return the first success and cancel the other branches; raise an ExceptionGroup when all fail."""
    tasks, won = await _run(branches, value, until=lambda ended: _decides(ended))
    if won is not None:
        result, error = won.result()
        if error is not None:
            raise error
        return result
    failures = [error for task in tasks if isinstance(error := task.result()[1], Exception)]
    raise ExceptionGroup(f"all {len(tasks)} branches of {path} failed", failures)


def _decides(ended: Ended) -> bool:
    return ended[1] is None or not isinstance(ended[1], Exception)


async def _run(
    branches: Sequence[Runner], value: Any, until: Callable[[Ended], bool]
) -> tuple[list[asyncio.Task[Ended]], asyncio.Task[Ended] | None]:
    """Run all until one ends such that `until` holds; return the tasks, all of them done, and that one."""
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[asyncio.Task[Ended] | None] = loop.create_future()
    left = len(branches)

    def done(task: asyncio.Task[Ended]) -> None:
        nonlocal left
        left -= 1
        if not settled.done():
            if not task.cancelled() and until(task.result()):
                settled.set_result(task)
            elif not left:
                settled.set_result(None)

    tasks = [loop.create_task(_contained(branch, value)) for branch in branches]
    for task in tasks:
        task.add_done_callback(done)
    try:
        decisive = await settled
    finally:
        if left:
            await _end(tasks)
    return tasks, decisive


async def _contained(branch: Runner, value: Any) -> Ended:
    try:
        return await branch(value), None
    except asyncio.CancelledError as caught:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        error = RuntimeError("a step raised CancelledError of its own accord")
        error.__cause__ = caught
        return None, error
    except BaseException as caught:  # all of them: the join raises it in the task that waits
        return None, caught


async def _end(tasks: list[asyncio.Task[Ended]]) -> None:
    """Cancel what still runs and wait until it has ended, even if cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    for task in tasks:
        task.cancel()
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as caught:
            cancelled = caught
            for task in pending:
                task.cancel()
    if cancelled is not None:
        raise cancelled
