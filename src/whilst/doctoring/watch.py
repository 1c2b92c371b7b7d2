"""Who looks? A thread that wakes 200 times a second, sees what loops and threads are at, and keeps what is worth it."""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from copy import copy
from types import FrameType
from typing import Any, NamedTuple

from ..lanes.clock import Threads, busy, used
from .glances import (
    Driver,
    Glance,
    Stacked,
    driver,
    in_plain_cell,
    others,
    reference,
    sight,
    stacked,
    task_of,
    tasks_of,
)
from .places import chain, imports, stack
from .pulse import Pulse, Pulses, Round, clock
from .records import Held, Seen
from .rounds import ASKED, LOCKED, Look, Rounds, Sight, merge
from .waits import Waits

TICK = 0.005  # seconds between two looks
SHARE = 0.02  # of the time, that looking at what waits may take; it is done less often where it takes long
REST = 0.25  # seconds between two looks at what waits, at most
GAP = 0.05  # seconds between two looks, all of which what is seen then may have waited
TASKS = 500  # of a loop, above which they are not looked at one by one: much runs together there
THREADS = 100  # at most, of which the stacks are read when somebody has kept the GIL
STARVED = 0.025  # seconds: a thread that waits for the GIL asks for it every 5 ms, one that waits otherwise does not
AGAIN = 3  # looks right behind one that took long, at most
PATIENCE = 2.0  # seconds until a thread that was told to end has ended; it takes 5 ms, or a call that keeps the GIL
TRIES = 2  # more, for a stack in one piece: where a frame ends while it is read, what is below it cannot be found
WAITING = 0.5  # of the time since the last look: whoever computed less than this waited


