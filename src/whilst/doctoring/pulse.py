"""The heartbeat of event loops: when does a round begin and end, and how long did it take?

Two times are noted around each `select`; both are written by the loop's own thread and read by the one that looks.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from inspect import CO_COROUTINE
from types import CodeType, FrameType
from typing import Any, NamedTuple

from ..lanes.clock import busy, used

BEAT = 0.005  # seconds between two beats of a loop without a selector
KEPT = 1000  # long rounds that wait to be looked at

clock: Callable[[], float] = time.monotonic  # what asyncio's and uvloop's own clocks count too


class Round(NamedTuple):
    """A round that was longer than the threshold."""

    number: int
    began: float
    ended: float


class Pulse:
    """One loop that runs, on one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threshold: float) -> None:
        self.loop = loop
        self.ident: int = threading.get_ident()
        self.tid: int = threading.get_native_id()
        self.threshold = threshold
        self.number: int = 0  # of the round
        self.longest: float = 0.0
        self.long: deque[Round] = deque(maxlen=KEPT)
        self.left: float = clock()  # the last return from `select`
        self.entered: float = self.left  # the last call of it
        self.computed: tuple[float, float, int] = used(self.tid) or (busy(self.tid, self.ident), 0.0, 0)
        """Seconds that its thread had run, and queued, at the last look; and how often it was put on a processor."""
        self.beats: bool = False
        """Whether a timer is the heartbeat, as there is no selector to be had."""
        self.base: CodeType | None = None  # where the thread is while such a loop does nothing
        self._selector: Any = getattr(loop, "_selector", None)
        self._idle = self._busy = self.left  # when it was last seen idle; when it was first seen busy after a beat
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def in_round(self) -> bool:
        """Whether it was doing something when it was last heard of."""
        return self.left >= self.entered

    def start(self) -> None:
        """Listen; on the loop's own thread."""
        try:
            own: dict[str, Any] = self._selector.__dict__
            self._before = own.get("select")  # another doctor's, or none: the class has one
            self._heard = self._selector.select = self._listening(self._selector.select)
        except AttributeError:
            self.beats = True
            self.base = _caller()
            self._beat()

    def stop(self) -> None:
        """Listen no more; whatever round goes on ends here."""
        if self._over:
            return
        self._over = True
        if self.in_round and not self.beats:
            self.end_round(clock())
        self.entered = clock()
        if self.beats and self._timer is not None and threading.get_ident() == self.ident:
            self._timer.cancel()
        elif not self.beats and self._selector.__dict__.get("select") is self._heard:
            del self._selector.select
            if self._before is not None:
                self._selector.select = self._before

    def end_round(self, now: float) -> None:
        """Keep a round if it was long."""
        took = now - self.left
        if took > self.longest:
            self.longest = took
        if took >= self.threshold:
            self.long.append(Round(self.number, self.left, now))

    def seen(self, now: float, *, idle: bool) -> float | None:
        """Take in whether a loop without a selector was at rest at a moment; return when its long round began.

        It did after the last beat, and before the next one was due, which did not come.
        """
        if idle:
            self._idle = now
        elif self._busy <= self.entered:
            self._busy = now
        if idle or now - self.entered < 2 * BEAT:
            return None
        earliest, latest = max(self.entered, self._idle), min(self.entered + BEAT, self._busy)
        self.left = max(earliest, (earliest + latest) / 2)
        return self.left

    def _listening(self, select: Callable[..., Any]) -> Callable[..., Any]:
        """Return `select` with the two times around it; 60,000 empty rounds took 4 % longer with it."""
        now_is, short = clock, min(self.threshold, 0.001)

        def heard(timeout: float | None = None) -> Any:
            self.entered = now = now_is()
            if now - self.left > short:
                self.end_round(now)
            events = select(timeout)
            self.number += 1
            self.left = now if timeout == 0 else now_is()  # it did not wait, and a look at the clock costs something
            return events

        return heard

    def _beat(self) -> None:
        """Note that the loop is alive; what was late is a round, which began when the loop last read its clock."""
        now = clock()
        if now - self.entered > 2 * BEAT + min(self.threshold, 0.01):  # `left` was set by who looked meanwhile
            began = self.left if self.left > self.entered else self.entered + BEAT / 2
            self.left = began
            self.end_round(now)
        self.number += 1
        self.entered = clock()
        if not self._over:
            self._timer = self.loop.call_later(BEAT, self._beat)


