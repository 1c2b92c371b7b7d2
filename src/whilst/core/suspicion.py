"""Do refusals that do not say when to come again come of a rate? Calls are made a little slower, to see.

Whoever refuses by chance, or because it is ill, refuses the same share of the calls at whatever rate. Who permits a
rate refuses next to nothing that keeps to what it has taken before. So that is tried where refusals are many.

========  ========================================================  ===================================================
state     what it does                                              leaves for
========  ========================================================  ===================================================
watching  counts from the first refusal of a series                 trying, when more than one in thirty was refused;
                                                                    sure, when most were, and say that they were
                                                                    too many
trying    has the rate kept at which calls were taken, and counts   sure, when far less is refused than before;
          what is refused nevertheless                              watching for twice as many, when it is not
sure      refusals are those of a rate                              watching, when `Learned` finds none
========  ========================================================  ===================================================
"""

from __future__ import annotations

from typing import Literal

SHARE = 0.03  # of the calls; fewer refusals than that are left to retries
MOST = 8  # refusals that say that there were too many calls; more than what was taken meanwhile, they are believed
REFUSED, TAKEN, SPAN = 16, 32, 0.5  # refusals, calls and seconds that tell a share and a rate; fewer may be chance
CALM = 5.0  # seconds without a refusal end a series
LEAST = 3  # refusals that tell that they come by chance
# A third of the refusals that chance would have brought, less seven, are those of a rate: chance brings so few in one
# of a thousand tries. Half or more are chance's.
FEWER, BEYOND, AS_MANY = 3.0, 7.0, 2.0

Answer = Literal["", "try", "not yet", "rate", "no rate"]


class Suspicion:
    """What is thought of refusals that do not say what they are for.

    Attributes:
        rate: calls a second that were taken, once that is to be tried.

    >>> suspicion = Suspicion()
    >>> [suspicion.refused(n / 10, n / 10, sure=True, taken=20 * n, in_flight=0, refused=n) for n in range(1, 17)][-1]
    'try'
    >>> round(suspicion.rate)
    200
    """

    __slots__ = ("_doubted", "_edge", "_enough", "_kept", "_last", "_seen", "_since", "_sure", "_trial", "rate")

    def __init__(self) -> None:
        self.rate: float = 0.0
        self._sure = False
        self._doubted = False  # whether those were refused by chance, too, that say that there were too many calls
        self._enough = REFUSED
        self._since = (0.0, 0, 0)  # when the series began, how many had been taken, and how many refused
        self._kept = (0, 0, 1.0)  # calls taken and refused when that became sure, and the share refused before
        self._last = -CALM  # when one was refused
        self._seen = 0  # how many had been taken at the last refusal
        self._edge: tuple[float, int] | None = None  # when calls began to be refused again, and how many had been taken
        self._trial: tuple[float, int, int, float] | None = None  # the same of the trial, and the share before

    def refused(self, sent: float, now: float, *, sure: bool, taken: int, in_flight: int, refused: int) -> Answer:
        """Hear of a refusal, and say what follows.

        Args:
            sent: when the call began.
            now: the time.
            sure: whether it says that there were too many calls; then most being refused is enough.
            taken: calls that the other side has taken so far.
            in_flight: calls that are on their way.
            refused: calls that it has refused, this one among them.
        """
        begins, self._seen = taken > self._seen, taken
        if self._sure:
            return "rate"
        if self._trial is not None:
            return self._judge(sent, taken, refused)
        passed, refusals = self._count(now, taken, refused)
        if begins and self._edge is None:
            self._edge = (now, taken)
        if sure and not self._doubted and refusals >= max(MOST, passed):
            self._keep(taken + in_flight, refused, refusals / (refusals + passed))
            return "rate"
        if refusals < self._enough or not begins or self._edge is None:
            return ""
        # From one moment at which calls began to be refused to another: from within a window's rest it would be more.
        began, had = self._edge
        if taken - had < TAKEN or now - began < SPAN:
            return ""
        self.rate = (taken - had) / (now - began)
        self._trial = (now, taken + in_flight, refused, refusals / (refusals + passed))
        return "try"

    @property
    def tries(self) -> bool:
        """Whether a rate is kept because of it."""
        return self._sure or self._trial is not None

    def forget(self) -> None:
        """Hear that no rate is kept."""
        if self.tries:
            self._sure, self._trial, self._last = False, None, -CALM

    def doubts(self, taken: int, refused: int) -> bool:
        """Whether calls are refused as often as before a rate was kept, so that it explains nothing.

        Then it is kept no longer, and the next time takes more to be believed.
        """
        had, refusals, share = self._kept
        refusals, passed = refused - refusals, max(0, taken - had)
        if AS_MANY * refusals < share * (refusals + passed):
            return False
        self.forget()
        self._doubted = True
        self._enough *= 2
        return True

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        self._last += seconds
        self._since = (self._since[0] + seconds, *self._since[1:])
        if self._edge is not None:
            self._edge = (self._edge[0] + seconds, self._edge[1])
        if self._trial is not None:
            self._trial = (self._trial[0] + seconds, *self._trial[1:])

    def _count(self, now: float, taken: int, refused: int) -> tuple[int, int]:
        """Count a refusal; return how many calls of this series have been taken and refused."""
        _, had, refusals = self._since
        passed, refusals = taken - had, refused - refusals
        if now - self._last > CALM or passed * SHARE > refusals:
            self._since, self._edge = (now, taken, refused - 1), None
            passed, refusals = 0, 1
        self._last = now
        return passed, refusals

    def _keep(self, taken: int, refused: int, share: float) -> None:
        self._sure, self._trial, self._kept = True, None, (taken, refused, share)

    def _judge(self, sent: float, taken: int, refused: int) -> Answer:
        assert self._trial is not None
        began, had, refusals, share = self._trial
        if sent < began or taken <= had:  # it was under way; or none was taken since, as in a window that is used up
            self._trial = (began, had - (sent < began), refusals + 1, share)
            return "not yet"
        refusals = refused - refusals
        expected = share * (max(0, taken - had) + refusals)
        if expected >= FEWER * refusals + BEYOND:
            self._keep(taken, refused, share)
            return "rate"
        if refusals >= LEAST and expected < AS_MANY * refusals:
            self.forget()
            self._enough *= 2
            return "no rate"
        return ""
