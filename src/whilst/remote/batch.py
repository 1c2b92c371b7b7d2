"""Which inputs go out together? So many as are 2.5 ms of work at most, twice, and one by one what takes longer.

A rate grants what may start now, or is due within 5 ms. Two such batches are made before that is over, so the starts
are paced as they would be here.

And when are answers looked for? At once; but where they come so fast that each would wake who takes them, every 2 ms.
"""

from __future__ import annotations

from typing import Final

WORK: Final = 0.0025  # seconds that the calls of a batch take together
WORK_WIDE: Final = 0.005  # of a worker that makes many calls at once: it is far, and a round trip takes longer
MOST: Final = 512  # inputs in a batch: more saves nothing
AHEAD: Final = 0.01  # seconds of a call: while a longer one is made, nothing waits behind that one
ROUND: Final = 0.002  # seconds between two looks for answers, while workers have enough to do until then
MANY: Final = 100  # answers that a round may find: what was sent and not read has no room for many more
NEWS: Final = 0.5  # what the newest answers count in what a call is thought to take


class Pace:
    """What is known of one worker's calls.

    Args:
        width: how many calls the worker makes at once.

    >>> pace = Pace()
    >>> pace.size, pace.room  # nothing is known yet
    (1, 1)
    >>> pace.learn(0.0001, 10)
    >>> pace.size, pace.room
    (249, 498)
    >>> pace.learn(5.0, 1)
    >>> pace.size, pace.room
    (1, 1)
    >>> pace = Pace(50)  # at once: 25 are made in 5 ms
    >>> pace.learn(0.1, 10)
    >>> pace.size, pace.room
    (25, 75)
    """

    __slots__ = ("cost", "room", "size", "width")

    def __init__(self, width: int = 1) -> None:
        self.width: int = width
        self.cost: float | None = None
        """Seconds that a call takes; None: no call has returned yet."""
        self.size: int = 1
        """How many inputs go out together."""
        self.room: int = width
        """How many inputs may be out at once: two batches of quick calls, but nothing behind a slow one.

        Where many are made at once, some of them end while others are on their way: those may wait there.
        """

    def may_wait(self, out: int) -> bool:
        """Whether answers may be looked for a round later: some come until then, and the worker does not run dry."""
        cost = self.cost
        return cost is not None and ROUND / MANY <= cost <= ROUND and out * cost >= 1.5 * ROUND

    def learn(self, took: float, calls: int) -> None:
        """Take note that so many calls took so many seconds, all of them together."""
        new = max(took / calls, 1e-7)
        cost = self.cost = new if self.cost is None else self.cost + NEWS * (new - self.cost)
        together = min(MOST, int((WORK if self.width == 1 else WORK_WIDE) * self.width / cost))
        size = self.size = max(1, together)
        self.room = max(self.width, size) + (size if cost < AHEAD else together)
