"""Where does lane-time go? Permitted slots x time = busy + idle by reason, added up when one of these changes.

Nothing is counted per call. Whoever sees lanes park or wake says how it is from now on; what was said before has been
true until then. So the sum is the permitted slots times the time, whatever happens in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

BUSY = "busy"
SOURCE = "source"
CONSUMER = "consumer"
ORDER = "order"
PUSHBACK = "pushback"
PAUSED = "paused"
RETRIES = "retries"
JOURNAL = "journal"
START = "start"
TAIL = "tail"
LIMIT = "limit: "  # and its name

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        BUSY: "in calls",
        SOURCE: "waiting for the next input",
        CONSUMER: "waiting for whoever takes the outcomes",
        ORDER: "waiting for an early input, as outcomes are given in order",
        PUSHBACK: 'held back by the other side, which said "slower" or is down',
        PAUSED: "paused by hand",
        RETRIES: "waiting for the time of another attempt",
        JOURNAL: "waiting for the journal",
        START: "being started",
        TAIL: "without an input, as there were fewer left than lanes",
    }
)
"""What each reason says of a lane."""

Idle = tuple[tuple[str, int], ...]  # (reason, how many slots)


class Account:
    """The lane-time of one run, one stage or one step.

    >>> account = Account(10.0)
    >>> account.turn(10.0, 3, (("source", 1),))
    >>> account.turn(12.0, 4)
    >>> account.seconds(13.0)
    {'busy': 10.0, 'source': 2.0}
    >>> shares(account.seconds(13.0))
    {'busy': 0.8333333333333334, 'source': 0.16666666666666666}
    """

    __slots__ = ("_busy", "_idle", "_since", "_sums", "over", "peak")

    def __init__(self, now: float) -> None:
        self.peak: int = 0
        """How many slots were busy at once, at most."""
        self.over: bool = False
        """Whether there are no slots any more."""
        self._since = now
        self._busy = 0
        self._idle: Idle = ()
        self._sums: dict[str, float] = {}

    @property
    def since(self) -> float:
        """Until when it was added up: the time of the last turn, or of the end."""
        return self._since

    @property
    def now(self) -> tuple[int, Idle]:
        """How many slots are busy, and why the others are not."""
        return self._busy, self._idle

    def turn(self, now: float, busy: int, idle: Idle = ()) -> None:
        """Add up what was until `now`; from now on so many slots are busy, and others idle for these reasons."""
        sums, lasted = self._sums, now - self._since
        if lasted > 0.0:
            if self._busy:
                sums[BUSY] = sums.get(BUSY, 0.0) + self._busy * lasted
            for reason, slots in self._idle:
                sums[reason] = sums.get(reason, 0.0) + slots * lasted
            self._since = now
        self._busy, self._idle = busy, idle
        if busy > self.peak:
            self.peak = busy

    def end(self, now: float, *, since_then: bool = True) -> None:
        """Add up what was until `now`, unless it was over at the last turn; from now on there are no slots."""
        if since_then:
            self.turn(now, 0)
        self._busy, self._idle, self.over = 0, (), True

    def seconds(self, now: float) -> dict[str, float]:
        """Return the slot-seconds of each reason up to `now`; from any thread."""
        sums, lasted = self._sums.copy(), max(0.0, now - self._since)
        for reason, slots in ((BUSY, self._busy), *self._idle):
            if slots and lasted:
                sums[reason] = sums.get(reason, 0.0) + slots * lasted
        return sums


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of a sum, the largest first; nothing of nothing.

    >>> shares({"source": 1.0, "busy": 3.0})
    {'busy': 0.75, 'source': 0.25}
    """
    total = sum(seconds.values())
    if total <= 0.0:
        return {}
    return {reason: part / total for reason, part in sorted(seconds.items(), key=lambda it: -it[1]) if part > 0.0}


def split(idle: int, *claims: tuple[str, int]) -> Idle:
    """Share idle slots among reasons, each of which claims some: the first ones get theirs, the last one all the rest.

    >>> split(10, ("journal", 2), ("retries", 3), ("tail", 0))
    (('journal', 2), ('retries', 3), ('tail', 5))
    >>> split(1, ("journal", 2), ("tail", 0))
    (('journal', 1),)
    """
    found: list[tuple[str, int]] = []
    for place, (reason, claimed) in enumerate(claims):
        slots = idle if place == len(claims) - 1 else min(idle, claimed)
        if slots > 0:
            found.append((reason, slots))
            idle -= slots
    return tuple(found)


def meaning(reason: str) -> str:
    """Say what a reason means, of a lane.

    >>> meaning("limit: rate=100/s"), meaning("tail")
    ('held by rate=100/s', 'without an input, as there were fewer left than lanes')
    """
    return f"held by {reason.removeprefix(LIMIT)}" if reason.startswith(LIMIT) else MEANINGS.get(reason, reason)


def added(accounts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the sum of several accounts, reason by reason.

    >>> added([{"busy": 1.0}, {"busy": 2.0, "tail": 1.0}])
    {'busy': 3.0, 'tail': 1.0}
    """
    sums: dict[str, float] = {}
    for account in accounts:
        for reason, seconds in account.items():
            sums[reason] = sums.get(reason, 0.0) + seconds
    return sums
