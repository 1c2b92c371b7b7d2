"""One stage of a flow in one run: how many of its calls may be in flight, and where the time of its lanes went.

A stage may be there several times at once, as a run of its own for each input that streams through it; what is here
holds for all of them.
"""

from __future__ import annotations

from math import inf
from typing import Protocol
from weakref import WeakSet

from ..core.account import Account, added
from ..core.tree import Each
from .slots import Slots


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
        return added([self._ended, *(it.seconds(now) for it in accounts)])
