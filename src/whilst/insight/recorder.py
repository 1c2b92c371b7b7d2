"""Who records a run while it goes on: an observer on its loop, and a thread of its own that packs and writes.

The loop hands over its calls, and those of each step of a flow, some thousands at a time and twice a second; then the
thread looks at the run's summary, too. What is kept of a run that never ends is bounded: `kept` says how.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from ..core.events import AttemptFailed, Event, RunEnded, RunStarted, as_json
from ..core.outcome import Record
from ..core.summary import Summary
from ..lanes.clock import monotonic
from ..lanes.interrupted import start
from .chunks import Chunk, Columns
from .kept import Calls, Kept, said_by
from .looks import Look, Permitted, look_at, permitted
from .spans import Node

EVERY: Final = 0.5  # seconds between two looks
WHOLE: Final = 2_000_000  # calls that are kept, all of them, and then again before half as many are
WHOLE_STEP: Final = 200_000  # the same of each step of a flow
STEP_ROWS: Final = 1024  # calls of a step that are handed over at a time: there may be many steps
MOST_STEPS: Final = 200  # whose calls are kept; of more only how many there were
MOST_EVENTS: Final = 20_000
CLOSE_WAIT: Final = 1.5  # seconds that a run waits at its end for the last block


class Sink(Protocol):
    """Where a recording goes; called on its thread alone."""

    def calls(self, columns: Columns, head: Chunk) -> None:
        """Take some thousands of calls: of inputs, or of the step that the head names."""

    def look(self, look: Look) -> None:
        """Take the numbers of a moment."""

    def events(self, events: Sequence[dict[str, Any]]) -> None:
        """Take what happened."""

    def nodes(self, nodes: Mapping[str, Node]) -> None:
        """Take what is known of the steps of a flow so far."""

    def end(self, said: dict[str, Any]) -> None:
        """Take the summary of a run that has ended, and close."""


class StepCall(Protocol):
    """A call of a step, as the engine tells of it."""

    @property
    def place(self) -> int:
        """The index of the input."""
        ...

    @property
    def attempt(self) -> int:
        """Which one it was."""
        ...

    @property
    def started(self) -> float:
        """When, by the run's clock."""
        ...

    @property
    def path(self) -> str:
        """Of the step."""
        ...

    @property
    def took(self) -> float:
        """Seconds."""
        ...

    @property
    def error(self) -> BaseException | None:
        """What it raised."""
        ...


