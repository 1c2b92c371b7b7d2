"""Drives one run on one loop: the only owner of its tasks, timers and counts.

Everything here happens on the loop's thread. Others touch the run at four places only: lanes take from `queue` and
the consumer from `ready` (deques: one operation each), the consumer counts `window.delivered`, and
`call_soon_threadsafe` brings everything else here.

An input is *admitted* when the source hands it over and *done* when it has a record or nobody wants one any more. The
run is over when nothing more is admitted and admitted == done. Where inputs stand before they are called is the
business of `Intake`; on its way back a failure may be sent there again, to wait for another attempt.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

from ..core.order import as_finished, in_order
from ..core.outcome import Record
from ..core.plan import Plan
from ..core.pushback import pushback_of
from ..core.summary import Summary
from ..core.transient import transient
from ..core.window import Window
from ..errors import DeadlineExceeded, RunCancelled
from ..lanes.clock import clock_of
from ..lanes.ending import ended
from ..lanes.loop import LoopLanes
from ..lanes.port import Lanes
from ..lanes.threads import ThreadLanes
from ..limit import holding
from .attempts import Attempts
from .failing import Failures
from .handoff import Handoff
from .intake import Intake, Pair
from .keeping import Keeping
from .ledger import Ledger
from .report import Owned, summary_of
from .timers import Timers

LEAST_SWEEP = 0.005  # seconds between two looks for calls past their timeout; a look costs 0.04 µs a lane
STARVING = 0.001  # seconds that lanes stand idle behind a slow call before the window grows for them
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
        self.window: Window = Window(plan.concurrency, plan.run_ahead)
        self.nudge_at: float = inf
        """How many must be delivered for the consumer to call `nudge`."""
        self.finished: bool = False
        self.orphan: bool = False
        self.error: BaseException | None = None
        """What the consumer raises after the last record."""
        self.started: float = self.clock()
        self.plan: Plan = plan
        self.scope: Owned | None = scope
        self.failures: Failures = Failures(plan)
        self.done: int = 0
        """How many admitted inputs are through."""
        self.unwanted: int = 0
        """How many of those have no outcome, because nobody wants it."""
        self.recalled: int = 0
        """How many outcomes came from the journal."""
        self._uncalled = 0  # inputs that have an outcome without a call: in the journal, or unfit for it
        self._handoff = handoff
        self._fail_fast = fail_fast
        self._push: Callable[[Record], None]
        self._push, self._flush = (in_order if plan.ordered else as_finished)(handoff.ready)
        self._exhausted = False
        self._horizon = inf  # inputs from this index on are not wanted any more
        self._nudging = self._dry = False
        self._ended: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers = Timers(loop, self.clock)
        self._closing: asyncio.Task[None] | None = None
        self._attempts = Attempts(plan.retry, self.started) if plan.retry is not None else None
        self._tried = self._attempts.tried if self._attempts is not None else {}
        self._patience = min(
            inf if plan.timeout is None else plan.timeout,
            inf if plan.retry is None or plan.retry.total is None else plan.retry.total,
        )
        self._keeping = Keeping(ledger, self, plan.concurrency) if ledger is not None else None
        self.intake: Intake = Intake(self, plan, self._timers, self._attempts, self._keeping)
        self._source = self.intake.source
        self._gate = self.intake.gate
        self._watches = not self.intake.direct or self._attempts is not None
        self._passed_on: Callable[[], bool] = _always if self._gate is None else self._gate.passed_on
        if self._strict:
            self._passed_on = _never
        self.lanes: Lanes = (
            ThreadLanes(self, plan.fn, plan.concurrency, self._patience)
            if plan.on_threads
            else LoopLanes(self, plan.fn, plan.concurrency)
        )

    # -- what the run calls -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the first inputs and start the first calls."""
        if self.plan.deadline is not None:
            self._timers.at("deadline", self.started + self.plan.deadline, self._expire)
        if self._patience < inf:
            self._timers.at("sweep", self.started + self._patience, self._sweep)
        self.refill()

    def nudge(self) -> None:
        """Ask, from the consumer's side, for a look at the room; at most one is under way."""
        self.nudge_at = inf
        self._nudging = True
        self._handoff.call(self._nudged)

    def ran_dry(self) -> None:
        """Take note, from the consumer's side, that it waits; it matters if the lanes wait for room meanwhile."""
        if self._nudging:
            self._dry = True

    def drain(self) -> None:
        """Start nothing new and finish what is in flight."""
        self._stop(None)

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
        self._stop(RunCancelled(f"{self.plan.name}: the run was closed before its end"))
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
        return self._horizon < inf

    # -- what lanes call: see `Port` --------------------------------------------------------------------------

    def emit(self, record: Record) -> None:
        """Take what became of a call: an outcome, unless it failed and is worth another attempt."""
        if self._watches:
            if record[3] is not None or record[0] in self._tried or not self._passed_on():
                watched = self._watch(record)
                if watched is None:
                    return
                record = watched
            elif self._keeping is not None and not self._keeping.write(record, slot=True):
                return
        elif record[3] is not None and not self._failed(record):
            return
        self.done += 1
        self._push(record)
        handoff = self._handoff
        if handoff.waiting and handoff.ready:
            handoff.wake()
        if self._exhausted and self.done == self._source.admitted:
            self._finish_if_done()

    def dropped(self, index: int) -> None:
        """Count a call that will have no record."""
        if self._gate is not None:
            self._gate.dropped(index)
        self._forget_inputs(1)

    def left(self, index: int) -> None:
        """Keep the permit of a blocking call that is left behind."""
        if self._gate is not None:
            self._gate.left(index)

    def came_home(self, index: int) -> None:
        """Give that permit back; on any thread."""
        if self._gate is not None:
            self._gate.came_home(index)

    def due(self, index: int, started: float) -> float:
        """Return when a call is past its timeout, or its input past `Retry(total=)`."""
        due = inf if self.plan.timeout is None else started + self.plan.timeout
        return due if self._attempts is None else min(due, self._attempts.ends_at(index, started))

    def overdue(self, index: int, started: float) -> TimeoutError:
        """Say which of the two it was."""
        name, timeout = self.plan.name, self.plan.timeout
        if timeout is not None and self.clock() >= started + timeout:
            return TimeoutError(f"{name}() took longer than its timeout of {timeout:g} s")
        assert self._attempts is not None
        total = self._attempts.retry.total
        return TimeoutError(f"{name}() took longer than {total:g} s over all its attempts (Retry(total={total:g}))")

    def refill(self) -> None:
        """Let the source fill the room, and say when the consumer should ask again."""
        self.nudge_at = inf if self._exhausted else 0  # before the look at `delivered`, so that none is missed
        if not self._exhausted:
            self._source.fill(self.window.limit)
        self.intake.pump()
        if self._exhausted:
            self.nudge_at = inf
        elif self._starves():
            self._timers.not_after("starving", self.clock() + STARVING, self._still_starving)
        elif self._source.admitted - self.done >= self.plan.concurrency and self.intake.held():
            self.nudge_at = self.window.refill_at  # there is enough for every lane
        if self.queue and self.lanes.idle:
            self.lanes.wake()

    def fatal(self, error: BaseException) -> None:
        """End the run now."""
        self._stop(error)
        self.lanes.drop(-1)
        self._finish()

    def give_up(self, error: Exception) -> None:
        """Start nothing new, finish what is in flight, then raise `error`."""
        self._stop(error)

    def create_task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        """Start a task of this run; never an eager one, which would run before its owner knows it."""
        task = asyncio.Task(coroutine, loop=self.loop, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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
        self._exhausted = True
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
        if self._gate is not None and slots:
            self._gate.free_slots(slots)
        if not self.finished:
            self.refill()
            self.arrived()

    def all_kept(self, error: Exception | None) -> None:
        """End the run, now that its journal is whole."""
        if self.error is None and error is not None:
            self.error = error
        self._finish()

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Fail inputs that are not called, because a limit's `by` or `weight` raised for them."""
        for (index, item), error in found:
            before = self._attempts.unmade(index) if self._attempts is not None else None
            self._uncalled += before is None
            attempts = 0 if before is None else before[6]
            self._settle((index, item, None, error, self.clock(), 0.0, attempts), called=attempts > 0)

    def known(self, records: list[Record]) -> None:
        """Give outcomes that the journal has, and those of inputs that it could not identify."""
        for record in records:
            self.recalled += record[6] > 0  # or it could not be identified, which fails it
            self._uncalled += 1
            if record[3] is not None:
                self._count_failure(record, called=False)
            self.done += 1
            self._push(record)
        if self._handoff.waiting and self._handoff.ready:
            self._handoff.wake()
        self._finish_if_done()

    def wanted(self, pairs: list[Pair]) -> list[Pair]:
        """Return those that are still to be called, and count the others."""
        if not self.stopping:
            return pairs
        wanted = [pair for pair in pairs if pair[0] < self._horizon]
        self._forget_inputs(len(pairs) - len(wanted))
        return wanted

    # -- private, in order of use -----------------------------------------------------------------------------

    @property
    def _strict(self) -> bool:
        return self._keeping is not None and self._keeping.strict

    def _starves(self) -> bool:
        """Whether lanes have no work for want of room alone, while the consumer waits for a slow call.

        Inputs that wait for another attempt, or for the permits of one key, take room and no lane.
        """
        admitted, handoff = self._source.admitted, self._handoff
        if self.intake.blocked or self._exhausted or not handoff.waiting or handoff.ready:
            return False
        window = self.window
        return (
            admitted >= window.limit
            and self.intake.in_flight(self.done) < self.plan.concurrency
            and window.size < window.cap
        )

    def _still_starving(self) -> None:
        if self._starves():
            self.window.grow()
            self.refill()

    def _nudged(self) -> None:
        parked_for_room = not self.intake.blocked and not self._exhausted and self._source.full
        dry = self._dry or (self._handoff.waiting and not self._handoff.ready)
        self._nudging = self._dry = False
        if parked_for_room and dry and self.lanes.idle:
            self.window.grow()
            self._source.full = False
        self.refill()

    def _watch(self, record: Record) -> Record | None:
        """Tell gate, retries and journal what became of a call; None if it is no outcome yet."""
        attempts, error = self._attempts, record[3]
        if attempts is not None and record[0] in attempts.tried:
            record = (*record[:6], attempts.number(record[0]))
        if error is None:
            if self._gate is not None:
                self._gate.returned(record, None, slot=not self._strict)
        elif not self._failed(record):
            return None
        if attempts is not None:
            attempts.tried.pop(record[0], None)
        return record if self._keeping is None or self._keeping.write(record, slot=True) else None

    def _failed(self, record: Record) -> bool:
        """Judge a failure; False if it is no outcome: it waits for another attempt, or is the end of the run."""
        index, error, attempts = record[0], record[3], self._attempts
        assert error is not None
        if not isinstance(error, Exception):  # KeyboardInterrupt, SystemExit: the consumer's to raise
            if self._gate is not None:
                self._gate.dropped(index)
            self.done += 1
            self.unwanted += 1
            self.fatal(error)
            return False
        pushback = pushback_of(error, time.time())
        told_when = pushback is not None and pushback.retry_after is not None  # it is well: the pause is enough
        ill = attempts is not None and attempts.retry.breaker and not told_when and transient(error)
        if self._gate is None and (ill or (pushback is not None and pushback.pauses)):
            self._install_gate()
        again = False
        if attempts is not None and index < self._horizon:
            called = self._source.admitted - self.intake.held() - self._uncalled
            again = attempts.again(record, pushback, called, self.clock())
        if pushback is not None:
            self.failures.pushed_back(pushback)
        if self._gate is not None:
            if attempts is not None and attempts.retry.breaker:
                self._gate.failed(index, ill=ill)
            self._gate.returned(record, pushback, slot=again or not self._strict)
        if again:
            self.intake.expect_retry()
            if record[6] == 1:
                self.failures.tried_again(error)
            return False
        self._count_failure(record)
        return True

    def _install_gate(self) -> None:
        """Be able to pause a run that has no limits."""
        if not self.stopping:
            self._gate, self._watches = self.intake.install_gate(self.done), True
            self._passed_on = self._gate.passed_on

    def _count_failure(self, record: Record, *, called: bool = True) -> None:
        """Count a failed outcome, of a call or none, and apply the policies that end a run."""
        error = record[3]
        assert error is not None
        total, reached = self.plan.total, self._source.admitted - self.intake.held()
        untouched = None if total is None else max(0, total - reached)
        finished = self.done - self.unwanted + 1
        stopped = self.failures.add(error, finished, finished - self._uncalled if called else None, untouched)
        if not self._fail_fast:
            if stopped is not None:
                self._stop(stopped)
            return
        horizon = record[0] if self.plan.ordered else 0
        if horizon < self._horizon:
            self._stop(None, horizon)
            self.lanes.drop(record[0] if self.plan.ordered else -1)

    def _stop(self, error: BaseException | None, horizon: int = 0) -> None:
        """Admit nothing more, forget inputs from `horizon` on that are not in flight; the first error given stays."""
        if self.error is None and not self.finished:
            self.error = error
        if horizon >= self._horizon:
            return
        self._horizon = horizon
        self._exhausted = True
        self._source.close()
        untried, failures = self._take_back(lambda index: index >= horizon)
        if self._fail_fast:
            untried += len(failures)
        else:
            for record in failures:
                self._settle(record)
        self._forget_inputs(untried)

    def _take_back(self, unwanted: Callable[[int], bool]) -> tuple[int, list[Record]]:
        taken = self.intake.take_back(unwanted)
        if self.intake.held():
            self.loop.call_soon(self.arrived)  # lanes may have looked in between, and a line may have lost its place
        return taken

    def _settle(self, record: Record, *, called: bool = True) -> None:
        """Take a failure that no call of this moment made."""
        self._count_failure(record, called=called)
        if self._keeping is None or self._keeping.write(record, slot=False):
            self.give(record)

    def _forget_inputs(self, count: int) -> None:
        """Count inputs that will have no record."""
        self.done += count
        self.unwanted += count
        self._finish_if_done()

    def _expire(self) -> None:
        """Act on the deadline: in-flight calls become outcomes, or are dropped where values alone are wanted."""
        text = f"{self.plan.name}: the deadline of {self.plan.deadline:g} s passed"
        self._stop(DeadlineExceeded(text))
        if self._fail_fast:
            self.lanes.drop(-1)
        else:
            self.lanes.expire(DeadlineExceeded(text))
        self._timers.at("expire", self.clock() + EXPIRE_GRACE, self._finish)

    def _sweep(self) -> None:
        now = self.clock()
        earliest = min(self.lanes.sweep(now), now + self._patience)
        if self._attempts is not None:
            late, following = self._attempts.late(now)
            earliest = min(earliest, following)
            for record in self._take_back(late.__contains__)[1] if late else ():
                self._settle(record)
        self._timers.at("sweep", max(earliest, now + LEAST_SWEEP), self._sweep)

    def _finish_if_done(self) -> None:
        if not self._exhausted or self.done < self._source.admitted:
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
        if self._gate is not None:
            self._gate.close()
        self.lanes.close()  # here and now: a loop that is torn down cancels the task before it begins
        self._closing = asyncio.Task(self._close(), loop=self.loop)

    async def _close(self) -> None:
        await self.lanes.gone()
        await self._source.gone()
        if self._gate is not None:
            self._gate.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=EXPIRE_GRACE)
        if self.scope is not None:
            await self.scope.close()
        if self._keeping is not None:
            await self._keeping.ledger.close()


def _always() -> bool:
    return True


def _never() -> bool:
    return False


def _ignore(record: Record) -> None:
    pass
