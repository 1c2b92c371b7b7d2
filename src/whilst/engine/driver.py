"""Drives one run on one loop: the only owner of its tasks, timers and counts.

Everything here happens on the loop's thread. Others touch the run at four places only: lanes take from `queue` and
the consumer from `ready` (deques: one operation each), the consumer counts `window.delivered`, and
`call_soon_threadsafe` brings everything else here.

An input is *admitted* when the source hands it over and *done* when it has a record or nobody wants one any more. The
run is over when nothing more is admitted and admitted == done. Where inputs stand before they are called is the
business of `Intake`, what becomes of a call that has returned is that of `Judging`, which may send a failure back to
wait for another attempt.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Container, Coroutine
from math import inf
from typing import Any

from ..core.headers import Left
from ..core.order import as_finished, in_order
from ..core.outcome import Record
from ..core.plan import Plan
from ..core.summary import Summary
from ..errors import DeadlineExceeded, RunCancelled
from ..lanes.clock import clock_of
from ..lanes.ending import ended
from ..lanes.loop import LoopLanes
from ..lanes.port import Lanes
from ..lanes.slab import tell
from ..lanes.threads import ThreadLanes
from ..limit import holding
from .ahead import ReadAhead
from .attempts import Attempts
from .failing import Failures
from .handoff import Handoff
from .intake import Intake, Pair
from .judging import Judging
from .keeping import Keeping
from .ledger import Ledger
from .overdue import Overdue
from .report import Owned, summary_of
from .timers import Timers

EXPIRE_GRACE = 1.0  # seconds that calls cancelled by the deadline have for their clean-up


class Driver:
    """One run in progress; `fail_fast` ends it at the first failure, as iterating over values does."""

    def __init__(
        self,
        plan: Plan,
        loop: asyncio.AbstractEventLoop,
        handoff: Handoff,
        *,
        fail_fast: bool,
        scope: Owned | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock_of(loop)
        self.context: contextvars.Context = holding(plan.context, plan.limits)
        self.source_context: contextvars.Context = plan.context
        self.queue: deque[Pair] = deque()
        self.finished: bool = False
        self.stopped: bool = False
        """Whether nothing new is started any more, because the run was told so."""
        self.orphan: bool = False
        self.error: BaseException | None = None
        """What the consumer raises after the last record."""
        self.started: float = self.clock()
        self.plan: Plan = plan
        self.scope: Owned | None = scope
        self.done: int = 0
        """How many admitted inputs are through."""
        self.unwanted: int = 0
        """How many of those have no outcome, because nobody wants it."""
        self.recalled: int = 0
        """How many outcomes came from the journal."""
        self._handoff = handoff
        self._fail_fast = fail_fast
        self._push: Callable[[Record], None]
        self._push, self._flush = (in_order if plan.ordered else as_finished)(handoff.ready)
        self.exhausted: bool = False
        """Whether the source will give nothing more."""
        self.horizon: float = inf
        """Inputs from this index on are not wanted any more."""
        self._ended: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers = Timers(loop, self.clock)
        self._closing: asyncio.Task[None] | None = None
        attempts = Attempts(plan.retry, self.started) if plan.retry is not None else None
        self._tried = attempts.tried if attempts is not None else {}
        self._keeping = Keeping(ledger, self, plan.concurrency) if ledger is not None else None
        self.intake: Intake = Intake(self, plan, self._timers, attempts, self._keeping)
        self._source = self.intake.source
        self._judging = Judging(self, plan, attempts, self._keeping, fail_fast=fail_fast)
        self.failures: Failures = self._judging.failures
        self.ahead: ReadAhead = ReadAhead(self, plan, handoff, self._timers)
        self._overdue = Overdue(self, plan, attempts, self._timers)
        self._watches = not self.intake.direct or attempts is not None
        self._passed_on: Callable[[Record], bool] = _always if self.intake.gate is None else self.intake.gate.passed_on
        if self._keeping is not None and self._keeping.strict:
            self._passed_on = _never
        self.lanes: Lanes = (
            ThreadLanes(self, plan.fn, plan.concurrency, self._overdue.patience)
            if plan.on_threads
            else LoopLanes(self, plan.fn, plan.concurrency)
        )

    # -- what the run calls -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the first inputs and start the first calls."""
        if self.plan.deadline is not None:
            self._timers.at("deadline", self.started + self.plan.deadline, self._expire)
        self._overdue.start(self.started)
        self.refill()

    def drain(self) -> None:
        """Start nothing new and finish what is in flight."""
        self.stop(None)

    def cancel(self) -> None:
        """Start nothing new and cancel what is in flight."""
        self.fatal(RunCancelled(f"{self.plan.name}: the run was cancelled"))

    def summary(self) -> Summary:
        """Count; safe from any thread."""
        return summary_of(self, (self._ended if self._ended is not None else self.clock()) - self.started)

    def become_orphan(self) -> None:
        """End without a loop: this process was forked from the one that drives the run."""
        self.orphan = self.finished = True
        self._handoff.ready.clear()
        self.error = RuntimeError(f"this run of {self.plan.name} belongs to the parent process; map again in the child")

    async def close(self) -> None:
        """End everything that belongs to the run, and return when it has ended, even if cancelled meanwhile."""
        if self.orphan:
            return
        self.stop(RunCancelled(f"{self.plan.name}: the run was closed before its end"))
        self._finish()
        assert self._closing is not None
        await ended([self._closing])
        self._closing.result()

    def forget(self) -> None:
        """Let go of outcomes that nobody will take: a run may be kept for its summary."""
        self._push = _ignore
        self._flush()
        self._handoff.ready.clear()

    @property
    def stopping(self) -> bool:
        """Whether some inputs are not wanted any more."""
        return self.horizon < inf

    # -- what lanes call: see `Port` --------------------------------------------------------------------------

    def emit(self, record: Record) -> None:
        """Take what became of a call: an outcome, unless it failed and is worth another attempt."""
        if self._watches:
            if record[3] is not None or record[0] in self._tried or not self._passed_on(record):
                watched = self._judging.outcome_of(record)
                if watched is None:
                    return
                record = watched
            elif self._keeping is not None and not self._keeping.write(record):
                return
        elif record[3] is not None and not self._judging.failed(record):
            return
        self.done += 1
        self._push(record)
        handoff = self._handoff
        if handoff.waiting and handoff.ready:
            handoff.wake()
        if self.exhausted and self.done == self._source.admitted:
            self._finish_if_done()

    def told(self, item: Any, left: Left) -> None:
        """Slow down before the other side says so."""
        if self.intake.gate is not None:
            self.intake.gate.told(item, left)
        else:
            self.soon(lambda: self._told_first(item, left))

    def dropped(self, index: int) -> None:
        """Count a call that will have no record."""
        if self.intake.gate is not None:
            self.intake.gate.dropped(index)
        self._forget_inputs(1)

    def left(self, index: int) -> None:
        """Keep the permit of a blocking call that is left behind."""
        if self.intake.gate is not None:
            self.intake.gate.left(index)

    def came_home(self, index: int) -> None:
        """Give that permit back; on any thread."""
        if self.intake.gate is not None:
            self.intake.gate.came_home(index)

    def due(self, index: int, started: float) -> float:
        """Return when a call is past its time."""
        return self._overdue.due(index, started)

    def overdue(self, index: int, started: float) -> TimeoutError:
        """Say that it is."""
        return self._overdue.error(started)

    def refill(self) -> None:
        """Let the source fill the room."""
        self.ahead.refill()

    def fatal(self, error: BaseException) -> None:
        """End the run now."""
        self.stop(error)
        self.lanes.drop(-1)
        self._finish()

    def give_up(self, error: Exception) -> None:
        """Start nothing new, finish what is in flight, then raise `error`."""
        self.stop(error)

    def create_task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        """Start a task of this run; never an eager one, which would run before its owner knows it."""
        task = asyncio.Task(coroutine, loop=self.loop, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def soon(self, act: Callable[[], None]) -> None:
        """Do something on the loop: at once if this is its thread."""
        if asyncio._get_running_loop() is self.loop:
            act()
        else:
            tell(self.loop, act)

    # -- what source, gate and journal call: see `Reader`, `Host` and `Keeper` ---------------------------------

    def arrived(self) -> None:
        """Put lanes to work on what came."""
        self.intake.pump()
        if self.queue:
            self.lanes.wake()

    def ended(self, error: BaseException | None) -> None:
        """Nothing more will come."""
        if self.stopping:
            return
        self.exhausted = True
        if error is not None:
            self.error = error
        if not self._watches:
            self.lanes.no_more()
        self.arrived()
        self._finish_if_done()

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""
        self.done += 1
        self._push(record)
        if self._handoff.waiting and self._handoff.ready:
            self._handoff.wake()
        self._finish_if_done()

    def durable(self, slots: int) -> None:
        """Go on after a commit of the journal, which has freed the lanes of this many calls."""
        if self.intake.gate is not None and slots:
            self.intake.gate.free_slots(slots)
        if not self.finished:
            self.refill()
            self.arrived()

    def all_kept(self, error: Exception | None) -> None:
        """End the run, now that its journal is whole."""
        if self.error is None and error is not None:
            self.error = error
        self._finish()

    def known(self, records: list[Record]) -> None:
        """Give outcomes that the journal has, and those of inputs that it could not identify."""
        for record in records:
            self.recalled += record[6] > 0  # or it could not be identified, which fails it
            self._judging.uncalled += 1
            if record[3] is not None:
                self._judging.count(record, called=False)
            self.done += 1
            self._push(record)
        if self._handoff.waiting and self._handoff.ready:
            self._handoff.wake()
        self._finish_if_done()

    def wanted(self, pairs: list[Pair]) -> list[Pair]:
        """Return those that are still to be called, and count the others."""
        if not self.stopping:
            return pairs
        wanted = [pair for pair in pairs if pair[0] < self.horizon]
        self._forget_inputs(len(pairs) - len(wanted))
        return wanted

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Fail inputs that are not called, because a limit's `by` or `weight` raised for them."""
        self._judging.unfit(found)

    # -- what its own parts call ------------------------------------------------------------------------------

    def watch(self) -> None:
        """Be able to pause a run that has no limits."""
        if not self.stopping:
            self._passed_on = self.intake.install_gate(self.done).passed_on
            self._watches = True

    def stop(self, error: BaseException | None, horizon: int = 0) -> None:
        """Admit nothing more, forget inputs from `horizon` on that are not in flight; the first error given stays."""
        if self.error is None and not self.finished:
            self.error = error
        if horizon >= self.horizon:
            return
        self.horizon = horizon
        self.exhausted = True
        self._source.close()
        untried, failures = self._take_back(lambda index: index >= horizon)
        if self._fail_fast:
            untried += len(failures)
        else:
            for record in failures:
                self._judging.settle(record)
        self._forget_inputs(untried)
        self.stopped = horizon == 0

    def drop(self, after: int) -> None:
        """End the calls of inputs behind this index, without outcomes."""
        self.lanes.drop(after)

    def give_up_on(self, late: Container[int]) -> None:
        """Settle inputs that are not being called, as their time is over."""
        for record in self._take_back(late.__contains__)[1]:
            self._judging.settle(record)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _take_back(self, unwanted: Callable[[int], bool]) -> tuple[int, list[Record]]:
        taken = self.intake.take_back(unwanted)
        if self.intake.held():
            self.loop.call_soon(self.arrived)  # lanes may have looked in between, and a line may have lost its place
        return taken

    def _told_first(self, item: Any, left: Left) -> None:
        if self.intake.gate is None:
            self.watch()
        if self.intake.gate is not None:
            self.intake.gate.told(item, left)

    def _forget_inputs(self, count: int) -> None:
        """Count inputs that will have no record."""
        self.done += count
        self.unwanted += count
        self._finish_if_done()

    def _expire(self) -> None:
        """Act on the deadline: in-flight calls become outcomes, or are dropped where values alone are wanted."""
        text = f"{self.plan.name}: the deadline of {self.plan.deadline:g} s passed"
        self.stop(DeadlineExceeded(text))
        if self._fail_fast:
            self.lanes.drop(-1)
        else:
            self.lanes.expire(DeadlineExceeded(text))
        self._timers.at("expire", self.clock() + EXPIRE_GRACE, self._finish)

    def _finish_if_done(self) -> None:
        if not self.exhausted or self.done < self._source.admitted:
            return
        if self._keeping is None or self.finished:
            self._finish()
        else:  # the iteration ends when the last row is durable
            self._keeping.flush()

    def _finish(self) -> None:
        """Nothing more will be ready: tell the consumer, and begin to close."""
        if self.finished:
            return
        if not self._fail_fast:
            self._flush()  # a cancelled run leaves gaps; what has finished behind them is not lost
        self.finished = True
        self._ended = self.clock()
        self._timers.close()
        if self._handoff.waiting:
            self._handoff.wake()
        self._source.close()
        if self.intake.gate is not None:
            self.intake.gate.close()
        self.lanes.close()  # here and now: a loop that is torn down cancels the task before it begins
        self._closing = asyncio.Task(self._close(), loop=self.loop)

    async def _close(self) -> None:
        await self.lanes.gone()
        if self.intake.gate is not None:
            self.intake.gate.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=EXPIRE_GRACE)
        await self._source.gone()
        if self.scope is not None:
            await self.scope.close()
        if self._keeping is not None:
            await self._keeping.ledger.close()


def _always(record: Record) -> bool:
    return True


def _never(record: Record) -> bool:
    return False


def _ignore(record: Record) -> None:
    pass
