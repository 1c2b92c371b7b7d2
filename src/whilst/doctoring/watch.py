"""Who looks? A thread that wakes 200 times a second, sees what loops and threads are at, and keeps what is worth it."""

from __future__ import annotations

import _thread
import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from copy import copy
from types import CodeType, FrameType
from typing import Any, NamedTuple

from ..lanes.clock import Threads, busy, used
from .places import DEPTH, Whose, chain, imports, is_collector, line_of, name_of, of_user, stack, whose
from .pulse import Pulse, Pulses, Round, clock
from .records import Held, Seen
from .rounds import ASKED, LOCKED, Look, Others, Position, Rounds, merge
from .waits import Waits

TICK = 0.005  # seconds between two looks
SHARE = 0.02  # of the time, that looking at what waits may take; it is done less often where it takes long
REST = 0.25  # seconds between two looks at what waits, at most
GAP = 0.05  # seconds between two looks, all of which what is seen then may have waited
TASKS = 500  # of a loop, above which they are not looked at one by one: much runs together there
NAMED = 3  # tasks that stood still are named, of more they are counted
Spot = tuple[CodeType, int]  # where in a function: its code, the last instruction
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
        self._computed: dict[int, tuple[float, int]] = {}  # of each thread, when it was last looked at
        self._process = 0.0  # seconds that the process had computed then
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._pausing = self._stopped = False
        self._ident = self._tid = 0
        self._pid = os.getpid()
        self._began = clock()
        self._woke = self._began
        self._slept = self._began
        self._queued = 0.0
        self._looks = 0
        self._unplaced = 0
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
        before, self._woke = self._woke, clock()
        glances = self._glances()  # first: whatever reads a file lets the others go on
        late = self._lateness(self._woke - self._slept)
        for glance in glances:
            ran, queued = self._computed_since(glance.pulse)
            locked = _kept_gil(ran, queued, late, self._woke - before)
            self._take_in(glance, before, late, locked, ran + queued)
        self._settle_rounds()
        for pulse in self._pulses.living:
            if not any(glance.pulse is pulse for glance in glances):
                self._computed_since(pulse)
        if self._woke >= self._due and late < TICK:
            self._look_at_waits()
        self._tell()

    def _lateness(self, since: float) -> float:
        """Return by how much a sleep took too long although there was a processor: somebody kept the GIL.

        What the look before took is none of it: each file that it read let others have the GIL, and had to ask again.
        """
        late = since - TICK
        if late < TICK / 5:
            return 0.0
        seconds = used(self._tid)
        queued, self._queued = self._queued, seconds[1] if seconds is not None else self._queued
        return max(0.0, late - (self._queued - queued))

    def _computed_since(self, pulse: Pulse) -> tuple[float, float]:
        """Return for how long a loop's thread has run since the last look, and queued for a processor."""
        ran, queued, _ = used(pulse.tid) or (busy(pulse.tid, pulse.ident), 0.0, 0)
        before, pulse.computed = pulse.computed, (ran, queued)
        return ran - before[0], queued - before[1]

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

    def _glances(self) -> list[_Glance]:
        """Read the stacks of loops that are in a round."""
        found: list[_Glance] = []
        for pulse in self._pulses.living:
            began = self._in_round_since(pulse)
            if began is None or self._woke - began < TICK / 2:
                continue
            number = pulse.number
            spots, step = _spots(sys._current_frames().get(pulse.ident))
            for _ in range(TRIES):
                if step is not None or pulse.beats:
                    break
                spots, step = _spots(sys._current_frames().get(pulse.ident))
            if spots and (pulse.beats or (pulse.left == began and pulse.in_round)):
                found.append(_glance(pulse, number, began, spots, step))
        return found

    def _take_in(self, glance: _Glance, before: float, late: float, locked: bool, computed: float) -> None:
        pulse, rounds = glance.pulse, self._rounds_of(glance.pulse)
        span = self._woke - max(before, glance.began)
        if glance.user is None:
            rounds.leave_out(glance.number, span)
            return
        asked, counted = late >= ASKED, not pulse.beats
        look = Look(
            glance.number,
            glance.step,
            counted,
            glance.user,
            glance.leaf,
            span,
            min(computed, span),
            locked,
            asked,
            glance.mapped,
            glance.ours,
        )
        here = rounds.look(look)
        if self._woke - glance.began >= self.threshold and here.others is None:
            here.others = _others(pulse.loop)
        self._looks += 1

    def _settle_rounds(self) -> None:
        for pulse in (*self._pulses.living, *self._pulses.ended):
            while pulse.long:
                ended = pulse.long.popleft()
                if ended.ended - ended.began >= self.threshold:
                    self._rounds_of(pulse).ended(ended)
        while self._pulses.ended:
            if (rounds := self._rounds.pop(self._pulses.ended.popleft(), None)) is not None:
                self._unplaced += rounds.unplaced

    # Waits -----------------------------------------------------------------------------------------------

    def _look_at_waits(self) -> None:
        began, before = clock(), time.thread_time()
        span = min(began - self._looked, max(GAP, 4 * self._rest))
        self._looked = began
        computed = time.process_time()
        alone = (
            computed - self._process < WAITING * span
        )  # if not, what seems to wait may wait for a thread that computes
        self._process = computed
        loops = self._pulses.of_thread()
        for pulse in loops.values():
            if alone and self._in_round_since(pulse) is None:
                self._look_at_tasks(pulse, span, began)
        frames = sys._current_frames()
        for ident in frames:
            if ident not in loops and ident != self._ident:
                self._look_at_thread(ident, frames[ident], span, began)
        del frames
        self._waits.settle()
        took = time.thread_time() - before  # by the clock, a busy machine would make looks rare
        self._rest = min(REST, max(TICK, took / SHARE))
        self._due = began + self._rest

    def _look_at_tasks(self, pulse: Pulse, span: float, now: float) -> None:
        tasks = _tasks(pulse.loop)
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
                self._waits.look(id(task), frames, _reference(awaited), span, now, True)
                self._looks += 1

    def _look_at_thread(self, ident: int, frame: FrameType, span: float, now: float) -> None:
        seconds = self._threads.used(ident)
        if seconds is None:
            return
        computed, turns = seconds[0] + seconds[1], seconds[2]
        before = self._computed.get(ident)
        self._computed[ident] = computed, turns
        if before is None or computed - before[0] > WAITING * span:
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


