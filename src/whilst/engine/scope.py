"""What one run of a flow owns: threads for its blocking steps, permits, resources. Closed with the run."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ..core.account import PAUSED, added
from ..core.call import Host as CallHost
from ..core.call import Step
from ..core.colour import name_of
from ..core.failures import kind_of
from ..core.held import Still
from ..core.pushback import Pushback
from ..core.summary import kinds_of
from ..core.tree import Each
from ..lanes.awaiting import insist
from ..lanes.calling import seat, wanted
from ..lanes.calls import Calls, calls_of_loop
from ..lanes.clock import clock_of
from ..lanes.port import Port, nothing
from ..lanes.results import tell
from ..limit.holders import Inside, ask_around, inside_of
from .asking import Asking
from .deadlines import Deadlines
from .growing import Additions, no_run_to_grow
from .observer import Observer, Watch
from .opening import Opening
from .resources import Resources
from .slots import Slots
from .stage import Behind, Ending, Stage, why_of
from .step_calls import StepRun, place_and_identity
from .suspended import GivenUp, Held, held_by, waits_in_here

if TYPE_CHECKING:
    from ..limit.state import LimitState
    from ..remote.calls import RemoteCalls


class Run(CallHost, Port, Protocol):
    """The run whose belongings these are, as far as its calls are told apart by it."""

    additions: Additions
    """What is added to it."""

    def follow(self) -> None:
        """Have as many inputs in flight as its limits allow now."""


class Scope:
    """The belongings of one run of a flow, on one loop; `calls_at_once` tells how many calls it may have in flight."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        calls_at_once: Callable[[], int],
        context: Context,
        name: str = "",
        *,
        observers: tuple[Observer, ...] = (),
        once: bool = False,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock_of(loop)
        self.watch: Watch = Watch(observers, self.clock, name)
        """Who sees the run."""
        self.run: Run | None = None
        """The run that it is of; None if it is one value's."""
        self.give_up: Callable[[Exception], None] | None = None
        """Settles that value with a failure, as one of its calls ignores that it was cancelled."""
        self._id: bytes | None = None
        self.most: int = calls_at_once()
        """How many calls may be in flight at once."""
        self.slots: Slots = Slots(self.most)
        self.deadlines: Deadlines = Deadlines(loop, self.clock, context)
        self.inside: Inside = inside_of(context.run(ask_around, (), for_run=True))
        """Who holds permits around the run."""
        self.leaves: list[StepRun] = []
        """The steps that have been called, or have policies."""
        self.retried: int = 0
        """Attempts of steps beyond their first ones."""
        self.waiting: int = 0
        """Inputs of steps that wait for another attempt."""
        self.rejected: int = 0
        """Calls that were answered with "slower"."""
        self.failed_time: dict[str, float] = {}
        """Seconds of calls of steps that failed, by kind."""
        self.began: float = self.clock()
        """When the run began, by the clock."""
        self.notes: dict[str, None] = {}
        self.asking: Asking = Asking(loop, context, self.notes.setdefault)
        self.resources: Resources = Resources(lambda: self.calls)
        self.openings: list[Opening] = []
        """Of each step that uses something, or is called elsewhere: how many of its calls wait until that is there."""
        self.still: Still = Still()
        """When its calls stood still because somebody had paused it."""
        self.ending: Ending | None = None
        """The end of the pipeline that the run is, if it is one."""
        self.at_first_step: bool = True
        """While a flow is compiled: whether the next step is the first that an input comes to, by whatever way."""
        self.last_stage: str = ""
        """The path of the stage whose lanes are the run's, if it is one's."""
        self.left: dict[asyncio.Task[Any], str] = {}
        """Tasks that ignore that they were cancelled, by what they call: nothing more is called in them."""
        self._counted: set[asyncio.Task[Any]] = set()  # those of them that are not counted as a lane's
        self._said: set[asyncio.Task[Any]] = set()  # those of them that observers were told of
        self._behind: list[Behind] = []
        self._stages: list[Stage] = []
        self._gone_on: dict[str, dict[str, int]] = {}  # failures that ended nothing, by what became of them
        self._name = name
        self._paused_by = ""
        self.once: bool = once
        """Whether it is of one value through a flow, without a run around it."""
        self._calls_at_once = calls_at_once
        self._calls: Calls | None = None
        self._elsewhere: dict[Any, RemoteCalls] = {}
        self._most_there: dict[Any, list[Callable[[], int]]] = {}

    def tell(self, act: Callable[[], None]) -> None:
        """Do something on the loop soon; from any thread."""
        tell(self.loop, act)

    def pushed_back(self, pushback: Pushback) -> None:
        """Take note that the other side wants less."""
        self.rejected += not pushback.timeout
        if pushback.absurd:
            self.notes.setdefault(pushback.absurd)

    def took(self, error: BaseException, seconds: float) -> None:
        """Take note that a call of a step took so long, and failed."""
        kind = kind_of(error)
        self.failed_time[kind] = self.failed_time.get(kind, 0.0) + seconds

    def went_on(self, what: str, error: BaseException) -> None:
        """Count an item of a stage that failed and ended nothing; `what` says which stage, and what it did."""
        kinds, kind = self._gone_on.setdefault(what, {}), kind_of(error)
        kinds[kind] = kinds.get(kind, 0) + 1

    def said(self) -> tuple[str, ...]:
        """Return what a reader of the summary should know. From any thread."""
        counts = [(what, dict(kinds)) for what, kinds in tuple(self._gone_on.items())]
        gone_on = (
            f"{what} {sum(kinds.values()):,} {'item' if sum(kinds.values()) == 1 else 'items'} that failed"
            f" ({kinds_of(kinds)})"
            for what, kinds in counts
        )
        return (*gone_on, *tuple(self.notes))

    @property
    def calls(self) -> Calls:
        """The threads for calls: those of the run, or for one value those of the loop, which need not be started."""
        return calls_of_loop() if self.once and self._calls is None else self.own_calls

    @property
    def own_calls(self) -> Calls:
        """The run's own threads, started with the first blocking call; they end with it, and close what they opened."""
        if self._calls is None:
            self._calls = Calls(self.loop, self.most, name=f"whilst-lane {self._name}")
            self._calls.left = self._call_left
        return self._calls

    def opening(self) -> Opening:
        """Return what counts the calls of one step that wait for what they need to be opened or started."""
        self.openings.append(made := Opening(self.clock, self._turned))
        return made

    def _turned(self) -> None:
        if self.run is None:
            return
        if asyncio._get_running_loop() is self.loop:
            self.run.turn()
        else:
            self.tell(self.run.turn)

    def run_id(self) -> bytes:
        """Return what tells the run from all others."""
        if self.run is not None:
            return self.run.run_id()
        if self._id is None:
            self._id = os.urandom(8)
        return self._id

    def add_later(self, index: int, by: object, item: Any, key: Any) -> None:
        """Have the run take one more input."""
        if self.run is None:
            raise no_run_to_grow()
        self.run.add_later(index, by, item, key)

    def add_nothing(self, call: object, path: str) -> None:
        """Forget what the call of a step has added: it failed."""
        if self.run is not None and self.run.additions.aside:
            place, identity, root = place_and_identity(self.run, seat.get())
            self.run.additions.forget(root, Step(call, path, place, identity))

    def _call_left(self, fn: Callable[..., Any]) -> None:
        place = seat.get()
        self.watch.call_abandoned(place.index if place is not None else 0, f"{name_of(fn)}()")

    def leave(self, task: asyncio.Task[Any], index: int | None = None) -> None:
        """Go on without a task that was cancelled and does not end; the calls that are made in it are left behind.

        `index` is that of the input; None: of the one in whose task this is asked for.
        """
        place = seat.get()
        self._counted.update(self._told(task, index if index is not None else place.index if place is not None else 0))

    def leave_input(self, task: asyncio.Task[Any], index: int) -> None:
        """Do so with the task of an input, which its lane counts until it ends."""
        told = self._told(task, index)
        task.add_done_callback(lambda _: self._counted.update(each for each in told if each in self.left))

    def _told(self, task: asyncio.Task[Any], index: int) -> list[asyncio.Task[Any]]:
        """Leave a task behind, and return those whose calls nobody was told of before."""
        new = [each for each in self.vacate(task) if each not in self._said]
        self._said.update(new)
        for each in new:
            self.watch.call_abandoned(index, self.left[each])
        return new

    def vacate(self, task: asyncio.Task[Any]) -> list[asyncio.Task[Any]]:
        """Have others take the places that such a task holds; its permits stay out until it ends.

        Returns the task, and those that it waits for, as far as calls are made in them.
        """
        holds, awaits = held_by(task)
        calling = [each for inner in awaits for each in self.vacate(inner)]
        if task not in self.left:
            self.left[task] = next((leaf.name for _, leaf, _ in reversed(holds) if leaf is not None), "")
            for slots, leaf, call in holds:
                if call is not None and leaf is not None and leaf.gate is not None:
                    leaf.gate.leave(call)
                slots.lend(task)
            for step in self.leaves:
                step.spent.pinned = step.spent.is_timed = True
            task.add_done_callback(partial(self._ended_late, holds))
            if waits_in_here(task):
                task.cancel()  # it has ignored that, calls nothing now, and is to call nothing any more
        return calling if awaits or not self.left[task] else [task]

    def leave_source(self, path: str, task: asyncio.Task[Any]) -> None:
        """Go on without what reads for a stage, as that ignores its cancellation."""
        self.left[task] = f"the source of {path}"
        self._counted.add(task)
        task.add_done_callback(partial(self._ended_late, []))
        insist(task)

    def check_left(self) -> None:
        """Raise if this task was left behind: it calls nothing more."""
        if self.left and asyncio.current_task() in self.left:
            raise GivenUp

    def _ended_late(self, holds: list[Held], task: asyncio.Task[Any]) -> None:
        del self.left[task]
        self._counted.discard(task)
        self._said.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain
        for slots, leaf, call in holds:
            slots.forget(task)
            if call is not None and leaf is not None and leaf.gate is not None:
                leaf.gate.returned_late(call)

    def stage(self, node: Each, path: str) -> Stage:
        """Return what holds for all runs of a stage."""
        self._stages.append(stage := Stage(node, path, self.slots))
        return stage

    @property
    def has_stages(self) -> bool:
        """Whether there are any."""
        return bool(self._stages)

    def follow(self) -> None:
        """Have as many calls in flight as the limits allow now, in each stage and all together."""
        for stage in self._stages:
            stage.follow()
        more = self._calls_at_once() - self.most
        if more:
            self.most += more
            if self._calls is not None:
                self._calls.resize(self.most)
            self.slots.resize(more)
        for place, calls in self._elsewhere.items():
            calls.lanes.resize(self._most_at(place))
        if self.run is not None:
            self.run.follow()

    def calls_there(self, place: Any, most: Callable[[], int]) -> None:
        """Take note that a step makes its calls elsewhere, as many at once as `most` tells."""
        wanted.is_asked = True  # there, and nobody here would know
        self._most_there.setdefault(place, []).append(most)

    def _most_at(self, place: Any) -> int:
        return max(most() for most in self._most_there[place])

    def calls_at(self, place: Any) -> RemoteCalls:
        """Return what makes calls elsewhere: for one value the loop's own, as with threads."""
        if self.once:
            found: RemoteCalls = place.calls_of_loop()
            return found
        if place not in self._elsewhere:
            self._elsewhere[place] = place.calls(self.loop, self._most_at(place), name=self._name)
        return self._elsewhere[place]

    @property
    def holds_something(self) -> bool:
        """Whether there is something to close that may take its time."""
        return self._calls is not None or bool(self._elsewhere) or self.resources.opened

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        return len(self._counted) + (self._calls.abandoned if self._calls is not None else 0)

    @property
    def opened(self) -> int:
        """How often breakers of steps have opened."""
        return sum(leaf.gate.opened for leaf in self.leaves if leaf.gate is not None)

    @property
    def blocked(self) -> bool:
        """Whether more inputs would not help: all of them would wait for the same."""
        return any(leaf.blocks for leaf in self.leaves)

    @property
    def retry_waits(self) -> dict[str, float]:
        """Return the seconds that inputs of steps waited for another attempt, by what for."""
        return added(leaf.retry_waits for leaf in self.leaves)

    def limits(self) -> list[tuple[LimitState, str]]:
        """Return the limits of its steps, and the path of each step. From any thread."""
        return [
            (limit, leaf.spent.path)
            for leaf in tuple(self.leaves)
            if leaf.gate is not None
            for limit in leaf.gate.limits
        ]

    @property
    def broken(self) -> list[str]:
        """Name the keys that breakers of steps have paused."""
        return [name for leaf in self.leaves if leaf.gate is not None for name in leaf.gate.pauses.held.broken if name]

    def why(self, now: float) -> str:
        """Return for what most of its inputs wait that hold no place: permits of a step, or another attempt."""
        if self._paused_by:
            return PAUSED
        return why_of(self.leaves, now, self.waiting)

    def behind(self, path: str, names: tuple[str, ...]) -> Behind:
        """Return what is told for which branch of a `together` the others wait."""
        self._behind.append(found := Behind(path, names, self.clock))
        return found

    def look(self) -> None:
        """Have each step time its next call."""
        for leaf in self.leaves:
            leaf.spent.is_timed = True

    def step_time(self) -> dict[str, dict[str, float]]:
        """Return the seconds that inputs spent at each step, by what on."""
        return {leaf.spent.path: seconds for leaf in self.leaves if (seconds := leaf.spent.seconds(leaf.begun))}

    def join_time(self) -> dict[str, dict[str, float]]:
        """Return, for each `together`, how many seconds others waited for which branch."""
        return {it.path: seconds for it in self._behind if (seconds := it.seconds)}

    def stage_time(self, last: dict[str, float], now: float) -> dict[str, dict[str, float]]:
        """Return the account of each stage; that of the run is that of the last one, if it is a stage."""
        found = {stage.path: spent for stage in self._stages if (spent := stage.seconds(now)) is not None}
        return {**found, self.last_stage: last} if self.last_stage else found

    def held(self, now: float) -> tuple[str, ...]:
        """Say what holds calls up."""
        paused = [self._paused_by] if self._paused_by else []
        return tuple(dict.fromkeys([*paused, *(text for leaf in self.leaves for text in leaf.held_up(now))]))

    def correct(self, call: Any, cost: float) -> bool | None:
        """Count what a call of a step cost indeed; see `Gate.correct`. From any thread."""
        leaf = getattr(call, "leaf", None)  # a step without limits knows none
        return False if leaf is None else leaf.correct(call, cost)

    def hold(self, why: str) -> None:
        """Start no call of any step, because the run was paused: `why`, in words; "" to go on."""
        self._paused_by = why
        if why:
            self.watch.paused("", "", inf, why)
        else:
            self.watch.resumed("", "")
        self.still.mark(self, self.clock(), on=bool(why))
        self.slots.hold(on=bool(why))
        for leaf in self.leaves:
            if leaf.gate is not None:
                if not why:
                    leaf.gate.forget_saved()
                leaf.gate.look_around()

    @property
    def paused(self) -> float:
        """How many seconds the calls of all its steps are held up by pauses and breakers; 0.0 if some are not."""
        return min((leaf.paused for leaf in self.leaves), default=0.0)

    @property
    def hedged(self) -> int:
        """How many second calls were started beside late ones."""
        return sum(leaf.hedge.made for leaf in self.leaves if leaf.hedge is not None)

    def left_behind(self) -> tuple[str, ...]:
        """Name those calls."""
        counts = Counter(name for task, name in tuple(self.left.items()) if task in self._counted)
        ignoring = (f"{count} x {name}, which ignored being cancelled" for name, count in counts.items())
        return (*(self._calls.left_behind() if self._calls is not None else ()), *ignoring)

    def drain(self) -> bool:
        """End what a pipeline reads, so that the run ends when that has flown through; False if there is none."""
        return self.ending is not None and self.ending.ask()

    async def close(self) -> None:
        """Close resources, then send the threads home, each of which closes its own."""
        self.deadlines.close()
        for leaf in self.leaves:
            leaf.close()
        try:
            await self.resources.close()
        finally:
            if self._calls is not None:
                await self._calls.close()
            for calls in self._elsewhere.values():
                await calls.close()

    def let_go(self) -> None:
        """Forget all but the calls that were left behind."""
        for leaf in self.leaves:
            leaf.let_go()
        self.leaves.clear()
        if self.run is not None:
            self._id = self.run.run_id()
        self._stages.clear()
        self.openings.clear()
        self._most_there.clear()
        if self._calls is not None:
            self._calls.left = nothing
        self.ending = self.run = None
        del self.resources, self._calls_at_once
