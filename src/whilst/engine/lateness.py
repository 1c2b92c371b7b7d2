"""Does this process keep up with its run? How late is the loop for what is due, and did it get a processor?

A busy lane waits for the other side only if somebody is there to hear the answer. So the loop is given something to do
now and then, and how late it comes to that is noted: a call that holds the loop makes it late, and so do threads that
hold the interpreter. What its thread has spent in the queue for a processor is not counted as that: it tells a machine
that has other work to do.

It looks every 50 ms, then, as the run becomes older, ever more seldom, down to once a second. Virtual time is never
late, and a timer of ours would keep it from seeing that nothing can happen any more, so there it does not look.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..lanes.threadtime import used

FIRST = 0.05  # seconds from the start to the first look, and between two looks at least
RARER = 20  # times the time between two looks is the age of the run
SELDOM = 1.0  # seconds between two looks at most
KEPT = 60  # looks, the last ones
LEAST = 0.005  # seconds that a thread must have run or queued, or what it did says nothing


class Alarms(Protocol):
    """The deadlines of the run, as far as this asks."""

    def at(self, name: str, when: float, action: Callable[[], None]) -> None:
        """Call `action` at the time `when`."""


class Lateness:
    """How late one run's loop is; made on its thread when the first look is due.

    Args:
        owner: of the run; when it is gone, nobody looks any more.
        clock: its time.
        alarms: sets the time of the next look.
        began: when the run did.
    """

    def __init__(self, owner: object, clock: Callable[[], float], alarms: Alarms, began: float) -> None:
        self.queued: float = 0.0
        """The share of the time in which the loop's thread wanted a processor, in which others had them all."""
        self._owner = weakref.ref(owner)
        self._clock = clock
        self._alarms = alarms
        self._began = began
        self._late: deque[float] = deque(maxlen=KEPT)
        self._tid = threading.get_native_id()
        self._first = self._last = _times(self._tid)  # seconds that its thread had run, and queued, at these looks
        self._look_at(clock() + FIRST)

    @property
    def usual(self) -> float:
        """By how many seconds the loop was late, at the median of the last looks; from any thread."""
        late = sorted(self._late.copy())
        return late[len(late) // 2] if late else 0.0

    def _look(self) -> None:
        if self._owner() is None:
            return
        now, (ran, queued) = self._clock(), _times(self._tid)
        self._late.append(max(0.0, now - self._due - (queued - self._last[1])))
        self._last = ran, queued
        ran, queued = ran - self._first[0], queued - self._first[1]
        self.queued = queued / (ran + queued) if ran + queued >= LEAST else 0.0
        self._look_at(now + min(max(FIRST, (now - self._began) / RARER), SELDOM))

    def _look_at(self, when: float) -> None:
        self._due = when
        self._alarms.at("lateness", when, self._look)


def _times(tid: int) -> tuple[float, float]:
    """Return the seconds that a thread ran, and queued; zeros where that is not known, as the queue is not there."""
    found = used(tid)
    return (0.0, 0.0) if found is None else found[:2]
