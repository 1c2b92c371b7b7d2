"""On what do inputs spend their time in a flow: at which step, in calls or waiting for what, behind which branch?

Calls that take 25 µs or more are all timed. Shorter ones are when a lane has just looked at the clock anyway, and stand
for the others: a step that goes the short way asks one flag, which it did before.
"""

from __future__ import annotations

from ..core.account import BUSY
from ..core.timings import LONG


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

    __slots__ = ("_long", "_long_time", "_short", "_short_time", "_waits", "detours", "others", "path", "pinned")

    def __init__(self, path: str) -> None:
        self.path: str = path
        self.detours: bool = True
        """Whether the next call goes the long way, which times it."""
        self.pinned: bool = False
        """Whether all calls do, for another reason."""
        self.others: Visits | None = None
        """What counts inputs beside the calls of the step itself."""
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
            self.detours = self.pinned

    def waited(self, reason: str, took: float) -> None:
        """Take note of a wait before or between calls."""
        self._waits[reason] = self._waits.get(reason, 0.0) + took

    def seconds(self, begun: int) -> dict[str, float]:
        """Return the seconds by what on, of so many inputs; from any thread."""
        if self.others is not None:
            begun += self.others.begun
        each = self._short_time / self._short if self._short else 0.0
        busy = self._long_time + each * max(self._short, begun - self._long)
        return {**self._waits, BUSY: busy} if busy else self._waits.copy()


NO_DETOUR: Spent = Spent("")
"""Of calls that go the short way whatever comes."""
NO_DETOUR.detours = False


class Behind:
    """Which branch of a `together` the others waited for.

    >>> behind = Behind("[1].together", ("orders", "profile"))
    >>> behind.waited(1, 0.25)
    >>> behind.seconds
    {'profile': 0.25}
    """

    __slots__ = ("_names", "path", "seconds")

    def __init__(self, path: str, names: tuple[str, ...]) -> None:
        self.path: str = path
        self.seconds: dict[str, float] = {}
        self._names = names

    def waited(self, place: int, took: float) -> None:
        """Take note that this branch was the last, so long behind the one before it."""
        name = self._names[place]
        self.seconds[name] = self.seconds.get(name, 0.0) + took
