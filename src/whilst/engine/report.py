"""What does a run say of itself? How its inputs stand, where the time of its lanes goes, and whether its loop keeps up.

`Accounting` tells the run's account what each lane does now, and if nothing, why, whenever that may have changed: when
a lane finds no work, when work comes, when a thread's results are taken and when the consumer made room. In between
lanes go from call to call, and nothing has changed.

`Lateness`: a busy lane waits for the other side only if somebody is there to hear the answer. So the loop is given
something to do now and then, and how late it comes to that is noted: a call that holds the loop makes it late, and so
do threads that hold the interpreter. What its thread has spent in the queue for a processor is not counted as that: it
tells a machine that has other work to do. It looks every 50 ms, then, as the run becomes older, ever more seldom, down
to once a second. Virtual time is never late, and a timer of ours would keep it from seeing that nothing can happen any
more, so there it does not look.

The summary, at the end of this file, is read from any thread.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from heapq import nsmallest
from math import inf
from typing import TYPE_CHECKING, Protocol

from ..core import account as reasons
from ..core.account import Account, Idle, added, split
from ..core.plan import Plan
from ..core.retried import OFF
from ..core.scaling import Levels
from ..core.summary import Summary
from ..core.timings import SLOWEST, Slow, Timings
from ..lanes.clock import processors, used
from ..lanes.port import Lanes
from .book import Book
from .book import Host as BookHost
from .deadlines import Deadlines
from .growing import Additions
from .handoff import Handoff, Window
from .judging import Failures
from .source import Source

if TYPE_CHECKING:
    from .scope import Scope
    from .stage import Stage

FIRST = 0.05  # seconds from the start to the first look, and between two looks at least
RARER = 20  # times the time between two looks is the age of the run
SELDOM = 1.0  # seconds between two looks at most
KEPT = 60  # looks, the last ones
LEAST = 0.005  # seconds that a thread must have run or queued, or what it did says nothing


class Lateness:
    """How late one run's loop is; made on its thread when the first look is due.

    Args:
        owner: of the run; when it is gone, nobody looks any more.
        clock: its time.
        deadlines: sets the time of the next look.
        began: when the run did.
    """

    def __init__(self, owner: object, clock: Callable[[], float], deadlines: Deadlines, began: float) -> None:
        self.queued: float = 0.0
        """The share of the time in which the loop's thread wanted a processor, in which others had them all."""
        self._owner = weakref.ref(owner)
        self._clock = clock
        self._deadlines = deadlines
        self._began = began
        self._late: deque[float] = deque(maxlen=KEPT)
        self._tid = threading.get_native_id()
        self._first = self._last = _times(self._tid)  # seconds that its thread had run, and queued, at these looks
        self._look_at(clock() + FIRST)

    @property
    def usual(self) -> float:
        """By how many seconds the loop was late, at the median of the last looks; from any thread."""
        late = sorted(self._late.copy())
        return late[len(late) // 2] if late else 0.0

    def _look(self) -> None:
        if self._owner() is None:
            return
        now, (ran, queued) = self._clock(), _times(self._tid)
        self._late.append(max(0.0, now - self._due - (queued - self._last[1])))
        self._last = ran, queued
        ran, queued = ran - self._first[0], queued - self._first[1]
        self.queued = queued / (ran + queued) if ran + queued >= LEAST else 0.0
        self._look_at(now + min(max(FIRST, (now - self._began) / RARER), SELDOM))

    def _look_at(self, when: float) -> None:
        self._due = when
        self._deadlines.at("lateness", when, self._look)


def _times(tid: int) -> tuple[float, float]:
    """Return the seconds that a thread ran, and queued; zeros where that is not known, as the queue is not there."""
    found = used(tid)
    return (0.0, 0.0) if found is None else found[:2]


GETTING_UP = 0.001  # seconds between two looks at threads that are being started


class Host(BookHost, Protocol):
    """The driver, as far as it is looked at and told of."""

    plan: Plan
    book: Book
    lanes: Lanes
    concurrency: int
    scope: Scope | None
    additions: Additions
    timings: Timings
    failures: Failures
    accounting: Accounting
    lateness: Lateness | None
    unheard: bool

    @property
    def total(self) -> int | None:
        """How many inputs there will be, as far as is known."""
        ...

    @property
    def finished(self) -> bool:
        """Whether there will be no more outcomes."""
        ...


class Accounting:
    """The account of one run; on its loop, but for what summaries read."""

    def __init__(self, host: Host, plan: Plan, consumer: Handoff, window: Window, steps: Scope | Stage | None) -> None:
        self.account: Account = Account(host.started)
        self.account.turn(host.started, 0, ((reasons.START, host.concurrency),))
        self.levels: Levels | None = None
        """What calls took by how many were in flight, once that number moves."""
        self.hanging: tuple[Slow, ...] = ()
        """The calls that took longest when they were looked at last."""
        self.hanging_until: float = -inf
        """Until when that is not done again."""
        self._host: Host | None = host
        self._elsewhere = not isinstance(plan.executor, str)  # where workers or nodes are started at any time
        self._starting = self._elsewhere or plan.executor == "thread"  # whether lanes may not be there yet
        self._consumer = consumer
        self._window = window
        self._steps = steps
        self._cpu = time.process_time()
        self._full = False
        self._slots: int = 0  # that were permitted at the last look
        self._level = 0  # how many were busy; more than there are slots, where these became fewer
        self._quiet = False  # whether this may be the end
        self._coming = False  # whether a look at threads that are being started is due

    def turn(self) -> None:
        """Look at what the lanes do, and take note of it."""
        host = self._host
        if host is None:
            return
        if self._quiet:
            if host.additions.quiet:
                return
            self._quiet = False
        book, slots = host.book, host.concurrency
        busy = book.source.admitted - book.done
        coming = self._lanes_that_start(host, busy) if self._starting else 0
        if self._steps is not None:
            busy -= host.lanes.resting
            for opening in self._steps.openings:
                coming += opening.now
        if book.waylaid:
            self._turn_by_the_gate(host, book, busy, slots, coming)
        elif coming or busy < slots:
            self._full = False
            now, busy = host.clock(), min(busy, slots)
            coming = min(coming, busy)
            idle = ((self._why(host, book, now), slots - busy),)
            self.account.turn(now, busy - coming, ((reasons.START, coming), *idle) if coming else idle)
        elif not self._full:
            self._full = True
            self.account.turn(host.clock(), slots)

    def rest(self) -> None:
        """Add up what was until now: all is done, and it may be the end. If it is not, lanes wait from now on."""
        if (host := self._host) is not None:
            self.turn()
            self.account.turn(host.clock(), 0, ((reasons.SOURCE, host.concurrency),))
            self._quiet = True

    def end(self) -> None:
        """Add up what was until now, and look no more."""
        host = self._host
        if host is None:
            return
        if not self._quiet:
            self.turn()
        self.account.end(host.clock(), since_then=not self._quiet)
        self._cpu = self.cpu
        self._host = self._steps = None

    @property
    def cpu(self) -> float:
        """Seconds that this process has computed since the start of the run, or did until its end."""
        return time.process_time() - self._cpu if self._host is not None else self._cpu

    # -- private, in order of use -----------------------------------------------------------------------------

    def _turn_by_the_gate(self, host: Host, book: Book, busy: int, slots: int, coming: int) -> None:
        """Do it where something stands between the source and the lanes, and inputs wait there."""
        gate, keeping, held = book.gate, book.keeping, 0
        if gate is not None:
            busy -= gate.pending
            if gate.adapts:
                slots = gate.concurrency
        busy -= book.waiting
        if keeping is not None:
            held = keeping.held_back
            busy -= held + len(book.source.inbox) + keeping.looking
        if book.sifting is not None:
            busy -= book.sifting.waiting + (len(book.source.inbox) if keeping is None else 0)
        if coming:
            coming = max(0, min(coming, busy, slots))
            busy = min(busy, slots) - coming
        full = busy >= slots
        if full and self._full and busy == self._level:
            return
        now = host.clock()
        if self.levels is not None or slots != self._slots:
            self._note_level(host, now, busy if full else 0, slots)
        self._full, self._level, self._slots = full, busy, slots
        if full:
            self.account.turn(now, slots)
        else:
            self.account.turn(now, *self._idle(max(0, busy), slots, held, coming, now))

    def _note_level(self, host: Host, now: float, level: int, slots: int) -> None:
        """Note how many calls are in flight, from the time on from which that number moves; 0: fewer than might be."""
        book, levels = host.book, self.levels
        if levels is None:
            if not self._slots and not (book.gate is not None and book.gate.adapts):
                return  # it is the first number that is known, and may be the only one
            levels = self.levels = Levels()
            if book.done and self._slots:
                times = host.timings.snapshot().times(book.done)
                levels.know(self._slots, times.calls, times.mean, times.p50)
            book.pushes_by(levels.seeing)
        levels.moved(now, level)

    def _idle(self, busy: int, slots: int, held: int, coming: int, now: float) -> tuple[int, Idle]:
        """Return how many slots are busy, and why the others are not."""
        host = self._host
        assert host is not None
        idle = slots - busy
        if held >= idle and not coming:  # all of them are the journal's: nothing else is asked for reasons
            return busy, ((reasons.JOURNAL, idle),)
        if held or coming:
            first = (reasons.START, coming), (reasons.JOURNAL, held)
            return busy, split(idle, *first, (self._why(host, host.book, now), 0))
        waiting = host.book.waiting
        if waiting and busy and host.book.exhausted and not self._refused(host):
            return busy, split(idle, (reasons.RETRIES, waiting), (reasons.TAIL, 0))
        return busy, ((self._why(host, host.book, now), idle),)

    def _lanes_that_start(self, host: Host, busy: int) -> int:
        """Return how many lanes are being started for inputs that are there; threads are looked at again soon."""
        if self._elsewhere:
            return host.lanes.starting
        coming = 0 if host.book.done or host.book.waylaid else min(len(host.queue), busy)
        self._starting = bool(coming or not (host.book.done or host.book.source.admitted))
        if coming and not self._coming:
            self._coming = True
            host.loop.call_later(GETTING_UP, self._look_again)
        return coming

    def _look_again(self) -> None:
        self._coming = False
        self.turn()

    @staticmethod
    def _refused(host: Host) -> bool:
        return host.book.gate is not None and host.book.gate.pending > 0

    def _why(self, host: Host, book: Book, now: float) -> str:
        """Return what keeps lanes idle."""
        if host.still.now:
            return reasons.PAUSED
        if book.waylaid and (held := self._held(book, now)):
            return held
        reading = not book.exhausted
        if reading and book.source.admitted < self._window.asked:
            return reasons.SOURCE
        if self._steps is not None and host.lanes.resting:
            return self._steps.why(now)
        if not reading:
            return reasons.RETRIES if book.waiting else reasons.TAIL
        if self._consumer.ready or not self._consumer.waiting:
            return reasons.CONSUMER
        return reasons.RETRIES if book.waiting else reasons.ORDER

    @staticmethod
    def _held(book: Book, now: float) -> str:
        """Return what holds inputs up that stand between source and lanes; "" if none does."""
        keeping, gate = book.keeping, book.gate
        if keeping is not None and (book.source.inbox or keeping.looking):
            return reasons.JOURNAL
        return gate.refusal(now) if gate is not None and gate.pending else ""


LOOK_EVERY = 0.25  # seconds
HANGS = 1.0  # seconds; a call that takes longer is told of while it does


def summary_of(run: Host, elapsed: float) -> Summary:
    """Count."""
    plan, scope, book, failures, accounting = run.plan, run.scope, run.book, run.failures, run.accounting
    done, failed = book.done, failures.count  # while this is read, more may be done and begun: hence the bounds below
    over = run.finished
    lane_time = accounting.account.seconds(-inf if over or run.additions.quiet else run.clock())
    return Summary(
        name=plan.name,
        total=run.total,
        ok=max(0, done - failed - book.unwanted),
        failed=failed,
        in_flight=0 if over else max(0, min(book.in_flight - run.lanes.resting, run.concurrency)),
        abandoned=run.lanes.abandoned + (scope.abandoned if scope is not None else 0),
        elapsed=elapsed,
        concurrency=run.concurrency if book.gate is None else book.gate.concurrency,
        failures=dict(failures.kinds),
        left_behind=_left_behind(run),
        done=over,
        recalled=book.recalled,
        retried=book.retried + (scope.retried if scope is not None else 0),
        hedged=scope.hedged if scope is not None else 0,
        waiting=book.waiting + (scope.waiting if scope is not None else 0),
        rejected=failures.rejected + (scope.rejected if scope is not None else 0),
        paused=0.0 if over else _paused(run),
        held=() if over else _held(run),
        stopping=book.is_told or over,
        shared=book.sifting.shared if book.sifting is not None else 0,
        notes=_notes(run),
        lane_time=lane_time,
        peak=accounting.account.peak,
        called=max(0, done - book.unwanted - book.uncalled) + book.retried,
        cpu=accounting.cpu,
        queued=run.lateness.queued if run.lateness is not None else 0.0,
        late=run.lateness.usual if run.lateness is not None else 0.0,
        hanging=() if over else _hanging(run),
        retry_waits=_retry_waits(run),
        step_time=scope.step_time() if scope is not None else {},
        join_time=scope.join_time() if scope is not None else {},
        stage_time=scope.stage_time(lane_time, run.started + elapsed) if scope is not None else {},
        workers={name: {**it} for name, it in run.lanes.by_worker.items()} if run.lanes.by_worker else {},
        levels=accounting.levels.seen() if accounting.levels is not None else {},
        timings=run.timings.snapshot(),
        bounded=_bounded(plan, run.concurrency),
        failed_time=added([failures.time, scope.failed_time if scope is not None else {}]),
        processors=processors(),
        given_by=_given_by(run),
    )


def since_then(final: Summary, scope: Scope | None, source: Source | None) -> Summary:
    """Return the last summary of a run that has ended, with what is left behind of it by now."""
    if not final.left_behind:
        return final
    calls = scope.left_behind() if scope is not None else ()
    waiting = (source.waiting,) if source is not None and source.waiting else ()
    return final._replace(abandoned=scope.abandoned if scope is not None else 0, left_behind=calls + waiting)


def _bounded(plan: Plan, lanes: int) -> str:
    """Return the limit that permits no more calls at once than there are lanes, by its name."""
    bounds = [limit.most for limit in plan.limits if limit.most is not None and not (limit.keyed or limit.adaptive)]
    return f"concurrency={min(bounds)}" if bounds and min(bounds) <= lanes else ""


def _given_by(run: Host) -> dict[str, tuple[str, str]]:
    """Return with which argument each number that a limit holds to is given, and at which step."""
    steps = run.scope.limits() if run.scope is not None else []
    limits = [*((limit, "") for limit in run.plan.limits), *steps]
    return {
        number: (number.partition("=")[0] if limit.of_run else "limit", path)
        for limit, path in limits
        for number in limit.numbers
    }


def _retry_waits(run: Host) -> dict[str, float]:
    """Return the seconds that inputs waited for another attempt, by what for."""
    attempts = run.book.attempts
    of_map = attempts.attempts.waits if attempts is not None else {}
    return added([of_map, run.scope.retry_waits if run.scope is not None else {}])


def _hanging(run: Host) -> tuple[Slow, ...]:
    """Return the calls that have been in flight the longest, if that is long; to look at all takes its time."""
    now, accounting = run.clock(), run.accounting
    if now < accounting.hanging_until:
        return accounting.hanging
    accounting.hanging_until = now + LOOK_EVERY
    accounting.hanging = found = _oldest(run, now)
    return found


def _oldest(run: Host, now: float) -> tuple[Slow, ...]:
    begun = run.lanes.in_calls()
    oldest = nsmallest(SLOWEST, ((started, index) for index, started in begun if started <= now - HANGS))
    return tuple(Slow(index, now - started) for started, index in oldest)


def _held(run: Host) -> tuple[str, ...]:
    """Say what holds calls up."""
    gate, attempts, now = run.book.gate, run.book.attempts, run.clock()
    at_the_gate = gate.held_up(now) if gate is not None else ()
    budget = attempts.budget.words(now) if attempts is not None and attempts.budget is not None else ""
    of_steps = run.scope.held(now) if run.scope is not None else ()
    said = (*at_the_gate, *_all_refused(run), *((budget,) if budget and run.book.waiting else ()), *of_steps)
    return tuple(dict.fromkeys(said))


def _paused(run: Host) -> float:
    """How many seconds nothing is started for."""
    gate, scope = run.book.gate, run.scope
    return max(gate.paused if gate is not None else 0.0, scope.paused if scope is not None else 0.0)


def _all_refused(run: Host) -> tuple[str, ...]:
    """Say that an adaptive limit sends single calls only."""
    limits = run.book.gate.limits if run.book.gate is not None else ()
    found = [limit.statistics().found for limit in limits if limit.adaptive]
    return tuple(text for text in found if text.startswith("everything is refused"))


def _notes(run: Host) -> tuple[str, ...]:
    gate, attempts, scope, opened = run.book.gate, run.book.attempts, run.scope, 0
    broken: list[str] = []
    said = [*run.book.notices]
    if attempts is not None and attempts.budget is not None and attempts.budget.note:
        said.append(attempts.budget.note)
    if gate is not None:
        opened += gate.opened
        broken += [name for name in gate.pauses.held.broken if name]
        said += [
            f"{library} tried again {count:,} times by itself inside {run.plan.name}(), which hides refusals from "
            f'"adaptive": better turn that off, {OFF[library]}, and give retry= here'
            for library, count in gate.hidden.items()
        ]
        said += _all_refused(run)
    if scope is not None:
        opened += scope.opened
        broken += scope.broken
        said += scope.said()
    return (*said, *run.failures.notes(opened, broken))


def _left_behind(run: Host) -> tuple[str, ...]:
    source = run.book.source.waiting if run.book.stopping or run.unheard else ""
    calls = run.scope.left_behind() if run.scope is not None else ()
    return run.lanes.left_behind() + calls + ((source,) if source else ())