class Pulses:
    """The pulses of all loops, those that start later too; a context manager."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.living: tuple[Pulse, ...] = ()
        self.loops: int = 0  # all there were
        self.rounds: int = 0  # of those that have ended
        self.longest: float = 0.0
        self.ended: deque[Pulse] = deque()  # whose last rounds have not been looked at
        self._met: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._set: Callable[[Any], None] | None = None
        self._over = False

    def __enter__(self) -> Pulses:
        self._set = asyncio._set_running_loop
        # whoever runs a loop says so by this function: asyncio at every start, uvloop by what it found when it loaded
        asyncio._set_running_loop = asyncio.events._set_running_loop = self._noted
        self._over = False
        self._patch_uvloop()
        if (running := asyncio._get_running_loop()) is not None:
            self._begin(running)
        if threading.active_count() > 1:
            for loop in _running_elsewhere(running):
                loop.call_soon_threadsafe(self._begin, loop)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop = asyncio.events._set_running_loop = self._set  # type: ignore[assignment]
        self._over = True
        self._unpatch_uvloop()
        for pulse in self.living:
            self._end(pulse)

    def of_thread(self) -> dict[int, Pulse]:
        """Return the pulse of each thread that runs a loop."""
        return {pulse.ident: pulse for pulse in self.living}

    def _noted(self, loop: Any) -> None:
        assert self._set is not None
        self._set(loop)
        ident = threading.get_ident()
        for pulse in self.living:
            if pulse.ident == ident and pulse.loop is not loop:
                self._end(pulse)
        if loop is not None:
            self._begin(loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._over or any(pulse.loop is loop for pulse in self.living):
            return
        pulse = Pulse(loop, self.threshold)
        with self._guard:
            self.living = (*self.living, pulse)
            self.loops += loop not in self._met  # one loop may run several times
            self._met.add(loop)
        pulse.start()

    def _end(self, pulse: Pulse) -> None:
        pulse.stop()
        with self._guard:
            self.living = tuple(each for each in self.living if each is not pulse)
            self.rounds += pulse.number
            self.longest = max(self.longest, pulse.longest)
            self.ended.append(pulse)

    def _patch_uvloop(self) -> None:
        """Hear of the loops of a uvloop that has been loaded before: it keeps the function that it found then."""
        uvloop = sys.modules.get("uvloop")
        self._uvloop = getattr(uvloop, "Loop", None)
        if self._uvloop is None:
            return
        run_forever, noted = self._uvloop.run_forever, self

        def heard(loop: Any) -> None:
            noted._begin(loop)
            try:
                run_forever(loop)
            finally:
                for pulse in noted.living:
                    if pulse.loop is loop:
                        noted._end(pulse)

        self._run_forever = self._uvloop.__dict__.get("run_forever")
        self._uvloop.run_forever = heard

    def _unpatch_uvloop(self) -> None:
        if self._uvloop is None:
            return
        if self._run_forever is None:
            del self._uvloop.run_forever
        else:
            self._uvloop.run_forever = self._run_forever


def _caller() -> CodeType:
    """Return the function that runs the loop of this thread: it is what the thread is in while the loop waits."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code in _HERE:
        frame = frame.f_back
    runs = frame
    while frame is not None:  # called in the middle of a coroutine, it is what is below the outermost one
        if frame.f_code.co_flags & CO_COROUTINE:
            runs = frame.f_back
        frame = frame.f_back
    return (runs or sys._getframe(0)).f_code


_HERE = (Pulse.start.__code__, Pulses._begin.__code__, Pulses._noted.__code__)


def _running_elsewhere(here: asyncio.AbstractEventLoop | None) -> list[asyncio.AbstractEventLoop]:
    """Return the loops that run on other threads already; nobody has a list of them."""
    loops = [it for it in gc.get_objects() if issubclass(type(it), asyncio.AbstractEventLoop)]
    return [loop for loop in loops if loop is not here and loop.is_running()]
