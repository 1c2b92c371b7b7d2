"""How far does a run read ahead, and after how many records does its consumer have to say so?

The window (`engine.handoff`) grows only when it is proven to be the bottleneck; that is looked for when the consumer
runs dry, and a little after, when all lanes but a slow one stand idle.
"""

from __future__ import annotations

from math import inf

from ..core.plan import Plan
from .deadlines import Deadlines
from .handoff import Handoff, Window
from .report import Host

STARVING = 0.001  # seconds that lanes stand idle behind a slow call before the window grows for them


class ReadAhead:
    """The window of one run. On the loop, but for `nudge` and `ran_dry`, which are the consumer's."""

    def __init__(self, host: Host, plan: Plan, handoff: Handoff, deadlines: Deadlines) -> None:
        self.window: Window = Window(plan.concurrency, plan.run_ahead)
        self.nudge_at: float = inf
        """How many must be delivered for the consumer to call `nudge`."""
        self._host: Host | None = host  # until the run has ended; its consumer may take what is left for long
        self._lanes_most = plan.concurrency
        self._handoff = handoff
        self._deadlines = deadlines
        self._nudging = self._dry = False

    def nudge(self) -> None:
        """Ask, from the consumer's side, for a look at the room; at most one is under way."""
        self.nudge_at = inf
        self._nudging = True
        self._handoff.call(self._nudged)

    def ran_dry(self) -> None:
        """Take note, from the consumer's side, that it waits; it matters if the lanes wait for room meanwhile."""
        if self._nudging:
            self._dry = True

    def resize(self, concurrency: int) -> None:
        """Read ahead for another number of lanes."""
        self._lanes_most = concurrency
        self.window.resize(concurrency)

    def let_go(self) -> None:
        """Let the source be: the run has ended."""
        self._host = None

    def refill(self) -> None:
        """Let the source fill the room, and say when the consumer should ask again."""
        host = self._host
        if host is None:
            return
        source = host.book.source
        self.nudge_at = inf if host.book.exhausted else 0  # before the look at `delivered`, so that none is missed
        if not host.book.exhausted:
            asked = self.window.asked = self.window.limit
            source.fill(asked)
        host.book.pump()
        if host.book.exhausted:
            self.nudge_at = inf
        elif self._short():
            self._deadlines.not_after("starving", host.clock() + STARVING, self._still_starving)
        elif source.admitted - host.book.done >= self._lanes_most and host.book.held():
            self.nudge_at = self.window.refill_at  # there is enough for every lane
        host.accounting.turn()
        if host.book.queue and host.lanes.idle:
            host.lanes.wake()

    def _short(self) -> bool:
        """Whether lanes have no work for want of room alone.

        Inputs that wait for another attempt, or for the permits of one key, take room and no lane.
        """
        host, window = self._host, self.window
        if host is None or host.book.blocked or host.book.exhausted or (host.scope is not None and host.scope.blocked):
            return False
        return (
            host.book.source.admitted >= window.limit
            and host.book.in_flight + len(host.book.queue) - host.lanes.resting < self._lanes_most
            and window.size < window.cap
        )

    def _still_starving(self) -> None:
        handoff = self._handoff
        if self._short() and handoff.waiting and not handoff.ready:
            self.window.grow()
            self.refill()

    def _nudged(self) -> None:
        host, handoff = self._host, self._handoff
        if host is None:
            return
        book = host.book
        parked_for_room = not (book.blocked or book.queue or host.book.exhausted) and book.source.full
        dry = self._dry or (handoff.waiting and not handoff.ready)
        self._nudging = self._dry = False
        if parked_for_room and dry and host.lanes.idle:
            self.window.grow()
            host.book.source.full = False
        self.refill()
