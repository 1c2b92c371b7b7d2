"""Has the other side broken down, so that calling on would only waste attempts?

For a batch a breaker does not fail calls, it pauses them: half of at least 20 calls within 10 s failed, so nothing is
started for 5 s; then one call probes. A probe that fails doubles the pause, up to 60 s; one that succeeds ends it.
(Nygard, Release It!, 2007, has the pattern; there calls fail fast, here nothing is lost by waiting.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from math import inf

SPAN = 10.0  # seconds looked back
LEAST = 20  # calls; fewer say nothing
SHARE = 0.5
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
SLOT = 0.5  # seconds that one sample of the counts stands for


class Breaker:
    """Closed (calls go), open (nothing starts until `open_until`), or half-open (one probe is out).

    It is told of failures only, with the count of all calls that have ended, so that successes cost nothing. What calls
    tell that were sent before it opened says nothing new: the one that counts is known by name.
    """

    __slots__ = ("_failed", "_pause", "_probe", "_samples", "open_until", "opened")

    def __init__(self) -> None:
        self.opened: int = 0
        """How often it has opened."""
        self.open_until: float | None = None
        self._probe: Hashable = None
        self._pause = FIRST_PAUSE
        self._failed = 0
        self._samples: deque[tuple[float, int, int]] = deque()  # (when, calls ended, of them failed) before a slot

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
        _, ended_before, failed_before = self._samples[0]
        calls, failed = ended - ended_before, self._failed - failed_before
        return calls >= LEAST and failed >= SHARE * calls and self._open(now)

    def succeeded(self, call: Hashable) -> bool:
        """Take note of a success; return whether it was the probe, which closes the breaker."""
        if self._probe is None or call != self._probe:
            return False
        self.open_until, self._probe, self._pause = None, None, FIRST_PAUSE
        return True

    def withdrawn(self, call: Hashable) -> None:
        """Take note that a call ended without a word on the other side: if it was the probe, another may go."""
        if call == self._probe:
            self._probe = None

    def idle(self, now: float) -> bool:
        """Whether a new one would decide the same."""
        return self.open_until is None and (not self._samples or now - self._samples[-1][0] > SPAN)

    def _open(self, now: float) -> bool:
        self.opened += 1
        self.open_until, self._probe = now + self._pause, None
        self._samples.clear()
        return True

    def _sample(self, ended: int, now: float) -> None:
        samples = self._samples
        if not samples or now - samples[-1][0] >= SLOT:
            samples.append((now, ended - 1, self._failed - 1))
        while len(samples) > 1 and now - samples[0][0] > SPAN:
            samples.popleft()
