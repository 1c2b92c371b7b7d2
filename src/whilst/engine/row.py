"""Blocking steps in a row, without policies, are made in one visit to a thread: a hop costs more than most of them."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.colour import has_method
from ..core.tree import Node, Step
from ..lanes.calling import wanted
from ..lanes.calls import Row
from .leaf import Leaf
from .scope import Scope
from .slots import Slots
from .spent import Spent, Visits

Runner = Callable[[Any], Awaitable[Any]]


def may_be_in_row(node: Node) -> bool:
    """Whether a node is a blocking step on which nothing hangs that must happen on the loop."""
    return (
        isinstance(node, Step)
        and not (node.limits or node.use or node.hedge)
        and node.retry is None
        and node.timeout is None
        and node.on_thread
        and not node.is_generator
    )


class InRow:
    """Makes one call after the other, under one slot; one by one once a step was told to pause, or somebody asks
    which call it is in.

    `alone` returns what a step is by itself, and its short way; it is asked when that matters: in a run at once, as
    each step has an account of its own. A visit is timed as calls are: see `spent`.
    """

    def __init__(
        self, steps: list[Step], scope: Scope, slots: Slots, alone: Callable[[int], tuple[Leaf, Runner]]
    ) -> None:
        self._fns = tuple(step.fn if step.takes_value else _without_value(step.fn) for step in steps)
        self._scope = scope
        self._slots = slots
        self._alone = alone
        self._steps: dict[int, tuple[Leaf, Runner]] = {}
        self._spent: list[Spent] = []
        self._visited = Visits()
        if not scope.once:
            for place in range(len(steps)):
                self._spent.append(self._step(place)[0].spent)
                self._spent[place].others = self._visited

    async def __call__(self, value: Any) -> Any:
        """Return what the last step returns."""
        if wanted.is_asked or self._is_told_to_pause():
            for place in range(len(self._fns)):
                value = await self._step(place)[1](value)
            return value
        self._visited.begun += 1
        slots, clock = self._slots, self._scope.clock if self._is_timed() else None
        row, started = Row(self._fns, 0, value, self, clock), clock() if clock is not None else 0.0
        if slots.room > 0:
            slots.take()
        else:
            await slots.acquire()
        try:
            value = await self._visits(row)
        except Exception as error:
            leaf = self._step(row.at)[0]
            leaf.begun += 1
            leaf.failed(leaf.plain(self._scope.clock()), row.value, error)  # which gives the slot back, too
            self._note_times(row, started)
            raise
        except BaseException:  # a cancellation says nothing of the other side
            slots.release()
            raise
        slots.release()
        self._note_times(row, started)
        return value

    async def _visits(self, row: Row) -> Any:
        """Make the calls in one visit to a thread, and one more after each awaitable that comes back."""
        while True:
            value = await self._scope.calls.in_row(row)
            if has_method(value, "__await__"):
                row.at -= 1  # what fails is still that step
                row.value = value = await value
                row.at += 1
                if row.ends and row.clock is not None:
                    row.ends[-1] = row.clock()
            if row.at == len(self._fns):
                return value

    def _is_told_to_pause(self) -> bool:
        return any([leaf.gate is not None for leaf, _ in self._steps.values()])  # noqa: C419 - at each call: no frame

    def _is_timed(self) -> bool:
        return any([spent.detours for spent in self._spent])  # noqa: C419

    def _note_times(self, row: Row, started: float) -> None:
        """Tell each step how long it took: the first one with the way to the thread, the last one with the way back."""
        if row.clock is None:
            return
        ends = row.ends
        if row.at == len(self._fns):
            ends.pop()
        for spent, ended in zip(self._spent, [*ends, row.clock()], strict=False):
            spent.called(ended - started)
            started = ended

    def leaf(self, place: int) -> Leaf:
        """Return a step as it is by itself."""
        return self._step(place)[0]

    def _step(self, place: int) -> tuple[Leaf, Runner]:
        if place not in self._steps:
            self._steps[place] = self._alone(place)
        return self._steps[place]


def _without_value(fn: Callable[[], Any]) -> Callable[[Any], Any]:
    @functools.wraps(fn, updated=())
    def call(_: Any) -> Any:
        return fn()

    return call
