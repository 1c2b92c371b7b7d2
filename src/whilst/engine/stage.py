"""Steps and stages of a flow in one run: on what do inputs spend their time, and how does a pipeline end?

Calls of steps that take 25 µs or more are all timed. Shorter ones are when a lane has just looked at the clock anyway,
and stand for the others: a step that goes the short way asks one flag.

A stage may be there several times at once, as a run of its own for each input that streams through it; what is here
holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Protocol
from weakref import WeakSet

from ..core.account import BUSY, RETRIES, START, TAIL, Account, added
from ..core.timings import LONG
from ..core.tree import Each
from .opening import Opening
from .slots import Slots


class Visits:
    """How many inputs came to steps in another way than by calls of their own."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun: int = 0


class Spent:
    """The time of all inputs at one step.

    >>> spent = Spent("[0] (load)")
    >>> spent.called(0.5)
    >>> spent.waited("limit: rate=2/s", 1.5)
    >>> spent.seconds(begun=1)
    {'limit: rate=2/s': 1.5, 'busy': 0.5}
    """

    __slots__ = (
        "_long", "_long_time", "_short", "_short_time", "_waits", "is_timed", "opening", "others", "path", "pinned"
    )  # fmt: skip

    def __init__(self, path: str) -> None:
        self.path: str = path
        self.is_timed: bool = True
        """Whether the next call is timed."""
        self.pinned: bool = False
        """Whether each call is, or has to look at a gate."""
        self.others: Visits | None = None
        """What counts inputs beside the calls of the step itself."""
        self.opening: Opening | None = None
        """How long its calls waited for what they use, which is a part of the time that they took."""
        self._waits: dict[str, float] = {}
        self._long = self._short = 0
        self._long_time = self._short_time = 0.0

    def called(self, took: float) -> None:
        """Take note of a call that was timed."""
        if took >= LONG:
            self._long += 1
            self._long_time += took
        else:
            self._short += 1
            self._short_time += took
            self.is_timed = self.pinned

    def waited(self, reason: str, took: float) -> None:
        """Take note of a wait before or between calls."""
        if took:
            self._waits[reason] = self._waits.get(reason, 0.0) + took

    def seconds(self, begun: int) -> dict[str, float]:
        """Return the seconds by what on, of so many inputs; from any thread."""
        if self.others is not None:
            begun += self.others.begun
        each = self._short_time / self._short if self._short else 0.0
        busy = self._long_time + each * max(self._short, begun - self._long)
        found = self._waits.copy()
        if self.opening is not None and (waited := self.opening.waited):
            found[START] = waited
            busy = max(0.0, busy - waited)
        if busy:
            found[BUSY] = busy
        return found


class Behind:
    """Which branch of a `together` the others waited for.

    >>> from time import monotonic
    >>> behind = Behind("[1].together", ("orders", "profile"), monotonic)
    >>> behind.took[1] += 0.25
    >>> behind.seconds
    {'profile': 0.25}

    Attributes:
        took: for each branch, how long the one before it waited when it was the last; written by the joins.
        clock: what tells the time.
    """

    __slots__ = ("_names", "clock", "path", "took")

    def __init__(self, path: str, names: tuple[str, ...], clock: Callable[[], float]) -> None:
        self.path: str = path
        self.took: list[float] = [0.0] * len(names)
        self.clock: Callable[[], float] = clock
        self._names = names

    @property
    def seconds(self) -> dict[str, float]:
        """The same by their names, where there was a wait; from any thread."""
        return {name: took for name, took in zip(self._names, tuple(self.took), strict=True) if took}


class Ending:
    """The end of what a stream of items reads, asked for while it runs; for the loop.

    Whoever begins to read says how that is ended. What follows on it is in flight from then on, other pipelines too.
    """

    __slots__ = ("_asked", "_begun", "_end")

    def __init__(self) -> None:
        self._asked = self._begun = False
        self._end: Callable[[], None] | None = None

    def ask(self) -> bool:
        """End the source; return False if that is the run's own, for the run to end."""
        if not self._asked:
            self._asked = True
            if self._end is not None:
                self._end()
        return self._end is not None or not self._begun

    def begins(self, end: Callable[[], None] | None) -> bool:
        """Take note that something begins to read, and of what `end`s it: None if the run does it by itself.

        Returns whether it shall read at all: not if the end came before anything was read.
        """
        if self._asked:
            too_late, self._begun = not self._begun, True
            if too_late:
                self._end = end
            return not too_late
        self._begun, self._end = True, end
        return True


