"""Where do inputs stand between the source and their calls?

The source admits them to the inbox, and lanes take them from the queue. These two are the same deque until something
stands between: a journal that may know an input already, or the gate of a run that has limits (or gets them, because
the other side said "slower"). Where all inputs of a gate stand in one line, the inbox is that line. Inputs that failed
and wait for another attempt stand beside, and enter again at the front.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..core.outcome import Record
from ..core.plan import Plan
from ..limit import Limit
from .attempts import Attempts
from .gate import Gate
from .gate import Host as GateHost
from .keeping import Keeping
from .lines import emptied, taken_from
from .source import Reader, Source, open_source
from .timers import Timers

Pair = tuple[int, Any]


class Host(GateHost, Reader, Protocol):
    """What this needs from the driver, besides what gate and source need."""

    def known(self, records: list[Record]) -> None:
        """Take note of outcomes that the journal has."""

    def wanted(self, pairs: list[Pair]) -> list[Pair]:
        """Return those that are still to be called, and count the others."""
        ...


class Intake:
    """The inputs of one run that are not being called; methods are for the loop, counts for any thread."""

    def __init__(
        self, host: Host, plan: Plan, timers: Timers, attempts: Attempts | None, keeping: Keeping | None
    ) -> None:
        self.attempts: Attempts | None = attempts
        self.gate: Gate | None = None
        self.queue: deque[Pair] = host.queue
        self._host = host
        self._plan = plan
        self._timers = timers
        self._keeping = keeping
        if plan.limits or (keeping is not None and keeping.strict):
            self.gate = Gate(host, plan.limits or (Limit._unlimited(),), plan.concurrency)
        inbox = deque[Pair]() if keeping is not None else host.queue if self.gate is None else self.gate.inbox
        self.source: Source = open_source(host, plan.inputs, inbox)

    # -- counts -----------------------------------------------------------------------------------------------

    @property
    def direct(self) -> bool:
        """Whether nothing stands between source and lanes."""
        return self.source.inbox is self.queue

    @property
    def waiting(self) -> int:
        """How many inputs wait for the time of their next attempt."""
        return len(self.attempts) if self.attempts is not None else 0

    @property
    def retried(self) -> int:
        """How many attempts were made beyond the first ones."""
        return self.attempts.made if self.attempts is not None else 0

    @property
    def notices(self) -> tuple[str, ...]:
        """What was found wrong with the journal and got over."""
        return self._keeping.ledger.notices if self._keeping is not None else ()

    @property
    def blocked(self) -> bool:
        """Whether lanes lack work although inputs are there, so that more of them would not help."""
        if self.queue or (self._keeping is not None and self.source.inbox):
            return True
        return self.gate is not None and self.gate.pending > 0 and not self.gate.keyed

    @property
    def reached(self) -> int:
        """How many inputs have left here: for a call, or because they have an outcome without one."""
        return self.source.admitted - self.held()

    def held(self) -> int:
        """Count the admitted inputs that could be called and are not."""
        journal = len(self.source.inbox) if self._keeping is not None else 0
        return len(self.queue) + journal + (self.gate.pending if self.gate is not None else 0)

    def in_flight(self, done: int) -> int:
        """Count the inputs that are being called, `done` being how many are through."""
        return self.reached - self.waiting - done

    # -- on their way to the lanes ----------------------------------------------------------------------------

    def pump(self) -> None:
        """Move inputs from the inbox on: to their outcome, if the journal has it, else to the lanes, by the gate."""
        if self._keeping is not None and (inbox := self.source.inbox):
            room = min(len(inbox), self._keeping.room)
            pairs, records = self._keeping.ledger.admit([inbox.popleft() for _ in range(room)])
            self._host.known(records)
            (self.queue if self.gate is None else self.gate.inbox).extend(self._host.wanted(pairs))
        if self.gate is not None:
            self.gate.pump()

    def install_gate(self, done: int) -> Gate:
        """Put a gate before the lanes of a run that has none, to be able to pause it."""
        self.gate = gate = Gate(self._host, (Limit._unlimited(),), self._plan.concurrency)
        before = self.source.inbox
        apart = before is not self.queue
        admitted = self.source.redirect(deque() if apart else gate.inbox)  # what it reads from here on is not counted
        if apart:
            admitted -= len(before)
            self.source.inbox.extendleft(reversed(before))
        moved = emptied(self.queue)
        gate.adopt(admitted - len(moved) - self.waiting - done)
        gate.put_back(moved)
        return gate

    # -- other attempts ---------------------------------------------------------------------------------------

    def expect_retry(self) -> None:
        """Have a look when the next attempt is due."""
        if self.attempts is not None and (due := self.attempts.next_due) is not None:
            self._timers.not_after("retry", due, self._try_again)

    def _try_again(self) -> None:
        assert self.attempts is not None
        pairs = self.attempts.due(self._host.clock())
        if self.gate is not None:
            self.gate.put_back(pairs)
        else:
            self.queue.extendleft(reversed(pairs))
        self.expect_retry()
        self._host.arrived()

    # -- on their way back ------------------------------------------------------------------------------------

    def take_back(self, unwanted: Callable[[int], bool]) -> tuple[int, list[Record]]:
        """Take out inputs that are not being called, by their index; return how many never were, and how others failed.

        What an input that waited for another attempt failed of is its outcome, wherever it stood.
        """
        found = taken_from(self.queue, unwanted)
        if self.gate is not None:
            self.gate.unused(found)
            found += self.gate.take_out(unwanted)
        if self._keeping is not None:
            found += taken_from(self.source.inbox, unwanted)
        if self.attempts is None:
            return len(found), []
        failures = [record for index, _ in found if (record := self.attempts.unmade(index)) is not None]
        return len(found) - len(failures), failures + self.attempts.settle(unwanted)
