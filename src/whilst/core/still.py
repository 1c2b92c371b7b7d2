"""For how long did somebody have everything stand still, so that the time does not count?"""

from __future__ import annotations

from math import inf


class Still:
    """The pauses of one run by hand, on the run's clock; several may hold it at once.

    >>> still = Still()
    >>> still.mark("limit.pause()", 10.0, on=True)
    >>> still.mark("limit.pause()", 14.0, on=False)
    >>> still.within(8.0, 13.0), still.within(8.0, 20.0), still.within(12.0, 20.0)
    (3.0, 4.0, 2.0)
    """

    __slots__ = ("_since", "_spans", "_who")

    def __init__(self) -> None:
        self._who: set[object] = set()
        self._since = inf
        self._spans: list[tuple[float, float]] = []

    def mark(self, who: object, now: float, *, on: bool) -> None:
        """Take note that somebody holds it, or does not any more."""
        if on:
            if not self._who:
                self._since = now
            self._who.add(who)
        elif who in self._who:
            self._who.remove(who)
            if not self._who:
                self._spans.append((self._since, now))
                self._since = inf

    @property
    def now(self) -> bool:
        """Whether it stands still."""
        return bool(self._who)

    def within(self, since: float, now: float) -> float:
        """Return for how many seconds it stood still between two moments."""
        stood = max(0.0, now - max(since, self._since))
        for began, ended in self._spans:
            stood += max(0.0, min(ended, now) - max(began, since))
        return stood
