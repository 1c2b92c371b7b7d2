"""Thread lanes: daemon threads of the run's own that serve one shared queue.

The bridge to the loop is a slab: threads append to `results` and ring once (`_ringing`); the loop clears the bell
first, then takes everything, so thousands of results cost one wake-up (measured: 0.8 µs an input where a wake-up
each costs 9). Why not asyncio's executor: its `min(32, cpus + 4)` threads are shared with everyone, and Ctrl-C
waits for them (cpython#111358).

Who may do what: a thread decides alone that its call has ended, under its lane's `guard`; the loop decides alone,
under the same guard, that a call is given up. Whichever comes first holds, so no input has two outcomes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from ..core.colour import name_of, place_of
from ..core.outcome import Record
from ..errors import TooManyAbandoned
from .port import Port

EXIT_WAIT = 0.5  # seconds that a closing run waits for idle threads to be gone; they need microseconds


class _Lane:
    __slots__ = ("awaiting", "call", "gate", "guard", "retired", "timed_out")

    def __init__(self) -> None:
        self.call: tuple[tuple[int, Any], float] | None = None  # ((index, input), started)
        self.retired = False
        self.timed_out: Exception | None = None
        self.awaiting: concurrent.futures.Future[Any] | None = None  # the awaitable that a call returned
        self.guard = threading.Lock()
        self.gate = threading.Lock()  # an idle thread waits here
        self.gate.acquire()


class ThreadLanes:
    """Lanes for a blocking function, or one whose colour shows only when it is called; see `Lanes`."""

    def __init__(self, port: Port, fn: Callable[[Any], Any], concurrency: int, timeout: float | None) -> None:
        self._port = port
        self._fn = fn
        self._concurrency = concurrency
        self._timeout = timeout
        self._results: deque[Record] = deque()
        self._ringing = False
        self._lanes: set[_Lane] = set()
        self._parked: deque[_Lane] = deque()
        self._given_up: set[_Lane] = set()
        self._closing = False
        self._all_gone = asyncio.Event()
        self._spawn_gate = threading.Lock()
        self._spawn_gate.acquire()
        self._spawner: threading.Thread | None = None

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        return len(self._given_up)

    @property
    def idle(self) -> bool:
        """Whether a thread stands ready, or could be started."""
        return bool(self._parked) or len(self._lanes) < self._concurrency

    def wake(self) -> None:
        """Wake one idle thread, or have one started; safe from any thread."""
        try:
            self._parked.pop().gate.release()
        except IndexError:
            if len(self._lanes) < self._concurrency:
                self._ask_spawner()

    def sweep(self, now: float) -> float:
        """Give up the calls that are past their timeout."""
        assert self._timeout is not None
        earliest = inf
        for lane in tuple(self._lanes):
            call = lane.call
            if call is None:
                continue
            if now - call[1] >= self._timeout:
                message = f"{name_of(self._fn)}() took longer than its timeout of {self._timeout:g} s"
                self._give_up(lane, call, TimeoutError(message))
            else:
                earliest = min(earliest, call[1] + self._timeout)
        if self.abandoned > self._concurrency:
            self._port.give_up(self._too_many())
        return earliest

    def expire(self, error: Exception) -> None:
        """Give up every call in flight; each becomes an outcome with `error`."""
        for lane in tuple(self._lanes):
            if (call := lane.call) is not None:
                self._give_up(lane, call, error)

    def drop(self, after: int) -> None:
        """Give up every call in flight behind `after`; none of them becomes an outcome."""
        for lane in tuple(self._lanes):
            call = lane.call
            if call is not None and call[0][0] > after and self._retire(lane, call):
                self._port.dropped(1)

    def left_behind(self) -> tuple[str, ...]:
        """Say how many calls still run although they were given up."""
        if not self._given_up:
            return ()
        where = place_of(self._fn)
        return (f"{len(self._given_up)} x {name_of(self._fn)}()" + (f" ({where})" if where else ""),)

    async def close(self) -> None:
        """Give up what runs, send idle threads home, and wait until those are gone."""
        self._closing = True
        for lane in tuple(self._lanes):
            if (call := lane.call) is not None:
                self._retire(lane, call)
        while self._parked:
            self.wake()
        self._release(self._spawn_gate)
        if self._lanes or self._spawner is not None:
            try:
                await asyncio.wait_for(self._all_gone.wait(), EXIT_WAIT)
            except TimeoutError:
                pass  # a thread is between two steps on a starved machine; it ends by itself

    # -- on the loop ------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        self._ringing = False  # first: what is appended from here on rings again
        results, emit = self._results, self._port.emit
        for _ in range(len(results)):
            emit(results.popleft())
        self._port.refill()

    def _give_up(self, lane: _Lane, call: tuple[tuple[int, Any], float], error: Exception) -> None:
        if lane.awaiting is not None:  # the call has returned; what it returned can be cancelled
            lane.timed_out = error
            lane.awaiting.cancel()
        elif self._retire(lane, call):
            (index, item), started = call
            self._port.emit((index, item, None, error, started, self._port.clock() - started, 1))
            if self._port.queue:
                self.wake()

    def _retire(self, lane: _Lane, call: tuple[tuple[int, Any], float]) -> bool:
        """Leave a call behind; False if it has ended by itself meanwhile."""
        with lane.guard:
            if lane.call is not call or lane.retired:
                return False
            lane.retired = True
        self._given_up.add(lane)
        self._lanes.discard(lane)
        if lane.awaiting is not None:
            lane.awaiting.cancel()
        return True

    def _too_many(self) -> TooManyAbandoned:
        return TooManyAbandoned(
            f"{self.abandoned} calls of {name_of(self._fn)}() outlived their timeout of {self._timeout:g} s and still "
            f"run, more than the {self._concurrency} this run may have at once\n"
            f"  a blocking call cannot be stopped from outside ({place_of(self._fn) or 'no source'})\n"
            "  try: a timeout inside the function (requests.get(url, timeout=5)), or a longer timeout= here"
        )

    # -- on the lane's own thread -----------------------------------------------------------------------------

    def _serve(self, lane: _Lane) -> None:
        port, results, queue = self._port, self._results, self._port.queue
        take, clock, copy = queue.popleft, port.clock, port.context.copy
        woken = True
        try:
            while not self._closing:
                try:
                    given = take()
                except IndexError:
                    self._park(lane)
                    woken = True
                    continue
                if woken:
                    woken = False
                    if queue:
                        self.wake()
                started = clock()
                lane.call = (given, started)
                value, error = copy().run(self._call, lane, given[1])
                took = clock() - started
                with lane.guard:
                    lane.call = None
                    if lane.retired:
                        return
                results.append((given[0], given[1], value, error, started, took, 1))
                del given, value, error  # an idle lane must not keep a result alive
                if not self._ringing:
                    self._ringing = True
                    self._tell_loop(self._drain)
        finally:
            self._left(lane)

    def _call(self, lane: _Lane, item: Any) -> tuple[Any, BaseException | None]:
        try:
            value: Any = self._fn(item)
            if hasattr(type(value), "__await__"):  # pyright: ignore[reportUnknownArgumentType]
                value = self._on_loop(lane, value)
            return value, None
        except (StopIteration, asyncio.CancelledError) as caught:  # both would mean something else further up
            error = RuntimeError(f"{name_of(self._fn)}() raised {type(caught).__name__} of its own accord")
            error.__cause__ = caught
            return None, error
        except concurrent.futures.CancelledError as caught:
            return None, lane.timed_out or caught
        except BaseException as caught:  # all of them: what is not an Exception is for the consumer to raise
            trace = caught.__traceback__
            return None, caught.with_traceback(trace.tb_next if trace is not None else None)

    def _on_loop(self, lane: _Lane, awaitable: Awaitable[Any]) -> Any:
        """Await on the loop what the call returned; the thread waits, so that the concurrency holds."""

        async def finish() -> Any:
            return await awaitable

        lane.awaiting = asyncio.run_coroutine_threadsafe(finish(), self._port.loop)
        try:
            return lane.awaiting.result()
        finally:
            lane.awaiting = None

    def _park(self, lane: _Lane) -> None:
        self._parked.append(lane)
        if self._port.queue or self._closing:  # somebody may have looked for idle threads just before
            try:
                self._parked.remove(lane)
                return
            except ValueError:
                pass  # being woken already: the gate opens
        lane.gate.acquire()

    def _left(self, lane: _Lane) -> None:
        self._lanes.discard(lane)
        self._given_up.discard(lane)
        self._tell_gone()

    # -- on the spawner's thread: Thread.start() waits for the thread, 0.1 ms idle and 2 ms with 200 busy ------

    def _ask_spawner(self) -> None:
        if self._closing:
            return
        if self._spawner is None:
            self._spawner = threading.Thread(target=self._spawn, name="whilst-spawner", daemon=True)
            self._spawner.start()
        self._release(self._spawn_gate)

    def _spawn(self) -> None:
        number = 0
        while not self._closing:
            self._spawn_gate.acquire()
            while self._port.queue and not self._parked and len(self._lanes) < self._concurrency:
                if self._closing:
                    break
                lane = _Lane()
                self._lanes.add(lane)
                number += 1
                threading.Thread(target=self._serve, args=(lane,), name=f"whilst-{number}", daemon=True).start()
        self._spawner = None
        self._tell_gone()

    def _tell_gone(self) -> None:
        if self._closing and not self._lanes and self._spawner is None:
            self._tell_loop(self._all_gone.set)

    def _tell_loop(self, callback: Callable[..., object], *args: Any) -> None:
        try:
            self._port.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            pass  # the loop is closed: the run ended before this call did

    @staticmethod
    def _release(gate: threading.Lock) -> None:
        try:
            gate.release()
        except RuntimeError:
            pass  # open already