class Watch:
    """Looks at this process; `publish` gets what has been seen now and then, if it is given."""

    def __init__(self, threshold: float = 0.05, publish: Callable[[Seen], None] | None = None) -> None:
        self.threshold = threshold
        self._publish = publish
        self._pulses = Pulses(threshold)
        self._rounds: weakref.WeakKeyDictionary[Pulse, Rounds] = weakref.WeakKeyDictionary()
        self._places: dict[tuple[object, ...], Held] = {}
        self._waits = Waits()
        self._threads = Threads()
        self._computed: dict[int, tuple[float, float]] = {}  # of each thread, when it was last looked at: ran, queued
        self._process = 0.0  # seconds that the process had computed then
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._pausing = self._stopped = False
        self._ident = self._tid = 0
        self._pid = os.getpid()
        self._began = clock()
        self._woke = self._began
        self._slept = self._began
        self._queued = self._worked = self._cpu = 0.0
        self._looks = 0
        self._unplaced = 0
        self._kept = _Kept(0.0, 0.0, None)
        self._rest = TICK
        self._due = self._told = self._looked = self._began

    def start(self) -> None:
        """Begin; loops that run on other threads already are heard too."""
        self._pulses.__enter__()
        _watches.add(self)
        self.resume()

    def stop(self) -> Seen:
        """End, and return all that was seen."""
        _watches.discard(self)
        if self._pid != os.getpid():
            return Seen()
        self._pulses.__exit__()
        self.pause()
        self._stopped = True
        with self._guard:
            self._settle_rounds()
            return self._seen(clock(), ended=True)

    def resume(self) -> None:
        """Have the thread look on, unless all is over; unlike threading's, it is in no list and nobody waits for it."""
        if not self._stopped:
            self._pausing = False
            self._done.clear()
            _thread.start_new_thread(self._run, ())

    def stay_behind(self) -> None:
        """Never look again."""
        self._pausing = self._stopped = True

    def pause(self) -> None:
        """End the thread, to its last trace: Python warns of a fork where the system knows of another one."""
        self._pausing = True
        self._done.wait(PATIENCE)
        until = clock() + PATIENCE
        while os.path.exists(f"/proc/self/task/{self._tid}") and clock() < until:
            time.sleep(0.0002)

    def _run(self) -> None:
        self._ident, self._tid = threading.get_ident(), threading.get_native_id()
        while not self._pausing:
            self._slept = clock()
            time.sleep(TICK)
            try:
                with self._guard:
                    self._tick()
            except Exception as error:  # a fault of ours is told once, and must not be the program's
                self._stopped = self._pausing = True
                sys.stderr.write(f"whilst doctor: looks no more: {type(error).__name__}: {error}\n")
        self._done.set()

    def _tick(self) -> None:
        late = self._look(clock() - self._slept - TICK)
        self._settle_rounds()
        if self._woke >= self._due and late < TICK:
            self._look_at_waits()
        self._tell()
        for _ in range(AGAIN):
            behind = clock() - self._woke - (time.thread_time() - self._worked)
            if behind < TICK:
                break
            self._look(behind)  # whatever read a file let others have the GIL, and one of them has kept it

    def _look(self, late: float) -> float:
        """Look at each loop that is in a round, so much later than meant; return how late the GIL has made that."""
        before, self._woke, self._worked = self._woke, clock(), time.thread_time()
        frames = sys._current_frames()
        glances = [it for pulse in self._pulses.living if (it := self._glance(pulse, frames)) is not None]
        stacks = self._elsewhere(frames) if late >= LOCKED else {}
        del frames  # first of all, the stacks: whatever reads a file lets the threads go on
        late = self._lateness(late)
        gap = self._woke - before
        cpu, self._cpu = self._cpu, time.process_time()
        somebody = late >= LOCKED and self._cpu - cpu >= late / 2  # has computed, and kept the GIL
        if somebody:
            self._kept = _Kept(before, self._woke, self._culprit(stacks, late))
        for glance in glances:
            ran, queued, asked = self._computed_since(glance.pulse, gap)
            if somebody and ran < late / 5 and asked * STARVED > late:  # another thread, which may have ended
                seen = sight(self._kept.by.spots, elsewhere=True) if self._kept.by is not None else None
                self._take_in(glance, seen, before, _Ran(gap, late, locked=True), imported=False)
            else:
                locked = _kept_gil(ran, queued, late, gap)
                self._take_in(
                    glance, sight(glance.spots, locked=locked), before, _Ran(ran + queued, late, locked), imported=True
                )
        for pulse in self._pulses.living:
            if not any(glance.pulse is pulse for glance in glances):
                self._computed_since(pulse, gap)
        return late

    def _lateness(self, late: float) -> float:
        """Return by how much a look came too late although there was a processor: somebody kept the GIL."""
        if late < TICK / 5:
            return 0.0
        return max(0.0, late - self._waited_in_queue())

    def _waited_in_queue(self) -> float:
        """Return for how long this thread has queued for a processor since this was asked last."""
        seconds = used(self._tid)
        before, self._queued = self._queued, seconds[1] if seconds is not None else self._queued
        return self._queued - before

    def _computed_since(self, pulse: Pulse, gap: float) -> tuple[float, float, int]:
        """Return for how long a loop's thread has run since the last look, and queued for a processor, and how often.

        What is more than the time between the looks, it has done while its times were read: that counts for the next.
        """
        ran, queued, turns = used(pulse.tid) or (busy(pulse.tid, pulse.ident), 0.0, 0)
        before = pulse.computed
        ran, queued = ran - before[0], queued - before[1]
        more = max(0.0, ran + queued - gap)
        ran, queued = ran - min(ran, more), queued - max(0.0, more - ran)
        pulse.computed = before[0] + ran, before[1] + queued, turns
        return ran, queued, turns - before[2]

    def _elsewhere(self, frames: dict[int, FrameType]) -> dict[int, Stacked]:
        """Read the stacks of threads that run no loop."""
        loops = self._pulses.of_thread()
        return {ident: stacked(frames[ident]) for ident in [*frames][:THREADS] if ident not in (*loops, self._ident)}

    def _culprit(self, stacks: dict[int, Stacked], late: float) -> Stacked | None:
        """Return what was running on another thread, if it was that which made a look late, and a loop stand still."""
        ran: dict[int, float] = {}
        for ident in stacks:
            seconds, before = self._threads.used(ident), self._computed.get(ident)
            if seconds is not None:
                ran[ident] = seconds[0] - (before[0] if before is not None else 0.0)
        if sum(ran.values()) < late / 2:
            return None
        return stacks[max(ran, key=ran.__getitem__)]

    def _rounds_of(self, pulse: Pulse) -> Rounds:
        rounds = self._rounds.get(pulse)
        if rounds is None:
            rounds = self._rounds[pulse] = Rounds(self._places, self.threshold)
        return rounds

    # Rounds ----------------------------------------------------------------------------------------------

    def _in_round_since(self, pulse: Pulse) -> float | None:
        """Return when the round that goes on began, or None while the loop waits."""
        if not pulse.beats:
            return pulse.left if pulse.in_round else None
        frame = sys._current_frames().get(pulse.ident)
        return pulse.seen(self._woke, idle=frame is None or frame.f_code is pulse.base)

    def _glance(self, pulse: Pulse, frames: dict[int, FrameType]) -> Glance | None:
        """Read the stack of a loop that is in a round."""
        began = self._in_round_since(pulse)
        if began is None or self._woke - began < TICK / 2:
            return None
        number = pulse.number
        here = stacked(frames.get(pulse.ident))
        for _ in range(TRIES):
            if here.step is not None or pulse.beats:
                break
            here = stacked(sys._current_frames().get(pulse.ident))
        if in_plain_cell(here.spots):  # nobody meant that loop to go on meanwhile
            self._rounds_of(pulse).leave_out(number, self._woke - began, imported=True)
            return None
        if here.spots and (pulse.beats or (pulse.left == began and pulse.in_round)):
            step = here.step if here.step is not None else task_of(pulse.loop)  # it is no loop of asyncio's own
            return Glance(pulse, number, began, step, here.spots)
        return None

    def _take_in(self, glance: Glance, seen: Sight | None, before: float, ran: _Ran, *, imported: bool) -> None:
        """Give a round what was seen of it; nothing, where a module was imported, or nobody knows who kept the GIL."""
        pulse, rounds = glance.pulse, self._rounds_of(glance.pulse)
        span = self._woke - max(before, glance.began)
        if seen is None:
            rounds.leave_out(glance.number, span, imported=imported)
            return
        computed = min(ran.computed, span)
        asked, counted = ran.late >= ASKED, not pulse.beats
        look = Look(glance.number, glance.step, counted, seen, span, computed, ran.locked, asked)
        here = rounds.look(look)
        if self._woke - glance.began >= self.threshold and here.others is None:
            here.others = others(pulse.loop)
        self._looks += 1

    def _settle_rounds(self) -> None:
        for pulse in (*self._pulses.living, *self._pulses.ended):
            while pulse.long:
                ended = pulse.long.popleft()
                if ended.ended - ended.began >= self.threshold:
                    self._rounds_of(pulse).ended(ended, self._kept.of(ended))
        while self._pulses.ended:
            if (rounds := self._rounds.pop(self._pulses.ended.popleft(), None)) is not None:
                self._unplaced += rounds.unplaced

    # Waits -----------------------------------------------------------------------------------------------

    def _look_at_waits(self) -> None:
        began, before = clock(), time.thread_time()
        self._waited_in_queue()
        span = min(began - self._looked, max(GAP, 4 * self._rest))
        self._looked = began
        computed = time.process_time()
        alone = (
            computed - self._process < WAITING * span
        )  # if not, what seems to wait may wait for a thread that computes
        self._process = computed
        loops = self._pulses.of_thread()
        frames = sys._current_frames()
        for pulse in loops.values():
            if alone and self._in_round_since(pulse) is None:
                self._look_at_tasks(pulse, driver(frames.get(pulse.ident)), span, began)
        for ident in frames:
            if (ident not in loops or in_plain_cell(stacked(frames[ident]).spots)) and ident != self._ident:
                self._look_at_thread(ident, frames[ident], span, began)
        del frames
        self._waits.settle()
        took = time.thread_time() - before  # by the clock, a busy machine would make looks rare
        self._rest = min(REST, max(TICK, took / SHARE))
        self._due = began + self._rest

    def _look_at_tasks(self, pulse: Pulse, above: Driver, span: float, now: float) -> None:
        tasks = tasks_of(pulse.loop)
        if len(tasks) > TASKS:
            return
        for task in tasks:
            frames = chain(task.get_coro())
            awaited = getattr(task, "_fut_waiter", None)
            if (
                frames
                and type(awaited).__name__ != "_GatheringFuture"
                and not imports([each.f_code for each in frames])
            ):
                outer = above.frames if task is above.task else []
                self._waits.look(id(task), [*outer, *frames], reference(awaited), span, now, True)
                self._looks += 1

    def _look_at_thread(self, ident: int, frame: FrameType, span: float, now: float) -> None:
        seconds = self._threads.used(ident)
        if seconds is None:
            return
        ran, queued, turns = seconds
        before = self._computed.get(ident)
        self._computed[ident] = ran, queued
        if before is None or ran + queued - sum(before) > WAITING * span:
            return
        frames = stack(frame)
        if not imports([each.f_code for each in frames]):
            self._waits.look(ident, frames, turns, span, now, False)
            self._looks += 1

    # Telling ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        if self._publish is None or self._woke - self._told < (0.02 if self._holding() else 0.1):
            return
        before = time.thread_time()
        self._publish(self._seen(self._woke))
        took = time.thread_time() - before
        self._told = self._woke + took / SHARE  # a program of many places is told of less often

    def _holding(self) -> bool:
        return any(self._woke - pulse.left > self.threshold for pulse in self._pulses.living if pulse.in_round)

    def _seen(self, now: float, ended: bool = False) -> Seen:
        pulses = self._pulses
        places: dict[tuple[object, ...], Held] = dict(self._places)
        if not ended:
            for pulse, rounds in list(self._rounds.items()):
                going_on = Round(pulse.number, pulse.left, now)
                found = rounds.going_on(going_on) if now - pulse.left >= self.threshold else []
                if found:
                    copies = [(key, copy(held)) for key, held in places.items()]
                    places = dict(copies)
                for each in found:
                    merge(places, each)
        return Seen(
            seconds=now - self._began,
            threshold=self.threshold,
            loops=pulses.loops,
            rounds=pulses.rounds + sum(pulse.number for pulse in pulses.living),
            longest=max([pulses.longest, *(pulse.longest for pulse in pulses.living)]),
            looks=self._looks,
            unplaced=self._unplaced,
            children=_had_children(),
            ended=ended,
            held=list(places.values()),
            waited=self._waits.tree(),
        )


