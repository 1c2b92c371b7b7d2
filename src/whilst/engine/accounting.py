"""What does each lane of a run do now, and if nothing, why? Told to the run's account whenever that may have changed.

It looks when a lane finds no work, when work comes, when a thread's results are taken and when the consumer made room:
see `turn`. In between lanes go from call to call, and nothing has changed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ..core import account as reasons
from ..core.account import Account, Idle, split
from ..core.plan import Plan
from ..core.scaling import Levels
from ..core.still import Still
from ..core.timings import Slow, Timings
from ..core.window import Window
from ..lanes.port import Lanes
from .book import Book
from .growing import Additions

if TYPE_CHECKING:
    from .scope import Scope

GETTING_UP = 0.001  # seconds between two looks at threads that are being started


class Consumer(Protocol):
    """Who takes the outcomes."""

    ready: deque[Any]
    waiting: bool


class Host(Protocol):
    """The driver, as far as it is looked at."""

    clock: Callable[[], float]
    loop: Any
    book: Book
    lanes: Lanes
    queue: deque[tuple[int, Any]]
    concurrency: int
    still: Still
    additions: Additions
    timings: Timings


class Accounting:
    """The account of one run; on its loop, but for what summaries read."""

    def __init__(self, host: Host, plan: Plan, consumer: Consumer, window: Window, scope: Scope | None) -> None:
        now = host.clock()
        self.account: Account = Account(now)
        self.levels: Levels | None = None
        """What calls took by how many were in flight, once that number moves."""
        self.hanging: tuple[Slow, ...] = ()
        """The calls that took longest when they were looked at last."""
        self.hanging_until: float = -inf
        """Until when that is not done again."""
        self._host: Host | None = host
        self._starting = plan.executor == "thread"  # whether threads may not be there yet
        self._ordered = plan.ordered
        self._consumer = consumer
        self._window = window
        self._scope = scope
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
        if self._starting and self._is_starting(host, busy, slots):
            return
        if self._scope is not None:
            busy -= host.lanes.resting
        if book.waylaid:
            self._turn_by_the_gate(host, book, busy, slots)
        elif busy < slots:
            self._full = False
            now = host.clock()
            self.account.turn(now, busy, ((self._why(host, book, now), slots - busy),))
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
        self._host = self._scope = None

    @property
    def cpu(self) -> float:
        """Seconds that this process has computed since the start of the run, or did until its end."""
        return time.process_time() - self._cpu if self._host is not None else self._cpu

    # -- private, in order of use -----------------------------------------------------------------------------

    def _turn_by_the_gate(self, host: Host, book: Book, busy: int, slots: int) -> None:
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
            self.account.turn(now, *self._idle(max(0, busy), slots, held, now))

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

    def _idle(self, busy: int, slots: int, held: int, now: float) -> tuple[int, Idle]:
        """Return how many slots are busy, and why the others are not."""
        host = self._host
        assert host is not None
        idle = slots - busy
        if held:
            return busy, split(idle, (reasons.JOURNAL, held), (self._why(host, host.book, now), 0))
        waiting = host.book.waiting
        if waiting and busy and host.book.exhausted and not self._refused(host):
            return busy, split(idle, (reasons.RETRIES, waiting), (reasons.TAIL, 0))
        return busy, ((self._why(host, host.book, now), idle),)

    def _is_starting(self, host: Host, busy: int, slots: int) -> bool:
        """Whether threads are still being started for inputs that are there; then that is noted, and looked at soon."""
        coming = min(len(host.queue), busy)
        if host.book.done or not coming or host.book.waylaid:
            self._starting = bool(not host.book.done and not host.book.source.admitted)
            return False
        busy = min(busy, slots)
        coming = min(coming, busy)
        now = host.clock()
        idle = split(slots - busy + coming, (reasons.START, coming), (self._why(host, host.book, now), 0))
        self.account.turn(now, busy - coming, idle)
        if not self._coming:
            self._coming = True
            host.loop.call_later(GETTING_UP, self._look_again)
        return True

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
        if reading and book.source.admitted < self._window.limit:
            return reasons.SOURCE
        if self._scope is not None and host.lanes.resting:
            return self._scope.why(now)
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
