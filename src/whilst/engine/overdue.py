"""Which calls of a run have taken too long? One sweep over the lanes' start times, instead of a timer a call."""

from __future__ import annotations

from collections.abc import Callable, Container
from math import inf
from typing import Protocol

from ..core.plan import Plan
from ..lanes.port import Lanes
from .attempts import Attempts
from .timers import Timers

LEAST_SWEEP = 0.005  # seconds between two looks for calls past their timeout; a look costs 0.04 µs a lane


class Host(Protocol):
    """What this needs from the driver."""

    clock: Callable[[], float]
    lanes: Lanes

    def give_up_on(self, late: Container[int]) -> None:
        """Settle the inputs of these indices that are not being called."""


class Overdue:
    """The time that each call has (`timeout`), and each input over all its attempts (`Retry(total=)`)."""

    def __init__(self, host: Host, plan: Plan, attempts: Attempts | None, timers: Timers) -> None:
        self._host = host
        self._name = plan.name
        self._timeout = inf if plan.timeout is None else plan.timeout
        self._total = inf if plan.retry is None or plan.retry.total is None else plan.retry.total
        self._attempts = attempts
        self._timers = timers
        self.patience: float = min(self._timeout, self._total)
        """Seconds that a call may take at most; infinite if it may take any time."""

    def start(self, started: float) -> None:
        """Begin to look, if there is anything to look for."""
        if self.patience < inf:
            self._timers.at("sweep", started + self.patience, self._sweep)

    def due(self, index: int, started: float) -> float:
        """Return when a call is past its timeout, or its input past `Retry(total=)`."""
        due = started + self._timeout
        return due if self._attempts is None else min(due, self._attempts.ends_at(index, started))

    def error(self, started: float) -> TimeoutError:
        """Say which of the two it was."""
        if self._host.clock() >= started + self._timeout:
            return TimeoutError(f"{self._name}() took longer than its timeout of {self._timeout:g} s")
        total = f"{self._total:g}"
        return TimeoutError(f"{self._name}() took longer than {total} s over all its attempts (Retry(total={total}))")

    def _sweep(self) -> None:
        now = self._host.clock()
        earliest = min(self._host.lanes.sweep(now), now + self.patience)
        if self._attempts is not None:
            late, following = self._attempts.late(now)
            earliest = min(earliest, following)
            if late:
                self._host.give_up_on(late)
        self._timers.at("sweep", max(earliest, now + LEAST_SWEEP), self._sweep)