class _Kept(NamedTuple):
    """Between which looks another thread than a loop's kept the GIL, and what it was at."""

    since: float
    until: float
    by: Stacked | None

    def of(self, ended: Round) -> Sight | None:
        """Return what that thread was at, if most of a round went by meanwhile."""
        both = min(self.until, ended.ended) - max(self.since, ended.began)
        if self.by is None or both < (ended.ended - ended.began) / 2:
            return None
        return sight(self.by.spots, elsewhere=True)


class _Ran(NamedTuple):
    """For how long a thread has computed until a look, which was so late, perhaps as one call kept the GIL."""

    computed: float
    late: float
    locked: bool


def _kept_gil(ran: float, queued: float, late: float, gap: float) -> bool:
    """Whether it was one call of a loop, whose thread ran and queued for so long since, that made a look late.

    Python code lets go of the GIL 5 ms after it was asked to, as its thread counts them; one that was put off its
    processor by other processes keeps it for as long as that takes, which is no fault of its own.
    """
    return (late - queued >= LOCKED and ran >= LOCKED) or (late >= LOCKED and ran + queued < gap / 5)


def _had_children() -> bool:
    """Say whether a process that this one started has ended; False where the system does not tell."""
    try:
        import resource
    except ImportError:  # no Unix
        return False
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


# Forks -------------------------------------------------------------------------------------------------


def _pause_all() -> None:
    for watch in list(_watches):
        watch.pause()


def _resume_all() -> None:
    for watch in list(_watches):
        watch.resume()


def _resume_after_the_warning() -> None:
    """Look on when `os.fork` has returned: 3.13 counts threads, to warn of them, after this has been called."""
    if not _watches:
        return
    if sys.version_info < (3, 13) or threading.current_thread() is not threading.main_thread():
        _resume_all()
        return
    import ctypes

    def look() -> int:
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code is _resume_after_the_warning.__code__:  # too early: it is called between two instructions
                ctypes.pythonapi.Py_AddPendingCall(_pending, None)
                return 0
            frame = frame.f_back
        _resume_all()
        return 0

    global _pending  # what C calls must be kept
    _pending = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: look())
    ctypes.pythonapi.Py_AddPendingCall(_pending, None)


def _stay_behind() -> None:
    """Look no more in a process that was forked: there the thread is gone."""
    for watch in _watches:
        watch.stay_behind()


_pending: Any = None
_watches: weakref.WeakSet[Watch] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause_all, after_in_parent=_resume_after_the_warning, after_in_child=_stay_behind)
