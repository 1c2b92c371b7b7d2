"""Drives one run on one loop: the only owner of its tasks, timers and counts.

Everything here happens on the loop's thread. Others touch the run at four places only: lanes take from `queue` and
the consumer from `ready` (deques: one operation each), the consumer counts `window.delivered`, and
`call_soon_threadsafe` brings everything else here.

An input is *admitted* when it enters the queue and *done* when it has a record or nobody wants one any more. The
run is over when nothing more is admitted and admitted == done.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any, Protocol

from ..core.failures import kind_of
from ..core.order import as_finished, in_order
from ..core.outcome import Record
from ..core.plan import Plan
from ..core.summary import Summary
from ..core.window import Window
from ..errors import DeadlineExceeded, RunCancelled, Stopped
from ..lanes.clock import clock_of
from ..lanes.ending import ended
from ..lanes.loop import LoopLanes
from ..lanes.port import Lanes
from ..lanes.threads import ThreadLanes
from .handoff import Handoff
from .source import Source, open_source

LEAST_SWEEP = 0.005  # seconds between two looks for calls past their timeout; a look costs 0.04 µs a lane
STARVING = 0.001  # seconds that lanes stand idle behind a slow call before the window grows for them
EXPIRE_GRACE = 1.0  # seconds that calls cancelled by the deadline have for their clean-up


class Owned(Protocol):
    """What a run owns besides lanes, closed with it."""

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        ...

    def left_behind(self) -> tuple[str, ...]:
        """Name those calls."""
        ...

    async def close(self) -> None:
        """Close everything."""


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
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock_of(loop)
        self.context: contextvars.Context = plan.context
        self.queue: deque[tuple[int, Any]] = deque()
        self.window: Window = Window(plan.concurrency)
        self.nudge_at: float = inf
        """How many must be delivered for the consumer to call `nudge`."""
        self.finished: bool = False
        self.orphan: bool = False
        self.error: BaseException | None = None
        """What the consumer raises after the last record."""
        self.started: float = self.clock()
        self._plan = plan
        self._handoff = handoff
        self._fail_fast = fail_fast
        self._scope = scope
        self._push: Callable[[Record], None]
        self._push, self._flush = (in_order if plan.ordered else as_finished)(handoff.ready)
        self._done = self._dropped = 0
        self._kinds: Counter[str] = Counter()
        self._exhausted = self._stopping = False
        self._nudging = self._dry = False
        self._ended: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closing: asyncio.Task[None] | None = None
        self._source: Source = open_source(self, plan.inputs)
        lanes: type[ThreadLanes | LoopLanes] = ThreadLanes if plan.on_threads else LoopLanes
        self._lanes: Lanes = lanes(self, plan.fn, plan.concurrency, plan.timeout)

    # -- what the run calls -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the first inputs and start the first calls."""
        if self._plan.deadline is not None:
            self._at("deadline", self.started + self._plan.deadline, self._expire)
        if self._plan.timeout is not None:
            self._at("sweep", self.started + self._plan.timeout, self._sweep)
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
        self.fatal(RunCancelled(f"{self._plan.name}: the run was cancelled"))

    def summary(self) -> Summary:
        """Count; safe from any thread."""
        done, failed = self._done, sum(tuple(self._kinds.values()))
        in_flight = 0 if self._ended is not None else self._source.admitted - len(self.queue) - done
        return Summary(
            name=self._plan.name,
            total=self._plan.total,
            ok=max(0, done - failed - self._dropped),
            failed=failed,
            in_flight=max(0, in_flight),
            abandoned=self._lanes.abandoned + (self._scope.abandoned if self._scope is not None else 0),
            elapsed=(self._ended if self._ended is not None else self.clock()) - self.started,
            concurrency=self._plan.concurrency,
            failures=dict(self._kinds),
            left_behind=self._left_behind(),
            done=self._ended is not None,
        )

    def become_orphan(self) -> None:
        """End without a loop: this process was forked from the one that drives the run."""
        self.orphan = self.finished = True
        self._handoff.ready.clear()
        self.error = RuntimeError(
            f"this run of {self._plan.name} belongs to the parent process; map again in the child"
        )

    async def close(self) -> None:
        """End everything that belongs to the run, and return when it has ended, even if cancelled meanwhile."""
        if self.orphan:
            return
        self._stop(RunCancelled(f"{self._plan.name}: the run was closed before its end"))
        self._finish()
        assert self._closing is not None
        await ended([self._closing])
        self._closing.result()

    def forget(self) -> None:
        """Let go of outcomes that nobody will take: a run may be kept for its summary."""
        self._push = _ignore
        self._flush()
        self._handoff.ready.clear()

    # -- what lanes call: see `Port` --------------------------------------------------------------------------

    def emit(self, record: Record) -> None:
        """Count a record, put it in its place, and wake the consumer if it is its turn."""
        if record[3] is not None and not self._failed(record):
            return
        self._done += 1
        self._push(record)
        handoff = self._handoff
        if handoff.waiting and handoff.ready:
            handoff.wake()
        if self._exhausted and self._done == self._source.admitted:
            self._finish()

    def dropped(self, count: int) -> None:
        """Count inputs that will have no record."""
        self._done += count
        self._dropped += count
        self._finish_if_done()

    def refill(self) -> None:
        """Let the source fill the room, and say when the consumer should ask again."""
        if self._exhausted:
            self.nudge_at = inf
            return
        self.nudge_at = 0  # before the look at `delivered`, so that no delivery in between is missed
        self._source.fill(self.window.limit)
        if self._starves() and "starving" not in self._timers:
            self._at("starving", self.clock() + STARVING, self._still_starving)
        if self._exhausted:
            self.nudge_at = inf
        elif self.queue:
            if self._source.admitted - self._done >= self._plan.concurrency:  # enough for every lane
                self.nudge_at = self.window.refill_at
            if self._lanes.idle:
                self._lanes.wake()

    def fatal(self, error: BaseException) -> None:
        """End the run now."""
        self._stop(error)
        self._lanes.drop(-1)
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

    # -- what the source calls: see `Reader` ------------------------------------------------------------------

    def arrived(self) -> None:
        """Put lanes to work on what came into the empty queue."""
        if self.queue and not self._stopping:
            self._lanes.wake()

    def ended(self, error: BaseException | None) -> None:
        """Nothing more will come."""
        if self._stopping:
            return
        self._exhausted = True
        if error is not None:
            self.error = error
        self._lanes.no_more()
        if self.queue:
            self._lanes.wake()
        self._finish_if_done()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _starves(self) -> bool:
        """Whether lanes have no work for want of room alone, while the consumer waits for a slow call."""
        admitted, handoff = self._source.admitted, self._handoff
        if self.queue or self._exhausted or not handoff.waiting or handoff.ready:
            return False
        window = self.window
        return admitted >= window.limit and admitted - self._done < self._plan.concurrency and window.size < window.cap

    def _still_starving(self) -> None:
        del self._timers["starving"]
        if self._starves():
            self.window.grow()
            self.refill()

    def _nudged(self) -> None:
        parked_for_room = not self.queue and not self._exhausted and self._source.full
        dry = self._dry or (self._handoff.waiting and not self._handoff.ready)
        self._nudging = self._dry = False
        if parked_for_room and dry and self._lanes.idle:
            self.window.grow()
            self._source.full = False
        self.refill()

    def _failed(self, record: Record) -> bool:
        """Count a failure and apply the policy; False if it is no input's failure but the end of the run."""
        error = record[3]
        assert error is not None
        if not isinstance(error, Exception):  # KeyboardInterrupt, SystemExit: the consumer's to raise
            self._done += 1
            self._dropped += 1
            self.fatal(error)
            return False
        self._kinds[kind_of(error)] += 1
        if self._fail_fast:
            self._stop(None)
            self._lanes.drop(record[0] if self._plan.ordered else -1)
        elif self._plan.stop_after is not None:
            failed = self._kinds.total()
            if self._plan.stop_after.reached(failed, self._done - self._dropped + 1, self._plan.total):
                self._stop(self._stopped(failed, error))
        return True

    def _stopped(self, failed: int, last: Exception) -> Stopped:
        finished = self._done - self._dropped + 1
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self._kinds.most_common(3))
        return Stopped(
            f"{failed:,} of the first {finished:,} calls of {self._plan.name} failed ({kinds})\n"
            f"  the last one: {type(last).__name__}: {last}\n"
            f"  stop_after={self._plan.stop_after} ended the run; nothing new was started"
        )

    def _stop(self, error: BaseException | None) -> None:
        """Admit nothing more and forget what was admitted but not started; the first error given stays."""
        if self.error is None and not self.finished:
            self.error = error
        if self._stopping:
            return
        self._stopping = self._exhausted = True
        self._source.close()
        dropped = 0
        try:
            while True:
                self.queue.popleft()
                dropped += 1
        except IndexError:
            self.dropped(dropped)

    def _expire(self) -> None:
        """Act on the deadline: in-flight calls become outcomes, or are dropped where values alone are wanted."""
        text = f"{self._plan.name}: the deadline of {self._plan.deadline:g} s passed"
        self._stop(DeadlineExceeded(text))
        if self._fail_fast:
            self._lanes.drop(-1)
        else:
            self._lanes.expire(DeadlineExceeded(text))
        self._at("expire", self.clock() + EXPIRE_GRACE, self._finish)

    def _sweep(self) -> None:
        now = self.clock()
        assert self._plan.timeout is not None
        earliest = min(self._lanes.sweep(now), now + self._plan.timeout)
        self._at("sweep", max(earliest, now + LEAST_SWEEP), self._sweep)

    def _at(self, name: str, when: float, action: Callable[[], None]) -> None:
        if not self.finished:
            self._timers[name] = self.loop.call_later(max(0.0, when - self.clock()), action)

    def _finish_if_done(self) -> None:
        if self._exhausted and self._done >= self._source.admitted:
            self._finish()

    def _finish(self) -> None:
        """Nothing more will be ready: tell the consumer, and begin to close."""
        if self.finished:
            return
        if not self._fail_fast:
            self._flush()  # a cancelled run leaves gaps; what has finished behind them is not lost
        self.finished = True
        self._ended = self.clock()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._handoff.waiting:
            self._handoff.wake()
        self._source.close()
        self._lanes.close()  # here and now: a loop that is torn down cancels the task before it begins
        self._closing = asyncio.Task(self._close(), loop=self.loop)

    async def _close(self) -> None:
        await self._lanes.gone()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=EXPIRE_GRACE)
        if self._scope is not None:
            await self._scope.close()

    def _left_behind(self) -> tuple[str, ...]:
        source = self._source.waiting if self._stopping else ""
        calls = self._scope.left_behind() if self._scope is not None else ()
        return self._lanes.left_behind() + calls + ((source,) if source else ())


def _ignore(record: Record) -> None:
    pass
