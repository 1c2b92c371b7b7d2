"""Where does each input of a run stand? The one owner of its inputs, its counts and its phase.

| state | where the input is | what may come next |
|---|---|---|
| WAITING | admitted and not called: in a journal's inbox, at the gate, or in the queue of the lanes | RUNNING, DONE |
| RUNNING | taken by a lane; counted as what is in no other state | RETRYING, HELD, DONE |
| RETRYING | it failed, and its next attempt is not due | WAITING, DONE |
| HELD | its call is over, and its row is not durable in a strict journal | DONE |
| DONE | it has an outcome, or nobody wants one any more | |

The source admits inputs to the inbox, and lanes take them from the queue. These two are the same deque until something
stands between: a journal that may know an input already, or the gate of a run that has limits (or gets them, because
the other side said "slower"). Where all inputs of a gate stand in one line, the inbox is that line. An input that is
due for another attempt enters again at the front.

A run is over when nothing more is admitted and all that was is DONE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from enum import IntEnum
from math import inf
from typing import Any, Protocol

from ..core.batches import InBatches
from ..core.headers import Left
from ..core.outcome import Record, is_recalled
from ..core.plan import Plan
from ..lanes.port import nothing
from ..limit.holders import inside_of_run
from ..limit.state import LimitState
from .deadlines import Deadlines, Waiting
from .gate import Gate
from .handoff import Handoff
from .keeping import Keeping
from .passing import never
from .sifting import Host as SiftingHost
from .sifting import Sifting
from .slots import Slots
from .source import Ahead, Pair, Reader, Source, emptied, open_source, taken_from

COUNTS = frozenset(["phase", "horizon", "is_told", "done", "unwanted", "recalled", "uncalled"])  # of an ended run


class Phase(IntEnum):
    """How far a run is; it goes back only to read what was added to it when all else was read."""

    READING = 0
    """Inputs are admitted."""
    DRAINING = 1
    """Nothing more is admitted, as the source has ended or the run was told to stop; what is wanted is finished."""
    CLOSING = 2
    """There will be no more outcomes; what belongs to the run is ending."""
    CLOSED = 3
    """Nothing of it is at work any more, but calls that were left behind."""
    FORKED = 4
    """This process was forked from the one that drives the run."""


class Host(SiftingHost, Reader, Protocol):
    """What this needs from the driver, besides what gate, sifting and source need."""

    context: Context
    started: float
    """When the run began."""
    plain: bool
    """Whether its consumer is plain code, on another thread."""

    def failed_uncalled(self, record: Record) -> None:
        """Count the failure of an input that was not called."""

    def all_done(self) -> None:
        """Go on: all that was admitted is done."""


class Book:
    """The inputs of one run; methods are for the loop, counts for any thread.

    Args:
        host: the driver.
        plan: what is to be done.
        deadlines: the times of the run.
        attempts: who waits for another one.
        keeping: the journal.
        consumer: who takes the outcomes.
        push: gives it one, in its order.
    """

    def __init__(
        self,
        host: Host,
        plan: Plan,
        deadlines: Deadlines,
        attempts: Waiting | None,
        keeping: Keeping | None,
        consumer: Handoff,
        push: Callable[[Record], None],
    ) -> None:
        self.phase: Phase = Phase.READING
        self.horizon: float = inf
        """Inputs from this index on are not wanted any more."""
        self.is_told: bool = False
        """Whether the run was told to start nothing new."""
        self.done: int = 0
        """How many admitted inputs are through."""
        self.unwanted: int = 0
        """How many of those have no outcome, because nobody wants it."""
        self.recalled: int = 0
        """How many outcomes came from the journal."""
        self.uncalled: int = 0
        """How many outcomes there are without a call: in the journal, shared, or of inputs unfit for one."""
        self.attempts: Waiting | None = attempts
        self.keeping: Keeping | None = keeping
        self.gate: Gate | None = None
        self.waylaid: bool = attempts is not None or keeping is not None or plan.share is not None
        """Whether inputs may stand between source and lanes, or on their way back."""
        self.queue: deque[Pair] = host.queue
        self._host = host
        self._plan = plan
        self._deadlines = deadlines
        self._consumer = consumer
        self._ahead = Ahead()  # inputs in the queue that are tried again
        if plan.limits or (keeping is not None and keeping.strict):
            slots, inside = Slots(plan.concurrency), inside_of_run(host.context)
            self.waylaid = True
            self.gate = Gate(host, plan.limits or (LimitState(),), slots, plan.concurrency, inside=inside)
        fault = plan.inputs.fault if isinstance(plan.inputs, InBatches) and plan.inputs.may_be_bad else None
        self.sifting: Sifting | None = (
            Sifting(host, plan.share, fault) if plan.share is not None or fault is not None else None
        )
        self._push = push if self.sifting is None else self.sifting.sharing(push)
        self._asked: deque[Pair] = deque()  # what the journal does not know, and is to be sifted
        self._apart = keeping is not None or self.sifting is not None  # whether the source's inbox is neither's
        inbox = deque[Pair]() if self._apart else host.queue if self.gate is None else self.gate.inbox
        self.source: Source = open_source(host, plan.inputs, inbox, plain=host.plain)
        self.watches: bool = attempts is not None or self.source.inbox is not self.queue
        """Whether what returns is told to somebody; else it goes straight to the consumer if it went well."""
        self._tried = attempts.tried if attempts is not None else {}
        self._passed_on: Callable[[Record], bool] | None = None if self.gate is None else self.gate.passed_on
        if (keeping is not None and keeping.strict) or (plan.retry is not None and plan.retry.on_value is not None):
            self._passed_on = never  # whatever comes back is judged
        self.judge: Callable[[Record], Record | None] = _as_it_is
        """Says what became of a call that somebody is to be told of: its outcome, or None if it is none yet."""
        self.judge_failure: Callable[[Record], bool] = _always
        """Says whether a failure that nobody else is told of is an outcome."""

    def begin(self) -> None:
        """Be moved by limits from here on."""
        if self.gate is not None:
            self.gate.begin()

    # -- phases -----------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> bool:
        """Whether nothing more is admitted."""
        return self.phase > Phase.READING

    @property
    def finished(self) -> bool:
        """Whether there will be no more outcomes."""
        return self.phase >= Phase.CLOSING

    @property
    def stopping(self) -> bool:
        """Whether some inputs are not wanted any more."""
        return self.horizon < inf

    def enter(self, phase: Phase) -> None:
        """Go on to a phase; nothing happens in a later one."""
        self.phase = max(self.phase, phase)

    def read_on(self) -> None:
        """Admit more although nothing more was to come, unless the run was told to end."""
        if self.phase is Phase.DRAINING and not self.stopping:
            self.phase = Phase.READING

    def pushes_by(self, wrap: Callable[..., Callable[[Record], None]], *args: Any) -> None:
        """Have each outcome pass by `wrap(push, …)` on its way from here on; from any thread."""
        self._push = wrap(self._push, *args)

    def stop(self, horizon: int) -> bool:
        """Admit nothing more, and want nothing from an index on; False if that is so already."""
        if horizon >= self.horizon:
            return False
        self.horizon = horizon
        self.is_told = horizon == 0
        self.enter(Phase.DRAINING)
        self.source.close()
        return True

    # -- what is through --------------------------------------------------------------------------------------

    def emit(self, record: Record) -> None:
        """Take what became of a call: an outcome, unless it failed and is worth another attempt."""
        if self.watches:
            passed_on = self._passed_on
            if (
                record[3] is not None
                or (self._tried and record[0] in self._tried)
                or (passed_on is not None and not passed_on(record))
            ):
                judged = self.judge(record)
                if judged is None:
                    return
                record = judged
            elif self.keeping is not None:
                kept = self.keeping.write(record)
                if kept is None:
                    return
                record = kept
        elif record[3] is not None and not self.judge_failure(record):
            return
        self.done += 1
        self._push(record)
        consumer = self._consumer
        if consumer.waiting and consumer.ready:
            consumer.wake()
        if self.phase and self.done == self.source.admitted:
            self._host.all_done()

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""
        self.done += 1
        self._push(record)
        self._gave()

    def known(self, records: list[Record]) -> None:
        """Give outcomes that the journal has, and those of inputs that it could not identify."""
        for record in records:
            self.recalled += is_recalled(record)  # or it could not be identified, which fails it
            self.uncalled += 1
            if record[3] is not None:
                self._host.failed_uncalled(record)
            self.done += 1
            self._push(record)
        self._gave()

    def forget(self, count: int) -> None:
        """Count inputs that will have no outcome."""
        self.lose(count)
        self.look()

    def lose(self, count: int) -> None:
        """Do the same without a look whether all is done: the run is being ended."""
        self.done += count
        self.unwanted += count

    def dropped(self, index: int) -> None:
        """Count one that was called, and those that share its call."""
        if self.gate is not None:
            self.gate.dropped(index)
        self.forget(1 + self.sharing_none((index,)))

    def sharing_none(self, indexes: Iterable[int]) -> int:
        """How many inputs share the calls of these, and will have no outcome either."""
        return 0 if self.sifting is None else self.sifting.forget(indexes)

    def wanted(self, pairs: list[Pair]) -> list[Pair]:
        """Return those that are still to be called, and count the others."""
        if not self.stopping:
            return pairs
        wanted = [pair for pair in pairs if pair[0] < self.horizon]
        self.forget(len(pairs) - len(wanted))
        return wanted

    def let_nobody_take(self) -> None:
        """Let go of outcomes that come from now on."""
        self._push = nothing

    def _gave(self) -> None:
        if self._consumer.waiting and self._consumer.ready:
            self._consumer.wake()
        self.look()

    def look(self) -> None:
        """Look whether all is done."""
        if self.phase and self.done >= self.source.admitted:
            self._host.all_done()

    # -- counts -----------------------------------------------------------------------------------------------

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
        return self.keeping.notices if self.keeping is not None else ()

    @property
    def blocked(self) -> bool:
        """Whether inputs are there that wait for something else than lanes, so that more of them would not help."""
        if self._apart and (self.source.inbox or (self.keeping is not None and self.keeping.looking)):
            return True
        return self.gate is not None and self.gate.pending > 0 and not self.gate.keyed

    @property
    def reached(self) -> int:
        """How many inputs have left here: for a call, or because they have an outcome without one."""
        return self.source.admitted - self.held()

    def let_go(self) -> None:
        """Let nothing refer to the run any more, but the counts; it has ended."""
        self.queue.clear()
        if self.gate is not None:
            self.gate.let_go()
        if self.sifting is not None:
            self.sifting.let_go()
        self.__dict__ = {name: getattr(self, name) for name in COUNTS}

    def held(self) -> int:
        """Count the admitted inputs that could be called and are not."""
        before = len(self.source.inbox) + self._before_the_gate() if self._apart else 0
        return len(self.queue) + before + (self.gate.pending if self.gate is not None else 0)

    def _before_the_gate(self) -> int:
        """Count what has left the inbox and is not on its way to a call."""
        looking = len(self._asked) + (self.keeping.looking if self.keeping is not None else 0)
        return looking + (self.sifting.waiting if self.sifting is not None else 0)

    @property
    def in_flight(self) -> int:
        """How many inputs are being called."""
        done = self.done  # first: while others are counted, more may be done
        return self.reached - self.waiting - done

    # -- on their way to the lanes ----------------------------------------------------------------------------

    def pump(self) -> None:
        """Move inputs from the inbox on: to their outcome, if the journal has it, else to the lanes, by the gate."""
        if self._apart:
            known = self._looked_up() if self.keeping is not None else self.source.inbox
            pairs = emptied(known) if self.sifting is None else self.sifting.sift(known)
            (self.queue if self.gate is None else self.gate.inbox).extend(pairs)
        if self.gate is not None:
            self.gate.pump()

    def _looked_up(self) -> deque[Pair]:
        """Return what is to be called although there is a journal; what was kept of others is their outcome."""
        assert self.keeping is not None
        pairs, records = self.keeping.admit(self.source.inbox)
        if records:
            self.known(records)
            records.clear()  # as there
        self._asked.extend(self.wanted(pairs))
        return self._asked

    def add_gate(self) -> None:
        """Put a gate before the lanes of a run that has none, to be able to pause it; unless it is ending anyway."""
        if self.gate is not None or self.stopping:
            return
        done = self.done
        concurrency = self._plan.concurrency
        slots = Slots(concurrency)
        self.waylaid = True
        self.gate = gate = Gate(self._host, (LimitState(),), slots, concurrency)
        before = self.source.inbox
        apart = before is not self.queue
        admitted = self.source.redirect(deque() if apart else gate.inbox)  # what it reads from here on is not counted
        if apart:
            admitted -= len(before)
            self.source.inbox.extendleft(reversed(before))
        moved = emptied(self.queue)
        in_flight = admitted - len(moved) - self.waiting - done - self._before_the_gate()  # those come to it from there
        slots.take(in_flight)
        gate.count_before(done + self.retried + self.waiting, self._host.started)  # calls: a failed one is over, too
        gate.adopt(in_flight)
        tried = self.attempts.tried if self.attempts is not None else {}
        gate.inbox.extendleft(pair for pair in reversed(moved) if pair[0] not in tried)  # the source may have gone on
        gate.try_again([pair for pair in moved if pair[0] in tried])
        gate.begin()
        self.watches = True
        if self._passed_on is not never:
            self._passed_on = gate.passed_on

    # -- what holds the gate shut, or opens it ----------------------------------------------------------------

    def hold(self, why: str) -> None:
        """Let nothing through from now on: `why`, in words; "" to go on."""
        self.add_gate()
        if self.gate is not None:
            self.gate.hold(why)

    def allow_first(self, item: Any, left: Left) -> None:
        """Slow a run down that had no gate, as an answer says."""
        if self.finished:
            return
        self.add_gate()
        if self.gate is not None:
            self.gate.allow(item, left)

    def close(self) -> None:
        """Read nothing more, and let nothing through."""
        self.source.close()
        if self.gate is not None:
            self.gate.close()

    def give_permits_back(self) -> None:
        """Give all permits back but those of calls that were left behind: there are no lanes any more."""
        if self.gate is not None:
            self.gate.end()

    # -- other attempts ---------------------------------------------------------------------------------------

    def expect_retry(self) -> None:
        """Have a look when the next attempt is due."""
        if self.attempts is not None and (due := self.attempts.next_due) is not None:
            self._deadlines.not_after("retry", due, self._try_again)

    def _try_again(self) -> None:
        assert self.attempts is not None
        pairs = self.attempts.due(self._host.clock())
        if self.gate is not None:
            self.gate.try_again(pairs)
        else:
            self._ahead.put(self.queue, pairs)
        self.expect_retry()
        self._host.arrived()

    # -- on their way back ------------------------------------------------------------------------------------

    def put_back(self, pairs: Sequence[Pair]) -> None:
        """Put inputs that were let through and not called before all others."""
        if self.gate is not None:
            self.gate.unmade(pairs)
            return
        for pair in reversed(pairs):
            self._ahead.put_first(self.queue, pair)

    def take_back(self, unwanted: Callable[[int], bool]) -> tuple[int, list[Record]]:
        """Take out inputs that are not being called, by their index; return how many never were, and how others failed.

        What an input that waited for another attempt failed of is its outcome, wherever it stood.
        """
        found = taken_from(self.queue, unwanted)
        if self.gate is not None:
            self.gate.unused(found)
            found += self.gate.take_out(unwanted)
        if self._apart:
            found += taken_from(self.source.inbox, unwanted) + taken_from(self._asked, unwanted)
        failures: list[Record] = []
        if self.attempts is not None:
            failures = [record for index, _ in found if (record := self.attempts.unmade(index)) is not None]
        never = len(found) - len(failures)
        if self.sifting is not None:
            failed = {record[0] for record in failures}
            never += self.sifting.forget(index for index, _ in found if index not in failed)
        return never, failures if self.attempts is None else failures + self.attempts.settle(unwanted)


def _always(record: Record) -> bool:
    return True


def _as_it_is(record: Record) -> Record | None:
    return record
