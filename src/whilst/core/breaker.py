"""Has the other side broken down, so that calling on would only waste attempts?

For a batch a breaker does not fail calls, it pauses them: of at least 20 calls within 10 s fewer than one in ten went
well, so nothing is started for 2 s; then one call probes. A probe that fails doubles the pause, up to 60 s; one that
succeeds ends it. (Nygard, Release It!, 2007, has the pattern; there calls fail fast, here nothing is lost by waiting.)
A side that fails half of its calls does the other half, which no pause would have it do sooner.

The 10 s slide: twenty failures after a thousand calls that went well in the same 10 s are no breakdown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from math import inf

from .waits import waits

SPAN = 10.0  # seconds looked back
LEAST = 20  # calls; fewer say nothing
SHARE = 0.9  # of them that failed, or more: then it is down, and not only ill
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
SLOT = 0.5  # seconds of failures that one sample stands for


class Breaker:
    """Closed (calls go), open (nothing starts until `open_until`), or half-open (one probe is out).

    It is told of failures only, with the count of all calls that have ended, so that successes cost nothing; between
    two failures calls are taken to have ended evenly. What calls tell that were sent before it opened says nothing new:
    the one that counts is known by name.

    Args:
        began: when no call had ended yet.
    """

    __slots__ = ("_failed", "_pause", "_probe", "_samples", "open_until", "opened")

    def __init__(self, began: float) -> None:
        self.opened: int = 0
        """How often it has opened."""
        self.open_until: float | None = None
        self._probe: Hashable = None
        self._pause = FIRST_PAUSE
        self._failed = 0
        self._samples = deque([(began, 0, 0)])  # (when, calls ended, of them failed) before a slot; one before the span

    def room(self, now: float) -> float:
        """Return how many calls may be started: any number (inf), one (the probe), or none."""
        if self.open_until is None:
            return inf
        return 0.0 if self._probe is not None or now < self.open_until else 1.0

    def start(self, call: Hashable) -> None:
        """Take note that a call starts; if the breaker is open, it is the probe."""
        if self.open_until is not None:
            self._probe = call

    def failed(self, call: Hashable, ended: int, now: float) -> bool:
        """Take note of a failure, `ended` calls having ended by now; return whether this opened the breaker."""
        self._failed += 1
        if self.open_until is not None:
            if self._probe is None or call != self._probe:
                return False
            self._pause = min(LONGEST_PAUSE, self._pause * 2)
            return self._open(now)
        self._sample(ended, now)
        ended_before, failed_before = self._before(now - SPAN)
        calls, failed = ended - ended_before, self._failed - failed_before
        return calls >= LEAST and failed > SHARE * calls and self._open(now)

    def succeeded(self, call: Hashable, ended: int) -> bool:
        """Take note of a success; return whether it was the probe, which closes the breaker: all begins anew."""
        if self._probe is None or call != self._probe or self.open_until is None:
            return False
        self._samples = deque([(self.open_until, ended, self._failed)])
        self.open_until, self._probe, self._pause = None, None, FIRST_PAUSE
        return True

    def withdrawn(self, call: Hashable) -> None:
        """Take note that a call ended without a word on the other side: if it was the probe, another may go."""
        if call == self._probe:
            self._probe = None

    def idle(self, now: float) -> bool:
        """Whether a new one would decide the same."""
        return self.open_until is None and now - self._samples[-1][0] > SPAN

    def _open(self, now: float) -> bool:
        self.opened += 1
        self.open_until, self._probe = now if waits.off else now + self._pause, None
        return True

    def _sample(self, ended: int, now: float) -> None:
        samples = self._samples
        if now - samples[-1][0] >= SLOT:
            samples.append((now, ended - 1, self._failed - 1))
        while len(samples) > 1 and samples[1][0] <= now - SPAN:
            samples.popleft()

    def _before(self, since: float) -> tuple[float, int]:
        """Return how many calls had ended at a time, and how many of them had failed, to a slot."""
        when, ended, failed = self._samples[0]
        if since <= when:
            return ended, failed
        later, ended_later, failed_later = self._samples[1]
        share = (since - when) / (later - when)
        return ended + share * (ended_later - ended), failed if since < when + SLOT else failed_later
