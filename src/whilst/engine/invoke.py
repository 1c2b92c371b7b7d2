"""How is the function of a step called? On the loop, on a thread or elsewhere, with the resources that it asks for.

Blocking steps in a row, without policies, are made in one visit to a thread: a hop costs more than most of them.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any

from ..core.attempt import Patience
from ..core.colour import has_method
from ..core.tree import Node, Step, Uses
from ..lanes.awaiting import check_told_to_end
from ..lanes.calling import seat, wanted
from ..lanes.calls import Row
from ..remote.codec import Target
from .leaf import Leaf
from .opening import Opening
from .resources import Had, look_at, with_own
from .scope import Scope
from .slots import Slots
from .stage import Spent, Visits
from .suspended import Held, tells

Invoker = Callable[..., Awaitable[Any]]
After = Callable[[], None] | None


def invoker(step: Step, scope: Scope, opening: Opening | None, *, alone: bool) -> Invoker:
    """Return what calls the function, in the way its colour wants.

    Calls that wait for what they need to be `opening` are counted. `alone`: each is all that its input needs. For a
    step on a thread it takes a second argument: what to call when the call is really over.
    """
    fn = step.fn
    if step.is_generator:
        return _inline(step, scope, opening, awaits=False)
    if step.on_thread:
        return _on_thread(step, scope, opening)
    if step.elsewhere:
        return _elsewhere(step, scope, opening, alone=alone)
    if step.use:
        return _inline(step, scope, opening, awaits=True)
    return fn if step.takes_value else _without_value(fn)


def _without_value(fn: Callable[[], Awaitable[Any]]) -> Invoker:
    def call(_: Any) -> Awaitable[Any]:
        return fn()

    return call


def _inline(step: Step, scope: Scope, opening: Opening | None, *, awaits: bool) -> Invoker:
    fn, args, use = step.fn, _args(step), step.use

    async def call(value: Any) -> Any:
        assert opening is not None
        async with scope.resources.using(use, opening) as opened:
            made = fn(*args(value), **opened)
            return await made if awaits else made

    async def call_without(value: Any) -> Any:
        return fn(*args(value))

    return call if use else call_without


def _on_thread(step: Step, scope: Scope, opening: Opening | None) -> Invoker:
    fn, args = step.fn, _args(step)
    for_run = tuple((key, wanted) for key, wanted in step.use if wanted.per != "thread")
    per_thread = tuple((key, wanted) for key, wanted in step.use if wanted.per == "thread")

    async def call(value: Any, after: After = None) -> Any:
        result = await scope.calls.call(fn, *args(value), after=after)
        return await result if has_method(result, "__await__") else result

    async def call_with(value: Any, after: After = None) -> Any:
        assert opening is not None
        async with scope.resources.using(for_run, opening) as opened:
            had: Had = []
            target = _with_resources(fn, opened, per_thread, opening, had)
            calls = scope.own_calls if per_thread else scope.calls
            result = await calls.call(target, *args(value), after=after)
            if not has_method(result, "__await__"):
                return result
            try:
                return await result
            except BaseException as error:  # all of them: it goes on at once
                look_at(error, had)
                raise

    return call_with if step.use else call


def _elsewhere(step: Step, scope: Scope, opening: Opening | None, *, alone: bool) -> Invoker:
    target = Target(step.fn, step.takes_value, step.use, with_variables=True)

    patience = Patience(step.called, inf if step.timeout is None else step.timeout, inf)

    async def call(value: Any) -> Any:
        assert opening is not None
        place = seat.get() if alone else None
        with opening.wait() as waiting:

            def begun() -> None:
                waiting.over()
                if place is not None:
                    place.begins(scope.clock())

            return await scope.calls_at(step.executor).call(target, value, patience=patience, begun=begun)

    return call


def _with_resources(
    fn: Callable[..., Any], opened: dict[str, Any], per_thread: Uses, opening: Opening, had: Had
) -> Callable[..., Any]:
    @functools.wraps(fn, updated=())
    def target(*args: Any) -> Any:
        return with_own(fn, opened, per_thread, args, opening, had)

    return target


def _args(step: Step) -> Callable[[Any], tuple[Any, ...]]:
    return (lambda value: (value,)) if step.takes_value else (lambda _: ())


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


def _held_by(its: Mapping[str, Any]) -> Held | None:
    """Return what a visit holds, by the local names of its frame; None if its steps are called one by one."""
    return (its["slots"], its["self"].leaf(its["row"].at), None) if "row" in its else None


class InRow:
    """Makes one call after the other, under one slot; one by one once a step was told to pause, or somebody asks
    which call it is in.

    `alone` returns what a step is by itself, and its short way; it is asked when that matters: in a run at once, as
    each step has an account of its own. A visit is timed as calls are: see `spent`.
    """

    def __init__(
        self, steps: list[Step], scope: Scope, slots: Slots, alone: Callable[[int], tuple[Leaf, Runner]]
    ) -> None:
        self._fns = tuple(step.fn if step.takes_value else _ignoring_value(step.fn) for step in steps)
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

    @tells(holds=_held_by)
    async def __call__(self, value: Any) -> Any:
        """Return what the last step returns."""
        if self._scope.left:
            self._scope.check_left()
        if wanted.is_asked or self._is_told_to_pause():
            for place in range(len(self._fns)):
                if place:
                    check_told_to_end()
                value = await self._step(place)[1](value)
            return value
        self._visited.begun += 1
        slots, clock = self._slots, self._scope.clock if self._is_timed() else None
        started = clock() if clock is not None else 0.0
        if slots.room > 0:
            slots.take()
        else:
            reason, since = slots.refusal, self._scope.clock()
            await slots.acquire()
            started = self._scope.clock()
            if self._spent:
                self._spent[0].waited(reason, started - since)
        row = Row(self._fns, 0, value, self, clock)  # from here on it holds a place: see `_held_by`
        try:
            value = await self._visits(row)
        except Exception as error:
            leaf = self.leaf(row.at)
            leaf.begun += 1
            now = self._scope.clock()
            leaf.failed(leaf.plain(now), row.value, error)  # which gives the slot back, too
            if row.clock is not None:
                self._scope.took(error, now - (row.ends[-1] if row.ends else started))
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
                self._scope.check_left()
                check_told_to_end()
                if row.ends and row.clock is not None:
                    row.ends[-1] = row.clock()
            if row.at == len(self._fns):
                return value

    def _is_told_to_pause(self) -> bool:
        return any([leaf.gate is not None for leaf, _ in self._steps.values()])  # noqa: C419 - at each call: no frame

    def _is_timed(self) -> bool:
        return any([spent.is_timed for spent in self._spent])  # noqa: C419

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


def _ignoring_value(fn: Callable[[], Any]) -> Callable[[Any], Any]:
    @functools.wraps(fn, updated=())
    def call(_: Any) -> Any:
        return fn()

    return call
