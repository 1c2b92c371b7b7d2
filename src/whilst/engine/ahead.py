"""How far does a run read ahead, and after how many records does its consumer have to say so?

The window grows only when it is proven to be the bottleneck (see `core.window`); that is looked for when the consumer
runs dry, and a little after, when all lanes but a slow one stand idle.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from ..core.plan import Plan
from ..core.window import Window
from ..lanes.port import Lanes
from .handoff import Handoff
from .intake import Intake
from .timers import Timers

STARVING = 0.001  # seconds that lanes stand idle behind a slow call before the window grows for them


class Host(Protocol):
    """What this needs from the driver."""

    clock: Callable[[], float]
    intake: Intake
    lanes: Lanes
    exhausted: bool
    """Whether the source will give nothing more."""
    done: int


class ReadAhead:
    """The window of one run. On the loop, but for `nudge` and `ran_dry`, which are the consumer's."""

    def __init__(self, host: Host, plan: Plan, handoff: Handoff, timers: Timers) -> None:
        self.window: Window = Window(plan.concurrency, plan.run_ahead)
        self.nudge_at: float = inf
        """How many must be delivered for the consumer to call `nudge`."""
        self._host = host
        self._lanes_most = plan.concurrency
        self._handoff = handoff
        self._timers = timers
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

    def refill(self) -> None:
        """Let the source fill the room, and say when the consumer should ask again."""
        host, source = self._host, self._host.intake.source
        self.nudge_at = inf if host.exhausted else 0  # before the look at `delivered`, so that none is missed
        if not host.exhausted:
            source.fill(self.window.limit)
        host.intake.pump()
        if host.exhausted:
            self.nudge_at = inf
        elif self._starves():
            self._timers.not_after("starving", host.clock() + STARVING, self._still_starving)
        elif source.admitted - host.done >= self._lanes_most and host.intake.held():
            self.nudge_at = self.window.refill_at  # there is enough for every lane
        if host.intake.queue and host.lanes.idle:
            host.lanes.wake()

    def _starves(self) -> bool:
        """Whether lanes have no work for want of room alone, while the consumer waits for a slow call.

        Inputs that wait for another attempt, or for the permits of one key, take room and no lane.
        """
        host, handoff, window = self._host, self._handoff, self.window
        if host.intake.blocked or host.exhausted or not handoff.waiting or handoff.ready:
            return False
        return (
            host.intake.source.admitted >= window.limit
            and host.intake.in_flight(host.done) < self._lanes_most
            and window.size < window.cap
        )

    def _still_starving(self) -> None:
        if self._starves():
            self.window.grow()
            self.refill()

    def _nudged(self) -> None:
        host, handoff = self._host, self._handoff
        parked_for_room = not host.intake.blocked and not host.exhausted and host.intake.source.full
        dry = self._dry or (handoff.waiting and not handoff.ready)
        self._nudging = self._dry = False
        if parked_for_room and dry and host.lanes.idle:
            self.window.grow()
            host.intake.source.full = False
        self.refill()
