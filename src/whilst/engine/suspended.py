"""What does a task hold that ignores its cancellation, and who can go on without it?

Nobody keeps a list of that, as calls that end when they should would pay for it. The coroutines of a task that is
suspended stand in a chain, and those that hold something, or wait for tasks of their own, say here how their local
names `tell` it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, TypeVar

from ..core.frozen import NamedTuple
from .slots import Slots
from .step_calls import LeafCall, StepRun

OURS = ("whilst.engine.", "whilst.lanes.")
F = TypeVar("F", bound=Callable[..., Any])
Names = Mapping[str, Any]
Settle = Callable[[Exception], None]
Held = tuple[Slots, StepRun | None, LeafCall | None]
"""What a coroutine holds: a place, for a call of a step if it is one's, with permits if the step has limits."""


class _Tells(NamedTuple):
    holds: Callable[[Names], Held | None] | None = None
    awaits: str = ""
    settles: Callable[[Names], Settle] | None = None


_known: dict[int, tuple[CodeType, _Tells]] = {}  # by the id of the code: to hash it reads all of its instructions
_NOTHING: tuple[CodeType | None, _Tells] = None, _Tells()


def tells(
    *,
    holds: Callable[[Names], Held | None] | None = None,
    awaits: str = "",
    settles: Callable[[Names], Settle] | None = None,
) -> Callable[[F], F]:
    """Return a decorator that says how the local names of a coroutine tell what it does while it awaits.

    Args:
        holds: returns the place that it holds; None: none now.
        awaits: the name of the tasks of its own that it waits for.
        settles: returns what takes it as failed although it goes on, where its task is one among several.
    """
    told = _Tells(holds, awaits, settles)

    def note(fn: F) -> F:
        _known[id(fn.__code__)] = fn.__code__, told
        return fn

    return note


def _of(frame: FrameType) -> _Tells:
    return _known.get(id(frame.f_code), _NOTHING)[1]


def held_in(frame: FrameType) -> Held | None:
    """Return what the coroutine of a frame holds."""
    holds = _of(frame).holds
    return None if holds is None else holds(frame.f_locals)


def held_by(task: asyncio.Task[Any]) -> tuple[list[Held], list[asyncio.Task[Any]]]:
    """Return what a task holds that is suspended, and the tasks that it awaits."""
    found: list[Held] = []
    for frame in _frames(task):
        if (holds := held_in(frame)) is not None:
            found.append(holds)
        elif (tasks := _awaited(frame)) is not None:
            return found, tasks
    return found, []


def waits_in_here(task: asyncio.Task[Any]) -> bool:
    """Whether a suspended task awaits a place, a permit or another attempt, and no code of the user's."""
    return all(frame.f_globals.get("__name__", "").startswith(OURS) for frame in _frames(task))


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Give the frames of its coroutines, from the outermost on."""
    one: Any = task.get_coro()
    while one is not None:
        frame: FrameType | None = getattr(one, "cr_frame", None)
        if frame is not None:
            yield frame
        one = getattr(one, "cr_await", None)


def _awaited(frame: FrameType) -> list[asyncio.Task[Any]] | None:
    """Return the tasks of its own that a coroutine waits for; None: it has none, or none yet, and calls by itself."""
    tasks = frame.f_locals.get(_of(frame).awaits)
    return None if tasks is None else [each for each in tasks if not each.done()]


def settled_by(task: asyncio.Task[Any]) -> Settle | None:
    """Return what takes a suspended task as failed although it goes on; None: that is for its input to decide."""
    frame: FrameType | None = getattr(task.get_coro(), "cr_frame", None)
    settles = _of(frame).settles if frame is not None else None
    return settles(frame.f_locals) if frame is not None and settles is not None else None


class GivenUp(asyncio.CancelledError):
    """Ends a task whose input was settled while one of its calls ignored that it was cancelled."""
