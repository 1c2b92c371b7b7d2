"""Branches: all of them or the first that succeeds, at once or in turn; none that can be ended outlives the join.

The branches' own tasks are created and awaited here. A branch never raises out of its task, so nothing is "never
retrieved", and a KeyboardInterrupt comes out of the join instead of tearing the loop down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from ..core.outcome import short
from ..lanes.awaiting import CLEAN_UP, GRACE, ended, is_cancelled, trimmed
from ..lanes.calling import seat
from .stage import Behind
from .suspended import tells

Runner = Callable[[Any], Awaitable[Any]]
Leave = Callable[[asyncio.Task[Any]], None]  # told of a branch that does not end although it was cancelled


async def all_of(branches: Sequence[Runner], value: Any, leave: Leave, behind: Behind | None = None) -> list[Any]:
    """Return every branch's value; at the first failure cancel the others, await them, and raise it.

    What else failed meanwhile stands in the notes of the raised exception.
    """
    join = _Join(len(branches), leave, behind)
    try:
        failed = await join.run(branches, value)
        if failed is None:
            return join.values
        error: BaseException | None = join.errors[failed]
        assert error is not None
        for place in sorted(join.errors):
            if place != failed:
                _note(error, f"whilst: meanwhile another branch failed: {short(join.errors[place], 200)}")
        raise error
    finally:
        join.errors.clear()  # the frames of a failure keep this one, and the join
        error = None


async def first_of(branches: Sequence[Runner], value: Any, leave: Leave, path: str) -> Any:
    """Return the first success and cancel the other branches; raise an ExceptionGroup when all fail."""
    join = _Race(len(branches), leave)
    failures: list[Exception] = []
    try:
        won = await join.run(branches, value)
        if won is not None:
            return join.values[won]
        failures += [error for _, error in sorted(join.errors.items()) if isinstance(error, Exception)]
        raise ExceptionGroup(f"all {len(branches)} branches of {path} failed", [*failures])
    finally:
        join.errors.clear()  # as above
        failures.clear()


async def fallback(branches: Sequence[Runner], value: Any, path: str) -> Any:
    """Return the value of the first branch that succeeds, one after another; raise an ExceptionGroup when all fail."""
    failures: list[Exception] = []
    try:
        for branch in branches:
            try:
                return await branch(value)
            except Exception as error:
                if is_cancelled():  # it is what the branch made of that
                    raise
                failures.append(error)
        raise ExceptionGroup(f"all {len(branches)} branches of {path} failed", [*failures])
    finally:
        failures.clear()  # the frames of a failure keep this one


class _Join:
    """Branches in flight. Each writes down its own end, which saves a callback and a turn of the loop a branch.

    Attributes:
        values: what the branches have returned, by place.
        errors: those of the branches that have failed, by place; one that was given up fails, and goes on.
    """

    __slots__ = (
        "_before", "_behind", "_ending", "_leave", "_left", "_over", "_place", "_settled", "errors", "values",
    )  # fmt: skip
    until_success: bool = False

    def __init__(self, count: int, leave: Leave, behind: Behind | None = None) -> None:
        self.values: list[Any] = [None] * count
        self.errors: dict[int, BaseException] = {}
        self._leave = leave
        self._left = count
        self._place = seat.get()
        self._ending = False  # only then is a cancellation ours
        self._over = False  # what ends from then on was left behind
        self._behind = behind
        self._before = 0.0  # when the last branch but one ended
        self._settled: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    @tells(awaits="tasks")
    async def run(self, branches: Sequence[Runner], value: Any) -> int | None:
        """Run all until one settles the join; return which, once all have ended, or None if none did."""
        create_task = asyncio.get_running_loop().create_task
        if self._place is not None:
            self._place.fork(self._left - 1)
        tasks = [create_task(self._branch(place, branch, value)) for place, branch in enumerate(branches)]
        patience = CLEAN_UP
        try:
            decisive = await self._settled
            if self.until_success and decisive is not None:
                patience = GRACE
        finally:
            try:
                if self._left:
                    self._ending = True
                    going = [task for place, task in enumerate(tasks) if place not in self.errors]
                    for task in going:
                        task.cancel()
                    await ended(going, patience, self._leave)
            finally:
                self._over = True
                if self._place is not None:
                    for _ in range(1, self._left):
                        self._place.ends()
        for error in self.errors.values():  # KeyboardInterrupt and SystemExit are nobody's to lose
            if not isinstance(error, Exception):
                try:
                    raise error
                finally:
                    del error
        return decisive

    @tells(settles=lambda its: partial(its["self"].give_up, its["place"]))
    async def _branch(self, place: int, branch: Runner, value: Any) -> None:
        error: BaseException | None = None
        try:
            self.values[place] = await branch(value)
        except asyncio.CancelledError as caught:
            if self._ending or place in self.errors:
                raise
            error = RuntimeError("a step raised CancelledError of its own accord")
            error.__cause__ = trimmed(caught)
        except BaseException as caught:  # all of them: the join raises it in the task that waits
            error = trimmed(caught)
        if not (self._over or place in self.errors):
            self._end(place, error)
        del error

    def give_up(self, place: int, error: Exception) -> None:
        """Have a branch failed although it goes on, as one of its calls ignores that it was cancelled."""
        if not (self._over or place in self.errors):
            self._end(place, error)

    def _end(self, place: int, error: BaseException | None) -> None:
        if error is not None:
            self.errors[place] = error
        self._left -= 1
        if self._left and self._place is not None:  # the last one goes on as the input itself
            self._place.ends()
        if self._left < 2 and self._behind is not None:
            now = self._behind.clock()
            if not self._left and self._before:
                self._behind.took[place] += now - self._before
            self._before = now
        settles = (error is None) is self.until_success or (error is not None and not isinstance(error, Exception))
        if (settles or not self._left) and not self._settled.done():
            self._settled.set_result(place if settles else None)


class _Race(_Join):
    """Branches of which the first success is enough."""

    __slots__ = ()
    until_success = True


def _note(error: BaseException, note: str) -> None:
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # an exception class may forbid attributes; a missing note must not hide the error
        pass
