"""Is a silence over of which nobody said how long it is? One call finds out, before others follow."""

from __future__ import annotations

PATIENCE = 2.0  # times as long as the last refusal took: a call that is not back by then has not been refused


class Probe:
    """A single call after a silence.

    Args:
        before: calls taken before it, and those on their way.
        trip: seconds in which the last refusal came back.
    """

    __slots__ = ("_before", "_patience", "_sent")

    def __init__(self, before: int, trip: float) -> None:
        self._before = before
        self._patience = PATIENCE * trip
        self._sent: float | None = None

    def over(self, now: float, taken: int) -> bool:
        """Whether the other side takes calls, as it seems."""
        return taken > self._before or (self._sent is not None and now >= self._sent + self._patience)

    def delay(self, now: float) -> float:
        """Return the seconds until there is something to be done: 0.0 as long as it has not been sent."""
        return 0.0 if self._sent is None else max(1e-3, self._sent + self._patience - now)

    def take(self, now: float, count: int) -> None:
        """Hear that it has been sent; a `count` less than 0: it has not, after all."""
        self._sent = now if count > 0 else None

    def shift(self, seconds: float) -> None:
        """Move what is remembered in time, for another clock."""
        if self._sent is not None:
            self._sent += seconds