def _had_children() -> bool:
    """Say whether a process that this one started has ended; False where the system does not tell."""
    try:
        import resource
    except ImportError:  # no Unix
        return False
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


class _Glance(NamedTuple):
    """What the stack of a loop's thread was."""

    pulse: Pulse
    number: int
    began: float
    step: Hashable
    user: tuple[Position, ...] | None  # None where a module is being imported
    leaf: Position | None
    mapped: bool = False
    ours: bool = False


def _kept_gil(ran: float, queued: float, late: float, gap: float) -> bool:
    """Whether it was one call of a loop, whose thread ran and queued for so long since, that made a look late.

    Python code lets go of the GIL 5 ms after it was asked to, as its thread counts them; one that was put off its
    processor by other processes keeps it for as long as that takes, which is no fault of its own.
    """
    return (late - queued >= LOCKED and ran >= LOCKED) or (late >= LOCKED and ran + queued < gap / 5)


def _spots(frame: FrameType | None) -> tuple[list[Spot], Hashable]:
    """Return where a loop's thread is, outermost first, and which callback of its round that is, as asyncio counts.

    As fast as possible: if the thread goes on meanwhile, the frames would not belong together.
    """
    spots: list[Spot] = []
    step: Hashable = None
    while frame is not None and len(spots) < DEPTH:
        spots.append((frame.f_code, frame.f_lasti))
        if frame.f_code is _ROUND and step is None:
            step = frame.f_locals.get("i")
        frame = frame.f_back
    spots.reverse()
    return spots, step


def _glance(pulse: Pulse, number: int, began: float, spots: list[Spot], step: Hashable) -> _Glance:
    codes = [code for code, _ in spots]
    if step is None:  # no loop of asyncio's own
        step = _task(pulse.loop)
    if imports(codes):
        return _Glance(pulse, number, began, step, None, None)
    while len(codes) > 1 and is_collector(codes[-1]):
        codes.pop()
    user = of_user(codes)
    leaf = _position(spots[len(codes) - 1]) if user[-1] != len(codes) - 1 else None
    mapped = any(whose(code) == Whose.OURS for code in codes[: user[0]])
    ours = any(whose(code) == Whose.OURS for code in codes[user[-1] + 1 :])
    return _Glance(pulse, number, began, step, tuple(_position(spots[i]) for i in user), leaf, mapped, ours)


def _position(spot: Spot) -> Position:
    code, lasti = spot
    return code, lasti, line_of(code, lasti)


def _task(loop: asyncio.AbstractEventLoop) -> Hashable:
    try:
        return id(asyncio.current_task(loop))
    except RuntimeError:
        return None


def _tasks(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks(loop)
    except RuntimeError:  # they came and went faster than they could be listed
        return set()


def _others(loop: asyncio.AbstractEventLoop) -> Others:
    """Say which tasks stand still while one holds the loop."""
    try:
        current = asyncio.current_task(loop)
    except RuntimeError:
        current = None
    tasks = [task for task in _tasks(loop) if task is not current and not task.done()]
    names: list[tuple[str, int]] = []
    for task in tasks[:50]:
        frames = chain(task.get_coro())
        user = [frame for frame in frames if whose(frame.f_code) == Whose.USER]
        if user and (name := (name_of(user[-1].f_code), user[-1].f_lineno or 0)) not in names:
            names.append(name)
    return Others(len(tasks), names[:NAMED])


def _reference(awaited: Any) -> Any:
    """Return what compares equal as long as it is about the same object, and does not keep it."""
    try:
        return weakref.ref(awaited)
    except TypeError:
        return None


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

_ROUND = asyncio.base_events.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]
