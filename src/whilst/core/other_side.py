"""What has the other side of one key said so far: does nothing start for a while, how many calls may, and how fast?

It says so in four ways, each with a module of its own, and all that it has said holds at once: a pause (Retry-After),
a rate that its headers advise (`rates.py`), how many calls are left (`allowance.py`), and refusals, which teach a rate
that nobody told (`learned.py`; `suspicion.py` says whether they come of a rate). How calls are paced here, as its user
wants it, is the business of `throttle.py`, which asks this one whenever it has been told anything.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .allowance import Allowance
from .rates import Gcra, Rate

if TYPE_CHECKING:
    from .learned import Learned
    from .suspicion import Suspicion

# seconds from a refusal that does not say when to come again to a call that looks, at most, and each time longer
SILENCE, LONGEST_SILENCE, LONGER = 0.25, 1.0, 1.3


class OtherSide:
    """What the other side of one key has told.

    Attributes:
        pause_until: nothing starts before; far in the past where there was no pause.

    >>> side = OtherSide()
    >>> side.pause(5.0)
    >>> side.delay(2.0, 1.0, taken=0, in_flight=0), side.delay(6.0, 1.0, taken=0, in_flight=0)
    (3.0, 0.0)
    """

    __slots__ = ("_advised", "_advised_until", "_allowance", "_learned", "_silence", "_suspicion", "pause_until")

    def __init__(self) -> None:
        self.pause_until: float = -inf
        self._advised: Gcra | None = None
        self._advised_until = -inf
        self._allowance: Allowance | None = None
        self._learned: Learned | None = None  # the pace, once a refusal has taught one
        self._silence = SILENCE
        self._suspicion: Suspicion | None = None  # of refusals that may mean anything

    # -- what it permits --------------------------------------------------------------------------------------

    @property
    def paces(self) -> bool:
        """Whether it has told how many calls, or how fast; a pause is not meant."""
        return (self._advised or self._allowance or self._learned) is not None

    @property
    def found(self) -> str:
        """What refusals have taught, in words; "" as long as nothing. From any thread."""
        learned = self._learned
        return f"the other side permits {learned.most:.3g}/s" if learned is not None and learned.most else ""

    def delay(self, now: float, weight: float, *, taken: int, in_flight: int) -> float:
        """Return the seconds until a call may start; 0.0 if it may, infinite if only a returning call helps.

        Args:
            now: the time.
            weight: of the call; refusals and advice do not count calls that weigh nothing.
            taken: how many calls the other side has taken and answered.
            in_flight: how many are on their way.
        """
        wait = max(0.0, self.pause_until - now)
        if self._advised is not None and self._is_advised(now):
            wait = max(wait, min(self._advised.delay(now, weight), self._advised_until - now))
        if self._allowance is not None:
            wait = max(wait, self._allowance.delay(in_flight, now))
        if self._learned is not None and weight:
            longer = self._learned.delay(now, taken, in_flight)
            if self._learned.gone:
                self._learned = None
            elif longer > wait:
                wait = longer
        return wait

    def room(self, most: int, now: float, *, taken: int, in_flight: int) -> int:
        """Return how many calls, up to `most`, may start now, where `delay` said that one may."""
        if self._advised is not None:
            most = min(1, most)
        if self._allowance is not None:
            most = min(most, self._allowance.room(in_flight, now))
        if self._learned is not None:
            most = self._learned.room(most, now, taken, in_flight)
        return most

    def take(self, now: float, weight: float, count: int) -> None:
        """Count `count` calls that start now."""
        if self._advised is not None and weight:
            self._advised.take(now, float(count))  # the headers count calls
        if self._allowance is not None:
            self._allowance.take(count)
        if self._learned is not None and weight:
            self._learned.take(count)

    def undo(self, taken: float, weight: float, count: int) -> None:
        """Forget `count` calls that were counted at the time `taken` and never started."""
        if self._advised is not None and weight:
            self._advised.undo(taken, float(count))
        if self._allowance is not None:
            self._allowance.take(-count)
        if self._learned is not None and weight:
            self._learned.take(-count)

    # -- what it says -----------------------------------------------------------------------------------------

    def pause(self, until: float) -> None:
        """Start nothing before `until`; the longest of several pauses holds."""
        self.pause_until = max(self.pause_until, until)

    def advise(self, rate: float, window: float, now: float) -> None:
        """Start at most `rate` calls a second for the next `window` seconds, as it asked; later advice replaces it."""
        pace = Rate(rate, 1.0, "advised")
        if self._advised is None:
            self._advised = Gcra(pace)
        else:
            self._advised.change(pace, now)
        self._advised_until = now + window

    def allow(self, left: float, seconds: float, others: int, now: float, refill: float) -> None:
        """Start at most `left` calls in the next `seconds`; see `Allowance.tell`."""
        if self._allowance is None:
            self._allowance = Allowance()
        self._allowance.tell(left, seconds, others, now, refill)

    def refused(self, sent: float, now: float, retry_after: float, began: float) -> None:
        """Learn from a refusal that said for how long to send nothing.

        Args:
            sent: when the refused call began.
            now: the time.
            retry_after: seconds, more than 0.
            began: when the first call of all began.
        """
        self._learn(sent, now, retry_after, began, told=True)

    def find_out(
        self, sent: float, now: float, began: float, *, taken: int, in_flight: int, refused: int, sure: bool
    ) -> None:
        """Learn from a refusal that does not say when to come again, if refusals come of a rate, as far as is known.

        Args:
            sent: when the refused call began.
            now: the time.
            began: when the first call of all began.
            taken: how many calls it has taken and answered.
            in_flight: how many are on their way.
            refused: how many it has refused, this one among them.
            sure: whether the refusal says that there were too many calls, or it may mean anything.
        """
        if not self._suspects(sent, now, taken=taken, in_flight=in_flight, refused=refused, sure=sure):
            return
        probes = self._learned is not None and self._learned.probing
        self._silence = min(LONGEST_SILENCE, self._silence * LONGER) if probes else SILENCE
        self._learn(sent, now, self._silence, began, told=False)
        doubted = self._learned is not None and self._learned.doubted
        if doubted and (self._suspicion is None or self._suspicion.doubts(taken, refused)):
            self._learned = None

    # -- what is forgotten, and when --------------------------------------------------------------------------

    def idle(self, now: float) -> bool:
        """Whether nothing of it matters any more, but for what refusals have taught."""
        return (
            self.pause_until <= now
            and not self._is_advised(now)
            and (self._allowance is None or self._allowance.over(now))
        )

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        self.pause_until += seconds
        self._advised_until += seconds
        for told in (self._advised, self._allowance, self._learned, self._suspicion):
            if told is not None:
                told.shift(seconds)

    # -- private ----------------------------------------------------------------------------------------------

    def _is_advised(self, now: float) -> bool:
        if self._advised is not None and self._advised_until <= now:
            self._advised = None
        return self._advised is not None

    def _learn(self, sent: float, now: float, retry_after: float, began: float, *, told: bool) -> None:
        if self._learned is None:
            from .learned import Learned  # loaded when used

            self._learned = Learned()
        self._learned.refused(sent or now, now, retry_after, began, told=told)  # blocks by hand do not say when

    def _suspects(self, sent: float, now: float, *, taken: int, in_flight: int, refused: int, sure: bool) -> bool:
        """Whether a refusal is one of a rate, for all that is known."""
        from .learned import Learned  # loaded when used
        from .suspicion import Suspicion

        suspicion = self._suspicion = self._suspicion or Suspicion()
        if self._learned is None:
            suspicion.forget()
        elif not suspicion.tries:
            return sure  # the rate is known from refusals that said when to come again
        answer = suspicion.refused(sent, now, sure=sure, taken=taken, in_flight=in_flight, refused=refused)
        if answer == "try":
            self._learned = Learned.guessed(suspicion.rate, now, taken)
        elif answer == "not yet" and self._learned is not None:
            self._learned.begin(now, taken)
        elif answer == "no rate":
            self._learned = None
        return answer == "rate"