class StepRun(Protocol):
    """A step in a run, as far as what its inputs wait for is asked of it."""

    @property
    def spent(self) -> Spent:
        """Return what its inputs spend their time on."""
        ...

    @property
    def gate(self) -> Gate | None:
        """Return where they wait for permits, if there is such a thing."""
        ...


class Gate(Protocol):
    """Where inputs of a step wait for permits."""

    @property
    def pending(self) -> int:
        """How many do."""
        ...

    def refusal(self, now: float) -> str:
        """Return what for."""
        ...


def why_of(leaves: Iterable[StepRun], now: float, waiting: int = 0) -> str:
    """Return for what most inputs of some steps wait: permits, or another attempt if more are `waiting` for that."""
    most = max((leaf.gate for leaf in leaves if leaf.gate is not None), key=lambda gate: gate.pending, default=None)
    return most.refusal(now) if most is not None and most.pending > waiting else RETRIES


class Run(Protocol):
    """The stage as a run, for one input."""

    def resize(self, concurrency: int) -> None:
        """Have another number of calls in flight at most."""


class Stage:
    """The calls of one stage.

    Args:
        node: the stage.
        path: in its flow.
        outer: places of all calls of the run.

    Attributes:
        concurrency: how many items may be in it now, but for those that only wait; and how many calls each of its
            steps may have in flight.
        places: those of the items.
    """

    def __init__(self, node: Each, path: str, outer: Slots) -> None:
        self.path: str = path
        self.concurrency: int = node.concurrency
        self.places: Slots = Slots(self.concurrency)
        self.leaves: Sequence[StepRun] = ()
        """Its steps."""
        self._node = node
        self._outer = outer
        self._all = [self.places]
        self._runs: WeakSet[Run] = WeakSet()
        self._accounts: list[Account] = []  # of runs that have not ended, as far as was seen
        self._ended: dict[str, float] | None = None  # what those have spent that have ended; None: there was none

    def slots(self) -> Slots:
        """Return places for the calls of one of its steps."""
        slots = Slots(self.concurrency, self._outer)
        self._all.append(slots)
        return slots

    def follow(self) -> None:
        """Have as many calls in flight as the limits of the stage allow now."""
        more = self._node.concurrency - self.concurrency
        if not more:
            return
        self.concurrency += more
        for slots in self._all:
            slots.resize(more)
        for run in tuple(self._runs):
            run.resize(self.concurrency)

    @property
    def openings(self) -> Iterable[Opening]:
        """Return, of each of its steps that needs it, how many calls wait until something is opened."""
        return [leaf.spent.opening for leaf in self.leaves if leaf.spent.opening is not None]

    def why(self, now: float) -> str:
        """Return for what most of its items wait that hold no place: permits of a step, or another attempt."""
        return why_of(self.leaves, now)

    def opened(self, run: Run, account: Account) -> None:
        """Take note of a run of the stage, and of where the time of its lanes goes."""
        over = [account for account in self._accounts if account.over]
        self._ended = added([self._ended or {}, *(it.seconds(-inf) for it in over)])
        self._accounts = [*(it for it in self._accounts if it not in over), account]
        self._runs.add(run)

    def seconds(self, now: float) -> dict[str, float] | None:
        """Return the seconds of its lanes, by what they went on; None if it was never opened."""
        if self._ended is None:
            return None
        accounts = tuple(self._accounts)
        since = min((now - it.since for it in accounts), default=0.0) if all(it.over for it in accounts) else 0.0
        return added([self._ended, *(it.seconds(now) for it in accounts), {TAIL: self.concurrency * max(0.0, since)}])
