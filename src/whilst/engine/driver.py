"""Drives one run on one loop: the only owner of its tasks, timers and counts.

Everything here happens on the loop's thread. Others touch the run at four places only: lanes take from `queue` and
the consumer from `ready` (deques: one operation each), the consumer counts `window.delivered`, and
`call_soon_threadsafe` brings everything else here.

An input is *admitted* when the source hands it over and *done* when it has a record or nobody wants one any more. The
run is over when nothing more is admitted and admitted == done. Where inputs stand before they are called is the
business of the `Book`, what becomes of a call that has returned is that of `Judging`, which may send a failure back to
wait for another attempt.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import warnings
from collections import deque
from collections.abc import Callable, Container, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..core.call import Call
from ..core.colour import name_of
from ..core.headers import Left
from ..core.held import Still
from ..core.outcome import Record
from ..core.plan import Plan
from ..core.summary import Summary
from ..core.timings import Timings
from ..errors import DeadlineExceeded, RunCancelled
from ..lanes.awaiting import CLEAN_UP, ended
from ..lanes.calling import wanted
from ..lanes.clock import clock_of, is_virtual
from ..lanes.loop import LOOP, LoopLanes
from ..lanes.port import Executor, Lanes
from ..lanes.results import tell
from ..lanes.threads import THREADS
from ..limit.holders import holding
from ..limit.state import paused_by
from .ahead import ReadAhead
from .asking import Asking, judge_of
from .book import Book, Phase
from .deadlines import Deadlines, Overdue, Waiting
from .growing import GUARD, Additions
from .handoff import Handoff, LoopHandoff, as_finished, in_order
from .judging import Failures, Judging
from .keeping import Keeping, OpenJournal
from .observer import Watch
from .report import FIRST, Accounting, Lateness, since_then, summary_of
from .source import Pair, Source

if TYPE_CHECKING:
    from .scope import Scope
    from .stage import Stage

KEPT: tuple[str, ...] = (  # of a run that has ended, which may be kept for its summary
    "loop", "clock", "error", "started", "ends_at", "ahead", "book", "additions", "concurrency", "emit",
    "unheard", "accounting", "turn", "scope", "_id", "_left", "_handoff", "_flush", "_final", "_closing",
)  # fmt: skip
kept_of: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*KEPT)
EXECUTORS: dict[str, Executor] = {each.name: each for each in (LOOP, THREADS)}
HELD = 0.05  # seconds that a deadline is late before it is said that the loop was held
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
        scope: Scope | None = None,
        ledger: OpenJournal | None = None,
        looked: Callable[[], None] | None = None,
        stage: Stage | None = None,
        in_hand: bool = False,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock_of(loop)
        self.context: contextvars.Context = holding(plan.context, plan.limits)
        self.names_calls: bool = self.context is not plan.context or wanted.is_asked  # the former as each holds permits
        self.source_context: contextvars.Context = plan.context
        self.queue: deque[Pair] = deque()
        self.is_told_apart: bool = plan.retry is not None or ledger is not None
        self.error: BaseException | None = None
        """What the consumer raises after the last record."""
        self.started: float = self.clock()
        self.ends_at: float = inf if plan.deadline is None else self.started + plan.deadline
        self.plan: Plan = plan
        self.concurrency: int = plan.concurrency
        """How many calls may be in flight at once now, which moves with its limits."""
        self.still: Still = Still() if scope is None else scope.still
        self.watch: Watch = scope.watch if scope is not None else Watch(plan.observers, self.clock, plan.name)
        self.plain: bool = not isinstance(handoff, LoopHandoff)
        self.scope: Scope | None = scope
        if scope is not None:
            scope.run = self
        self.additions: Additions = Additions(self, in_hand=in_hand)
        self._is_part = plan.composed and scope is None  # of a pipeline
        self._handoff = handoff
        self.together: Callable[[bool], None] = handoff.together
        """Called by lanes around several records: the consumer is woken once for them."""
        self._fail_fast = fail_fast
        push, self._flush = (in_order if plan.ordered else as_finished)(handoff.ready, values=handoff.values)
        if plan.observers:
            push = self.watch.seeing(push)
        self._final: Summary | None = None  # of a run that has let go of all that it was made of
        self._key: bool = True  # taken by who lets go of all at the end
        self._ended: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadlines: Deadlines = Deadlines(loop, self.clock, plan.context)
        self._closing: asyncio.Task[None] | None = None
        judge = judge_of(plan.retry) if plan.retry is not None else ""
        self._asking: Asking | None = None
        ask = partial(self.asking.ask, judge) if judge else None
        attempts = Waiting(plan.retry, self.started, ask=ask, still=self.still) if plan.retry is not None else None
        self._id: bytes | None = None
        self.keeping: Keeping | None = Keeping(ledger, self, plan.concurrency) if ledger is not None else None
        self.book: Book = Book(self, plan, self._deadlines, attempts, self.keeping, handoff, push)
        self.emit: Callable[[Record], None] = self.book.emit
        """Called by lanes with what became of a call."""
        self.unheard: bool = False
        """Whether the consumer has left and the loop, which is held, has not heard of it."""
        self._left: Source | None = None  # what may have been left behind of a run that has ended
        self._judging = Judging(self, plan, attempts, self.keeping, fail_fast=fail_fast, asks=bool(judge))
        self.book.judge, self.book.judge_failure = self._judging.outcome_of, self._judging.failed
        self.failures: Failures = self._judging.failures
        self.ahead: ReadAhead = ReadAhead(self, plan, handoff, self._deadlines)
        self.timings: Timings = Timings(scope.look if scope is not None else looked)
        self.accounting: Accounting = Accounting(self, plan, handoff, self.ahead.window, stage or scope)
        self.turn: Callable[[], None] = self.accounting.turn
        self.lateness: Lateness | None = None  # of a run that has lasted long enough to say
        self._overdue = Overdue(self, plan, attempts, self._deadlines)
        patience = self._overdue.patience.least
        fn, executor = plan.fn, EXECUTORS[plan.executor] if isinstance(plan.executor, str) else plan.executor
        if plan.observers and not plan.composed and isinstance(plan.executor, str):
            fn = self.watch.wrap(fn, "", is_async=plan.executor == "loop")
        self.lanes: Lanes = executor.lanes(self, fn, plan.concurrency, patience, name=plan.name)
        if scope is not None and isinstance(self.lanes, LoopLanes):
            self.lanes.left = scope.leave_input

    # -- what the run calls -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the first inputs and start the first calls."""
        self.book.begin()
        self.follow()
        if not self._is_part:
            self.watch.run_started(self.plan.total, self.plan.concurrency)
        if self.plan.deadline is not None:
            self._deadlines.at("deadline", self.started + self.plan.deadline, self._expire)
        self._overdue.start(self.started)
        if not is_virtual(self.loop):
            self._deadlines.at("lateness", self.started + FIRST, self._look_at_lateness)
        self.refill()

    def drain(self) -> None:
        """Start nothing new and finish what is in flight, through the last stage of a pipeline."""
        if self.finished or self.additions.quiet:
            self.end_quietly()
        elif self.scope is not None and self.scope.drain():
            self.book.is_told = True
        else:
            self.stop(None)

    def cancel(self) -> None:
        """Start nothing new and cancel what is in flight."""
        if self.additions.quiet:
            self.end_quietly()
        elif not self.finished:
            self.fatal(RunCancelled(f"{self.plan.name}: the run was cancelled"))

    def pause(self, since: float) -> None:
        """Start no call until `resume`; `since` is when that was said, by the clock on the wall."""
        self._hold(paused_by("run.pause()", since))

    def resume(self) -> None:
        """Go on."""
        self._hold("")

    def summary(self) -> Summary:
        """Count; safe from any thread."""
        counted = self._final
        if counted is None:
            try:
                counted = summary_of(self, (self._ended if self._ended is not None else self.clock()) - self.started)
            except AttributeError:  # it has let go in this moment of what is counted
                if self._final is None:
                    raise
        if self._final is None:
            assert counted is not None
            return counted
        return since_then(self._final, self.scope, self._left)

    def become_orphan(self) -> None:
        """End without a loop: this process was forked from the one that drives the run."""
        self.book.enter(Phase.FORKED)
        if self._final is None:
            self._handoff.ready.clear()
        name = self.plan.name if self._final is None else self._final.name
        self.error = RuntimeError(f"this run of {name} belongs to the parent process; map again in the child")

    async def close(self) -> None:
        """End everything that belongs to the run, and return when it has ended, even if cancelled meanwhile."""
        if self.orphan or self._final is not None:
            return
        if not self.additions.quiet:
            self.stop(RunCancelled(f"{self.plan.name}: the run was closed before its end"))
        self._finish()
        closing = self._closing
        assert closing is not None
        await ended([closing])
        closing.result()

    def forget(self) -> None:
        """Let go of outcomes that nobody will take: a run may be kept for its summary."""
        self.book.let_nobody_take()
        self._flush()
        self._handoff.ready.clear()

    def end_quietly(self) -> None:
        """End a run that is quiet, as its consumer has asked for more; a journal is made whole first."""
        if not self.finished and self.additions.is_over():
            self._finish_or_flush()

    @property
    def asking(self) -> Asking:
        """What asks functions of the user's; made for the first one."""
        if self._asking is None:
            self._asking = Asking(self.loop, self.plan.context, lambda text: self.failures.note(text), self.fatal)
        return self._asking

    @property
    def keeps(self) -> bool:
        """Whether there is a journal."""
        return self.keeping is not None

    @property
    def total(self) -> int | None:
        """How many inputs there will be, as far as is known."""
        return self.additions.total

    @property
    def finished(self) -> bool:
        """Whether there will be no more outcomes."""
        return self.book.finished

    @property
    def orphan(self) -> bool:
        """Whether this process was forked from the one that drives the run."""
        return self.book.phase is Phase.FORKED

    # -- what lanes call: see `Port` --------------------------------------------------------------------------

    def told_apart(self, index: int) -> tuple[int, tuple[Any, ...]]:
        """Return which attempt of an input its next call is, and what the input is known by."""
        known = self.keeping.identity(index) if self.keeping is not None else None
        return self._attempt(index), (index if known is None else known,)

    def call_of(self, index: int) -> Call:
        """Return the call of an input that is made elsewhere, and says something here."""
        attempt, identity = self.told_apart(index)
        return Call(self, index, "", attempt, 0.0, identity)

    def run_id(self) -> bytes:
        """Return what tells this run from others: its journal's, or a random one."""
        if self._id is None:
            kept = self.keeping.run_id if self.keeping is not None else None
            self._id = os.urandom(8) if kept is None else kept
        return self._id

    def allow(self, item: Any, left: Left) -> None:
        """Slow down before the other side says so."""
        if self.book.gate is not None:
            self.book.gate.allow(item, left)
        elif not self.finished:
            self.soon(lambda: self.book.allow_first(item, left))

    def add_later(self, index: int, by: object, item: Any, key: Any) -> None:
        """Take one more input when a call has ended well; on the thread of the call."""
        self.additions.add_later(index, by, item, key)

    def correct(self, call: tuple[int, int], cost: float) -> bool | None:
        """Count what a call cost indeed; see `Gate.correct`. From any thread."""
        if self.finished:
            return None
        if self.book.gate is None:
            return False
        index, attempt = call
        return self.book.gate.correct(index if attempt == self._attempt(index) else None, cost, left=call)

    def dropped(self, index: int) -> None:
        """Count a call that will have no record."""
        self.book.dropped(index)

    def abandon(self, index: int) -> None:
        """Keep the permit of a blocking call that is left behind."""
        if not self.plan.composed:  # else the scope says so: it knows which step's call it is
            self.watch.call_abandoned(index, f"{name_of(self.plan.fn)}()")
        if self.book.gate is not None:
            self.book.gate.abandon(index, (index, self._attempt(index)))

    def returned_late(self, index: int) -> None:
        """Give that permit back; on any thread."""
        if self.book.gate is not None:
            self.book.gate.returned_late(index)
        if self.book.phase is Phase.CLOSED and not tell(self.loop, self._let_go):
            self._let_go()

    def unmade(self, pairs: Sequence[Pair]) -> None:
        """Take back inputs that left for a lane and were not called there."""
        if self.finished:
            return
        self.book.put_back(pairs)
        if self.book.stopping:
            self._forget_from(self.book.horizon)
        else:
            self.arrived()

    def call_back(self) -> None:
        """Have the lanes hand back what has not begun: it shall wait."""
        self.lanes.call_back()

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
        if self.finished:
            return
        self.stop(error)
        self.lanes.drop(-1)
        self._finish()

    def give_up(self, error: BaseException) -> None:
        """Start nothing new, finish what is in flight, then raise `error`."""
        self.stop(error)

    def create_task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        """Start a task of this run; never an eager one, which would run before its owner knows it."""
        task = asyncio.Task(coroutine, loop=self.loop, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def past_deadline(self, took: float) -> None:
        """Act on the deadline, which is over, at once; the timer did not while a call was made that `took` so long."""
        late = self.clock() - self.ends_at
        if self.book.stopping:
            return
        self._expire()
        if HELD < late <= took:
            self._say_what_held_the_loop(took)

    def soon(self, act: Callable[[], None]) -> None:
        """Do something on the loop: at once if this is its thread."""
        if asyncio._get_running_loop() is self.loop:
            act()
        else:
            tell(self.loop, act)

    # -- what source, gate and journal call: see `Reader`, and `Host` in each -----------------------------------

    def arrived(self) -> None:
        """Put lanes to work on what came."""
        if self.book.phase >= Phase.CLOSED:
            return
        self.book.pump()
        self.turn()
        if self.queue:
            self.lanes.wake()

    def ended(self, error: BaseException | None) -> None:
        """Nothing more will come."""
        if self.book.stopping:
            return
        self.book.enter(Phase.DRAINING)
        if error is not None:
            self.error = error
        else:
            self.additions.has_read(self.book.source.admitted)
        if not self.book.watches:
            self.lanes.no_more()
        self.arrived()
        self.book.look()

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""
        self.book.give(record)

    def shared(self, record: Record) -> None:
        """Give the outcome of an input that shared the call of another."""
        self.book.uncalled += 1
        if record[3] is not None:
            self._judging.settle(record, called=False)
        elif self.keeping is None:
            self.give(record)
        elif (kept := self.keeping.write(record, slot=False)) is not None:
            self.give(kept)

    def count(self, record: Record) -> None:
        """Count a failure that was a success when its call returned: its value could not be stored."""
        self._judging.count(record)

    def durable(self, slots: int) -> None:
        """Go on after a commit of the journal, which has freed the lanes of this many calls."""
        if self.book.gate is not None and slots:
            self.book.gate.free_slots(slots)
        if not self.finished:
            self.refill()
            self.arrived()

    def all_kept(self, error: Exception | None) -> None:
        """End the run, now that its journal is whole."""
        if self.error is None and error is not None:
            self.error = error
        self._finish()

    def grow(self, added: list[Any]) -> None:
        """Take what a call of an earlier run has added."""
        self.additions.add_all(added)

    def failed_uncalled(self, record: Record) -> None:
        """Count the failure of an input that was not called."""
        self._judging.count(record, called=False)

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Fail inputs that are not called, because a limit's `by` or `weight` raised for them."""
        self._judging.unfit(found)

    def follow(self) -> None:
        """Have as many lanes as the limits allow now."""
        if self.plan.at_once is not None:
            self.resize(self.plan.at_once.now)

    def resize(self, concurrency: int) -> None:
        """Have another number of lanes, and a window for them."""
        if concurrency == self.concurrency or self.finished:
            return
        self.concurrency = concurrency
        if self.book.gate is not None:
            self.book.gate.resize(concurrency)
        self.lanes.resize(concurrency)
        self.ahead.resize(concurrency)
        self.refill()

    def is_late(self) -> bool:
        """Whether the deadline has passed, which ends the run now if nothing did before."""
        if self.clock() < self.ends_at:
            return False
        self._expire()
        return True

    def goes_by(self, plan: Plan) -> None:
        """Go by another plan from here on."""
        self.plan = plan

    def goes_on(self) -> None:
        """Take note that more comes although nothing more was to come."""
        self.book.read_on()
        self.lanes.more()

    # -- what its own parts call ------------------------------------------------------------------------------

    def stop(self, error: BaseException | None, horizon: int = 0) -> None:
        """Admit nothing more, forget inputs from `horizon` on that are not in flight; the first error given stays."""
        if self.error is None and not self.finished:
            self.error = error
        if not self.book.stop(horizon):
            return
        self._forget_from(horizon)
        self.lanes.give_back(horizon, settles=not self._fail_fast)
        self._judging.judge_on()  # what is not wanted any more is not asked about either

    def drop(self, after: int) -> None:
        """End the calls of inputs behind this index, without outcomes."""
        self.lanes.drop(after)

    def give_up_on(self, late: Container[int]) -> None:
        """Settle inputs that are not being called, as their time is over."""
        for record in self._take_back(late.__contains__)[1]:
            self._judging.settle(record)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _look_at_lateness(self) -> None:
        self.lateness = Lateness(self, self.clock, self._deadlines, self.started)

    def _forget_from(self, horizon: float) -> None:
        """Forget inputs that are not being called and not wanted any more; who failed before has its outcome."""
        untried, failures = self._take_back(lambda index: index >= horizon)
        if self._fail_fast:
            untried += len(failures) + self.book.sharing_none(record[0] for record in failures)
        else:
            for record in failures:
                self._judging.settle(record)
        self.book.forget(untried)

    def _attempt(self, index: int) -> int:
        """Return which attempt of an input its last call is, or the one that is next."""
        return 1 if self.book.attempts is None else self.book.attempts.number(index)

    def _hold(self, why: str) -> None:
        if self.scope is not None:
            self.scope.hold(why)
        elif not self.finished:
            self.book.hold(why)

    def _take_back(self, unwanted: Callable[[int], bool]) -> tuple[int, list[Record]]:
        taken = self.book.take_back(unwanted)
        if self.book.held():
            self.loop.call_soon(self.arrived)  # lanes may have looked in between, and a line may have lost its place
        return taken

    def _expire(self) -> None:
        """Act on the deadline: in-flight calls become outcomes, or are dropped where values alone are wanted."""
        if self.additions.quiet:
            return
        self.ends_at = inf
        text = f"{self.plan.name}: the deadline of {self.plan.deadline:g} s passed"
        self.stop(DeadlineExceeded(text))
        if self._fail_fast:
            self.lanes.drop(-1)
        else:
            self.lanes.expire(DeadlineExceeded(text))
        self._deadlines.at("expire", self.clock() + EXPIRE_GRACE, self._end_expired)

    def _end_expired(self) -> None:
        self.lanes.leave_stubborn()
        if not self.finished:
            self._finish_or_flush()

    def _say_what_held_the_loop(self, took: float) -> None:
        name = self.plan.name
        said = (
            f"{name}() held the loop for {took:.2f} s, so its run ended after its deadline: it is async, and does not "
            "await what it waits for\n  try: a plain def, which gets threads; or: await whilst.unblock(…)(…) in it"
        )
        self.failures.note(said)
        with suppress(RuntimeWarning):  # where warnings are errors this is no place for one
            warnings.warn(said, RuntimeWarning, stacklevel=2)

    def all_done(self) -> None:
        """End: nothing more is admitted, and all that was is through."""
        if self.finished:
            return
        additions = self.additions
        with GUARD:
            if additions.pending:
                return  # it has just been added
            if additions.in_hand:
                if self.book.stopping and not self._fail_fast:
                    self._flush()  # as in `_finish`: what is unwanted leaves gaps
                additions.quiet, self._ended = True, self.clock()
                self.accounting.rest()
            else:
                additions.over = True
        if not additions.in_hand:
            self._finish_or_flush()
        elif self._handoff.waiting:
            if self._handoff.ready:
                self._handoff.wake()  # what was behind a gap has come out
            else:
                self.end_quietly()

    def _finish_or_flush(self) -> None:
        if self.keeping is None:
            self._finish()
        else:  # the iteration ends when the last row is durable
            self.keeping.flush()

    def _finish(self) -> None:
        """Nothing more will be ready: tell the consumer, and begin to close."""
        if self.finished:
            return
        if not self._fail_fast:
            self._flush()  # a cancelled run leaves gaps; what has finished behind them is not lost
        self.book.enter(Phase.CLOSING)
        self.additions.over = True
        if not self.additions.quiet:
            self._ended = self.clock()
        self.accounting.end()
        self._deadlines.close()
        if not self._is_part:
            self.watch.run_ended(self.error, self.summary)
        if self._handoff.waiting:
            self._handoff.wake()
        self.book.close()
        self.lanes.close()  # here and now: a loop that is torn down cancels the task before it begins
        nothing = contextvars.Context()  # that of the call which ends the run names the run, and stays with the task
        self._closing = asyncio.Task(self._close(), loop=self.loop, context=nothing)

    async def _close(self) -> None:
        await self.lanes.gone()
        self.book.give_permits_back()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLEAN_UP)
        await self.book.source.gone()
        if self.scope is not None:
            await self.scope.close()
        if self.keeping is not None:
            await self.keeping.close()
        self.book.enter(Phase.CLOSED)
        self._let_go()

    def _let_go(self) -> None:
        """Keep the summary alone, once no lane was left behind: what refers to each other here is never freed else.

        What was left behind in a step of a flow, or in the source, is still counted. Where the loop is closed, threads
        that come home do this, several at a time: one of them takes the key.
        """
        held = self.__dict__
        lanes: Lanes | None = held.get("lanes")
        if lanes is None or lanes.abandoned or held.pop("_key", None) is None:
            return
        self._left = self.book.source
        self._final = self.summary()
        self.run_id()  # what calls were this run's, whoever keeps one can still ask
        for part in (lanes, self.ahead, self.additions, self.book):
            part.let_go()
        if self.scope is not None:
            self.scope.let_go()
        if not self._final.left_behind:
            self.scope = self._left = None
        self.__dict__ = dict(zip(KEPT, kept_of(self.__dict__), strict=True))
