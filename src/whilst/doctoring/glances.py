"""What is a loop's thread at, and who waits on the loop? Reads stacks as fast as it can, as the threads go on."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Hashable
from inspect import CO_COROUTINE
from itertools import pairwise
from opcode import opmap
from types import CodeType, FrameType
from typing import Any, NamedTuple

from .places import DEPTH, Whose, chain, imports, is_collector, line_of, name_of, of_user, stack, whose
from .pulse import Pulse
from .rounds import Others, Position, Sight

NAMED = 3  # tasks that stood still are named, of more they are counted
Spot = tuple[CodeType, int]  # where in a function: its code, the last instruction


class Stacked(NamedTuple):
    """Where a thread is, outermost first, and which callback of its loop's round that is, as asyncio counts."""

    spots: list[Spot]
    step: Hashable


class Glance(NamedTuple):
    """What the stack of a loop's thread was."""

    pulse: Pulse
    number: int
    began: float
    step: Hashable
    spots: list[Spot]


def stacked(frame: FrameType | None) -> Stacked:
    """Read a stack. If the thread goes on meanwhile, the frames would not belong together."""
    spots: list[Spot] = []
    step: Hashable = None
    while frame is not None and len(spots) < DEPTH:
        spots.append((frame.f_code, frame.f_lasti))
        if frame.f_code is _ROUND and step is None:
            step = frame.f_locals.get("i")
        frame = frame.f_back
    spots.reverse()
    return Stacked(spots, step)


def in_plain_cell(spots: list[Spot]) -> bool:
    """Whether this is a cell of a notebook that awaits nothing: the loop is its kernel's, and the cell plain code.

    A loop that the cell runs itself is its own, and looked at.
    """
    for (cell, _), (code, _) in pairwise(reversed(spots)):
        if cell is _ROUND or cell in _ROOTS:
            return False
        if code.co_name == "run_code" and code.co_filename.endswith(_SHELL):
            return not cell.co_flags & CO_COROUTINE
    return False


def sight(spots: list[Spot], *, locked: bool = False, elsewhere: bool = False) -> Sight | None:
    """Say what a stack shows, which was looked at when one call had kept the GIL, if it is so; None for an import."""
    codes = [code for code, _ in spots]
    if imports(codes):
        return None
    while len(codes) > 1 and is_collector(codes[-1]):
        codes.pop()
    user = of_user(codes)
    begins = locked and max(1, len(codes) - 2) <= user[-1] and _begins(*spots[len(codes) - 1])
    if begins:
        codes.pop()
        user = of_user(codes)
    below = codes[user[-1] + 1 :]
    return Sight(
        tuple(_position(spots[i]) for i in user),
        below[0] if below else None,
        _position(spots[len(codes) - 1]) if below else None,
        mapped=user[0] > 0 and whose(codes[user[0] - 1]) == Whose.OURS,  # not the command that runs the program
        ours=any(whose(code) == Whose.OURS for code in below),
        begins=begins,
        elsewhere=elsewhere,
    )


def _begins(code: CodeType, lasti: int) -> bool:
    """Whether a function has been called and nothing of it has run."""
    return lasti >= 0 and code.co_code[lasti : lasti + 2] == _START


def _position(spot: Spot) -> Position:
    code, lasti = spot
    return code, lasti, line_of(code, lasti)


def task_of(loop: asyncio.AbstractEventLoop) -> Hashable:
    """Return what tells the task that a loop is at from others."""
    try:
        return id(asyncio.current_task(loop))
    except RuntimeError:
        return None


def tasks_of(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    """Return the tasks of a loop; none, where they come and go faster than they can be listed."""
    try:
        return asyncio.all_tasks(loop)
    except RuntimeError:
        return set()


def others(loop: asyncio.AbstractEventLoop) -> Others:
    """Say which tasks stand still while one holds the loop."""
    try:
        current = asyncio.current_task(loop)
    except RuntimeError:
        current = None
    tasks = [task for task in tasks_of(loop) if task is not current and not task.done()]
    names: list[tuple[str, int]] = []
    for task in tasks[:50]:
        frames = chain(task.get_coro())
        user = [frame for frame in frames if whose(frame.f_code) == Whose.USER]
        if user and (name := (name_of(user[-1].f_code), user[-1].f_lineno or 0)) not in names:
            names.append(name)
    return Others(len(tasks), names[:NAMED])


def reference(awaited: Any) -> Any:
    """Return what compares equal as long as it is about the same object, and does not keep it."""
    try:
        return weakref.ref(awaited)
    except TypeError:
        return None


class Driver(NamedTuple):
    """Who runs a loop: the task to whose end it runs, and the frames of plain code that wait for that."""

    task: object
    frames: list[FrameType]


def driver(frame: FrameType | None) -> Driver:
    """Return who runs the loop of a thread."""
    frames = stack(frame)
    for number, each in enumerate(frames):
        name = _ROOTS.get(each.f_code)
        if name is not None:
            return Driver(each.f_locals.get(name), frames[: number + 1])
    return Driver(None, [])


_ROUND = asyncio.base_events.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]
_ROOTS = {  # where a loop runs to the end of a task, and the name that this has there
    asyncio.Runner.run.__code__: "task",
    asyncio.base_events.BaseEventLoop.run_until_complete.__code__: "future",
}
_SHELL = os.path.join("IPython", "core", "interactiveshell.py")
_START = bytes((opmap["RESUME"], 0))