class Recorder:
    """Records one run; an observer of it.

    Args:
        sinks: where the recording goes.
        loop: the one that drives the run, on whose thread `ended` and `happened` are called.
        clock: by which the run's records say when their calls started.
        summary: returns the run's counts.
        limits: what its calls hold permits of.
        concurrency: how many calls may be in flight.
        whole: how many calls are kept before sampling begins.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        summary: Callable[[], Summary],
        *,
        limits: Sequence[Any] = (),
        concurrency: int = 0,
        whole: int = WHOLE,
    ) -> None:
        self.problem: str = ""
        """Why nothing is recorded any more, if so."""
        self._sinks = [*sinks]
        self._loop = loop
        self._clock = clock
        self._began = clock()
        self._summary: Callable[[], Summary] | None = summary
        self._limits: Sequence[Any] = limits
        self._most = concurrency
        self._calls = Kept(self._give_calls, whole)
        self.ended: Callable[[Record], None] = self._calls.ended
        """Keeps what became of a call."""
        self._steps: dict[str, tuple[Node, Kept | None]] = {}
        self._events: list[dict[str, Any]] = []
        self._noted = 0
        self._missed = 0  # events that were not kept
        self._ended = False
        self._is_written = False
        self._waiter: asyncio.Future[None] | None = None
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="whilst-trace", daemon=True)
        start(self._thread)
        _open.add(self)

    # -- on the loop ------------------------------------------------------------------------------------------

    def wrap(self, fn: Callable[..., Any], path: str, *, is_async: bool) -> Callable[..., Any]:
        """Leave the function as it is."""
        return fn

    def step_ended(self, call: StepCall) -> None:
        """Keep a call of a step, and add it to what is known of that."""
        known = self._steps.get(call.path)
        if known is None:
            kept = len(self._steps) < MOST_STEPS and not self._ended
            known = Node(), Kept(self._give_calls, WHOLE_STEP, call.path, STEP_ROWS) if kept else None
            self._steps[call.path] = known
        node, calls = known
        node.calls += 1
        node.seconds += call.took
        node.failed += call.error is not None
        if call.took > node.slowest:
            node.slowest = call.took
        if calls is not None:
            calls.ended((call.place, None, None, call.error, call.started, call.took, call.attempt))

    def happened(self, event: Event, now: float) -> None:
        """Keep what happened; with its start the clock of the recording starts, its end ends the recording."""
        if isinstance(event, RunStarted):
            self._began = now
        if self._noted < MOST_EVENTS:
            self._noted += 1
            self._events.append({"t": round(now - self._began, 4), **_as_said(event)})
        else:
            self._missed += 1
        if isinstance(event, RunEnded):
            self.close()

    def close(self) -> None:
        """Hand over what there is, and end; on the loop's thread."""
        if not self._ended:
            self._hand_over()
            self._ended = True
            for kept in self._all_kept():
                kept.close()
            self._queue.put(None)

    # -- from any thread --------------------------------------------------------------------------------------

    def join(self, within: float = CLOSE_WAIT) -> None:
        """Wait until the last block of a run that has ended is written."""
        if self._thread is not threading.current_thread():
            self._thread.join(within)

    async def written(self, within: float = CLOSE_WAIT) -> None:
        """Do as `join` on the loop, which goes on meanwhile."""
        if self._waiter is None:
            self._waiter = self._loop.create_future()
        if not self._is_written:  # asked once its thread can see who waits
            await asyncio.wait([self._waiter], timeout=within)

    # -- private, on the loop ---------------------------------------------------------------------------------

    def _all_kept(self) -> list[Kept]:
        return [self._calls, *(kept for _, kept in self._steps.values() if kept is not None)]

    def _hand_over(self) -> None:
        """Give what there is to the thread, and begin anew."""
        if self._ended:
            return
        for kept in self._all_kept():
            kept.hand_over()
        if self._events:
            self._queue.put(self._events)
            self._events = []

    def _give_calls(self, calls: Calls, head: Chunk) -> None:
        self._queue.put((calls, head))

    # -- private, on its own thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        due = monotonic() + EVERY
        while True:
            try:
                given = self._queue.get(timeout=max(0.0, due - monotonic()))
            except queue.Empty:
                due = monotonic() + EVERY
                self._ask()
                continue
            if given is None:
                break
            self._give(given)
        self._end()
        self._is_written = True
        if self._waiter is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                self._loop.call_soon_threadsafe(_wake, self._waiter)

    def _ask(self) -> None:
        """Take a look, and have the loop hand over what it has."""
        try:
            self._loop.call_soon_threadsafe(self._hand_over)
        except RuntimeError:  # the loop was closed under the run
            self._queue.put(None)
        now = self._look()
        if now is not None:
            self._each(lambda sink: sink.look(now))
        self._tell_of_nodes()

    def _tell_of_nodes(self) -> None:
        if self._steps:
            nodes = {path: replace(node) for path, (node, _) in [*self._steps.items()]}
            self._each(lambda sink: sink.nodes(nodes))

    def _look(self) -> Look | None:
        summary = self._summary
        if summary is None:
            return None
        try:
            return look_at(summary(), self._permitted())
        except Exception:  # a limit or a run that is just ending: the next look will do
            return None

    def _permitted(self) -> Permitted:
        return permitted(self._most, self._limits)

    def _give(self, given: tuple[Calls, Chunk] | list[dict[str, Any]]) -> None:
        if isinstance(given, list):
            self._each(lambda sink: sink.events(given))
        else:
            columns, head = Columns.packed(*given[0], self._began), given[1]
            self._each(lambda sink: sink.calls(columns, head))

    def _end(self) -> None:
        summary, self._summary = self._summary, None
        if summary is not None:
            last = summary()
            said = ending_of(last, self._missed)
            self._summary = lambda: last
            now = self._look()
            self._summary = None
            if now is not None:
                self._each(lambda sink: sink.look(now))
            self._tell_of_nodes()
            self._each(lambda sink: sink.end(said))
        self._limits = ()
        self._sinks = []
        _open.discard(self)

    def _each(self, give: Callable[[Sink], None]) -> None:
        """Give to each sink; one that breaks (a full disk) is left out from then on, and the run goes on."""
        for sink in [*self._sinks]:
            try:
                give(sink)
            except Exception as error:
                self._sinks.remove(sink)
                self._fail(said_by(error))

    def _fail(self, why: str) -> None:
        self.problem = f"the recording ended early, and the run goes on: {why}"
        try:
            warnings.warn(self.problem, RuntimeWarning, stacklevel=2)
        except RuntimeWarning:  # where warnings are errors this is no place for one
            pass


def _as_said(event: Event) -> dict[str, Any]:
    """Return an event as it is written: without the input, as nothing here keeps one."""
    if isinstance(event, AttemptFailed):  # there may be many
        wait, took = round(event.wait, 4), round(event.took, 6)
        found = {"index": event.index, "path": event.path, "attempt": event.attempt, "kind": event.kind}
        return {"event": "attempt_failed", **found, "wait": wait, "started": round(event.started, 6), "took": took}
    return as_json(event)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def ending_of(summary: Summary, missed: int = 0) -> dict[str, Any]:
    """Return what is written of a run that has ended."""
    from .told import told

    return {**told(summary), **({"events_missed": missed} if missed else {})}


_open: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _leave() -> None:
    """Write the rest when the program ends with runs that nobody finished."""
    for recorder in [*_open]:
        recorder._queue.put(None)
    for recorder in [*_open]:
        recorder.join()


atexit.register(_leave)
