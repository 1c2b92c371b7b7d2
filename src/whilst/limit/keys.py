"""Which keys does a limit remember, each with a line of its own, and when does it forget one?"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from ..core.throttle import Throttle
from .line import Clock, Line, lock

REMEMBERED = 1024  # keys; up to so many none is forgotten, so that what a controller learned is kept while it matters
NOBODY: Hashable = None  # the key of a limit without `by`; alone, it is never forgotten


class Keys:
    """The lines of a limit, one for each value of `by` that is in use.

    Args:
        throttle: makes the state of a new key.
    """

    __slots__ = ("_forget_at", "_lines", "_throttle", "forgotten_rejected", "forgotten_started")

    def __init__(self, throttle: Callable[[], Throttle]) -> None:
        self.forgotten_started: int = 0
        self.forgotten_rejected: int = 0
        self._throttle = throttle
        self._lines: dict[Hashable, Line] = {}
        self._forget_at = REMEMBERED

    @property
    def lines(self) -> tuple[Line, ...]:
        """Those of all keys that are remembered; for those who have the lock."""
        return tuple(self._lines.values())

    def line(self, key: Hashable, clock: Clock) -> Line:
        """Return the line of a key, a new one if it is not known."""
        with lock:
            line = self._lines.get(key)
            if line is None:
                if len(self._lines) >= self._forget_at:
                    self.forget()
                line = self._lines[key] = Line(self._throttle(), clock)
            return line

    def forget(self) -> None:
        """Forget idle keys; so rarely that each new key pays for a look at two."""
        for key, line in tuple(self._lines.items()):
            if not line.parties and line.kept_for is None and line.throttle.idle(line.clock()):
                line.gone = True
                del self._lines[key]
                self.forgotten_started += line.throttle.started
                self.forgotten_rejected += line.throttle.rejected
        self._forget_at = max(REMEMBERED, 2 * len(self._lines))
