"""Single calls that are made elsewhere, awaited one by one from a loop: those of a flow's steps.

To the lanes they are a run whose inputs are calls. What is cancelled before it has begun never begins; what has begun
is ended with its worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from math import inf
from typing import TYPE_CHECKING, Any, Final

from ..core.attempt import Patience
from ..core.call import Call
from ..core.outcome import Record
from ..core.timings import Timings
from ..lanes.calling import Listener, current, listener_now
from ..lanes.port import Port, nothing
from .codec import Dump, Encoded, Target, dumps, encoded_target
from .lanes import RemoteLanes
from .transport import Transport

if TYPE_CHECKING:
    from ..core.headers import Left

Pair = tuple[int, Any]
SOON: Final = 0.001  # seconds: no look sooner than that
MOST_TARGETS: Final = 1 << 16  # a number of one has two bytes


class _Job:
    __slots__ = ("begun", "call", "future", "listener", "patience", "target", "value")

    def __init__(
        self,
        target: int,
        value: Any,
        patience: Patience,
        future: asyncio.Future[Any],
        call: Call | None,
        begun: Callable[[], object],
    ) -> None:
        self.begun: Callable[[], object] | None = begun
        self.call = call
        self.target = target
        self.patience = patience
        self.value = value
        self.future = future
        self.listener: Listener | None = listener_now()


class RemoteCalls:
    """Calls of functions elsewhere, on at most `most` workers; every method is for the loop.

    Args:
        loop, clock: where they are awaited.
        transport: where workers come from.
        most: how many workers there may be.
        name: for messages.
        recycle: see `RemoteLanes`.
        patience: seconds that idle workers stay; None: until `close`.
        sent_with: returns what goes along with a value, and may be made into variables there.
        dump: encodes the functions.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        transport: Transport,
        most: int,
        *,
        name: str,
        recycle: int | None = None,
        patience: float | None = None,
        sent_with: Callable[[Context], Any],
        dump: Dump = dumps,
    ) -> None:
        self._loop = loop
        self._made = 0
        self._encoded: list[Encoded] = []
        self._numbers: dict[Target, int] = {}
        self._sent_with = sent_with
        self._dump = dump
        self._patience = patience
        self._in_flight = 0
        self._least = inf  # seconds that any call in flight may take
        self._sweeping: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._port = _Futures(loop, clock)
        self.lanes: RemoteLanes = RemoteLanes(
            self._port, transport, most, name=name, targets=self._encoded, portion=_portion, recycle=recycle
        )

    async def call(
        self, target: Target, value: Any, *, patience: Patience, begun: Callable[[], object] = nothing
    ) -> Any:
        """Call a function in a copy of the caller's context, as far as that travels; it has its time once it begins.

        `begun` is called when it is sent to a worker, which may have to be started first.

        Cancelled while it waits, it never starts; cancelled while it runs, its worker is killed.
        """
        self._made += 1
        of = current.get()
        sent = (self._sent_with(copy_context()), None if of is None else of._told(), value)
        job = _Job(self._number(target), sent, patience, self._loop.create_future(), of, begun)
        pair = (self._made, job)
        self._begins(patience.least)
        try:
            self._port.calls[pair[0]] = job
            self._port.queue.append(pair)
            self.lanes.wake()
            return await job.future
        except asyncio.CancelledError:
            self._cancel(pair)
            raise
        finally:
            del self._port.calls[pair[0]]
            self._ends()
            del pair, job  # a failure's traceback leads to this frame, and the future to the failure

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        return self.lanes.abandoned

    def left_behind(self) -> tuple[str, ...]:
        """Say which."""
        return self.lanes.left_behind()

    async def close(self) -> None:
        """End the workers, each of which closes what it opened."""
        if self._idle is not None:
            self._idle.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self.lanes.close()
        await self.lanes.gone()

    # -- private, in order of use ---------------------------------------------------------------------------------

    def _number(self, target: Target) -> int:
        try:
            found = self._numbers.get(target)
        except TypeError:  # what cannot be hashed: an object with __call__ may be such
            found, numbered = None, False
        else:
            numbered = True
        if found is None:
            if len(self._encoded) >= MOST_TARGETS:
                raise RuntimeError(f"more than {MOST_TARGETS} functions were sent to the same workers")
            found = len(self._encoded)
            self._encoded.append(encoded_target(target, self._dump))
            if numbered:
                self._numbers[target] = found
        return found

    def _cancel(self, pair: Pair) -> None:
        try:
            self._port.queue.remove(pair)
        except ValueError:
            self.lanes.cancel(pair[0])

    def _begins(self, least: float) -> None:
        self._in_flight += 1
        if least < self._least:
            self._least = least
            self._sweep()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _ends(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping, self._least = None, inf
        if not self._in_flight and self._patience is not None and not self._loop.is_closed():
            self._idle = self._loop.call_later(self._patience, self.lanes.rest)

    def _sweep(self) -> None:
        """End the calls that are past their time, and look again when the next one may be."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        now = self._port.clock()
        earliest = self.lanes.sweep(now)
        if self._in_flight:
            wait = max(SOON, min(earliest - now, self._least))
            self._sweeping = self._loop.call_later(wait, self._sweep)


def _portion(job: _Job) -> tuple[int, Any]:
    """Return what is sent of a call, which begins when somebody asks that for the first time."""
    begun, job.begun = job.begun, None
    if begun is not None:
        begun()
    return job.target, job.value


class _Futures(Port):
    """Who waits for the calls, as the lanes see it; see `Port`."""

    names_calls: bool = False
    is_told_apart: bool = False
    ends_at: float = inf

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock
        self.context: Context = Context()
        self.queue: deque[Pair] = deque()
        self.timings: Timings = Timings()  # of which nobody asks: a step has its own
        self.calls: dict[int, _Job] = {}
        """The calls that are awaited."""

    def emit(self, record: Record) -> None:
        """Let who waits for a call go on."""
        future: asyncio.Future[Any] = record[1].future
        if not future.done():
            if record[3] is None:
                future.set_result(record[2])
            else:
                future.set_exception(record[3])

    def allow(self, item: Any, left: Left) -> None:
        """Tell the step that made the call."""
        if item.listener is not None:
            item.listener.allow(left)

    def unmade(self, pairs: Sequence[Pair]) -> None:
        """Have calls made before the others that were not begun."""
        self.queue.extendleft(pair for pair in reversed(pairs) if not pair[1].future.done())

    def fatal(self, error: BaseException) -> None:
        """Fail what waits: no worker can be had."""
        while self.queue:
            self.emit((0, self.queue.popleft()[1], None, error, 0.0, 0.0, 0))

    def due(self, index: int, started: float) -> float:
        """Return when a call is past its time."""
        return self.calls[index].patience.due(started, started)

    def overdue(self, index: int, started: float) -> TimeoutError:
        """Say that it is."""
        return self.calls[index].patience.error(started, self.clock())

    started: float = 0.0

    def run_id(self) -> bytes:
        """Nobody asks: a call of a step tells of its run."""
        return b""

    def call_of(self, index: int) -> Call | None:
        """Return the call of a step."""
        return self.calls[index].call

    def told_apart(self, index: int) -> tuple[int, Any]:
        """Return which attempt a call is, and of what."""
        return 1, None
