"""One call of a step: as its gate knows it, as who asks inside it knows it, and the attempts that it is one of.

With `hedge=True` a late call has a second one beside it: the first success wins, the other is cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Token
from types import CodeType, FrameType
from typing import Any, Protocol

from ..core.call import Call
from ..core.headers import Left
from ..core.hedge import Hedge
from ..core.pushback import Pushback
from ..lanes.awaiting import CLEAN_UP, GRACE, ended
from ..lanes.calling import Listener, Seat, seat
from ..lanes.calls import after_of
from ..lanes.worker import current_worker
from ..limit.acquirer import LimitSet
from ..limit.holders import Holder, Link
from ..limit.queue import WaitQueue
from ..limit.state import LimitState
from .slots import Slots
from .source import Pair

STEP = "whilst: step "  # with which notes begin that name one


class Gate(Protocol):
    """The gate of a step, as far as its calls need it."""

    def leave(self, call: Any) -> None:
        """Keep the permit of a call that is given up and goes on."""

    def returned_late(self, index: Any) -> None:
        """Give it back."""


class Leaf(Protocol):
    """A step, as far as its calls need it."""

    limits: tuple[LimitState, ...]
    name: str

    @property
    def gate(self) -> Gate | None:
        """What lets its calls begin, if anything need."""
        ...

    def allow(self, call: LeafCall, left: Left) -> None:
        """Slow down as an answer to a call says."""

    def told_of(self, attempt: int, started: float, at: Seat | None, call: LeafCall | None = None) -> Call:
        """Return what `current_call` says of a call."""
        ...


class Scope(Protocol):
    """What the run of a flow owns, as far as it tells of its calls."""

    run: Any


class Tries:
    """The attempts of one input."""

    number: int = 0
    first: float | None = None  # when the first call began
    last: tuple[float, float] | None = None  # when the last call began that failed, and how long it took
    failure: Exception | None = None  # the last one, while another attempt is waited for
    pushback: Pushback | None = None  # what the last failure said of the pace
    begun: asyncio.Future[None] | None = None  # set when the call has its permits, for who waits for that
    final: bool = False  # whether no other attempt may follow
    _counted: int = 1

    def began_again(self) -> int:
        """Return 1 for the first call of an attempt, which may have a second one beside it."""
        counted, self._counted = self._counted, self.number
        return int(counted != self.number)


class LeafCall(Holder):
    """One call of a step, as gate and limits know it."""

    # what most calls never have, or have as it is here; to set it in each would cost a third of a microsecond
    told: Token[Call | None] | None = None
    holding_now: bool = False
    permits: LimitSet | None = None  # where they are counted
    waiter: asyncio.Future[bool] | None = None
    started: float = 0.0
    unfit: Exception | None = None  # what a limit's `weight` raised for it
    heard: Token[Listener | None] | None = None
    left: bool = False  # behind on its thread
    over: bool = False  # back from there
    guard: threading.Lock | None = None

    def __init__(self, leaf: Leaf, tries: Tries | None = None) -> None:
        self.leaf: Leaf = leaf
        self.tries: Tries | None = tries
        self.outer: Holder | None = None
        self.token: Token[Link | None] | None = None

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """The limits of the step."""
        return self.leaf.limits

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """The queues from which its permits are."""
        return self.permits.queues if self.permits is not None else ()

    @property
    def holding(self) -> bool:
        """Whether it holds its permits now."""
        return self.holding_now

    def is_mine(self) -> bool:
        """Whether the code that runs now is the task of the call, or the thread that makes it."""
        worker = current_worker()
        return (worker is not None and after_of(worker) == self.returned) or super().is_mine()

    def forked(self) -> None:
        """Hold nothing."""
        self.holding_now = False

    def allow(self, left: Left) -> None:
        """Slow down as an answer says."""
        self.leaf.allow(self, left)

    def returned(self) -> None:
        """Take note, on whatever thread, that the function has returned, after its await was cancelled or before."""
        assert self.guard is not None
        with self.guard:
            self.over = True
            left = self.left
        if left:
            self.holding_now = False
        if left and self.leaf.gate is not None:
            self.leaf.gate.returned_late(self)


class GivenUp(asyncio.CancelledError):
    """Ends a task whose input was settled while one of its calls ignored that it was cancelled."""


Held = tuple[Slots, "Leaf | None", LeafCall | None]
"""What a coroutine holds: a place, for a call of a step if it is one's, with permits if the step has limits."""

HOLDS: dict[CodeType, Callable[[Mapping[str, Any]], Held | None]] = {}
"""By the code of a coroutine that holds a place while it awaits what is the user's: how its local names tell."""


AWAITS: dict[CodeType, str] = {}
"""By the code of a coroutine that awaits tasks of its own: how it calls them."""


SETTLES: dict[CodeType, Callable[[Mapping[str, Any]], Callable[[Exception], None]]] = {}
"""By the code of what a task runs that can be taken as failed while it goes on: how its local names tell what to do."""


def settled_by(task: asyncio.Task[Any]) -> Callable[[Exception], None] | None:
    """Return what takes a suspended task as failed although it goes on; None: that is for its input to decide."""
    frame: FrameType | None = getattr(task.get_coro(), "cr_frame", None)
    read = SETTLES.get(frame.f_code) if frame is not None else None
    return read(frame.f_locals) if frame is not None and read is not None else None


def held_by(task: asyncio.Task[Any]) -> tuple[list[Held], list[asyncio.Task[Any]]]:
    """Return what a task holds that is suspended, and the tasks that it awaits; for nothing where nobody asks."""
    found: list[Held] = []
    one: Any = task.get_coro()
    while one is not None:
        frame: FrameType | None = getattr(one, "cr_frame", None)
        if frame is not None and (read := HOLDS.get(frame.f_code)) is not None:
            holds = read(frame.f_locals)
            if holds is not None:
                found.append(holds)
        elif frame is not None and (name := AWAITS.get(frame.f_code)) is not None:
            return found, [each for each in frame.f_locals[name] if not each.done()]
        one = getattr(one, "cr_await", None)
    return found, []


class LetThrough(deque[Pair]):
    """Calls that may start: each is woken, and takes itself out, unless it has been called back before."""

    def append(self, pair: Pair) -> None:
        """Let one start."""
        super().append(pair)
        wake(pair)

    def extend(self, pairs: Any) -> None:
        """Let several start."""
        pairs = list(pairs)
        super().extend(pairs)
        for pair in pairs:
            wake(pair)


def wake(pair: Pair) -> None:
    """Have a call look again whether it may start."""
    waiter = pair[0].waiter
    if waiter is not None and not waiter.done():
        waiter.set_result(True)


def place_and_identity(scope: Scope, place: Seat | None) -> tuple[int, tuple[Any, ...] | None, int]:
    """Return the index of the input, or of the item inside a stage; what it is known by; and the input's own index."""
    run = scope.run
    if place is None or run is None:
        return 0, None, 0
    index = place.index
    if place.port is run:
        return index, run.told_apart(index)[1] if run.is_told_apart else None, index
    places = [index]
    while place.port is not run and place.outer is not None:
        place = place.outer
        places.append(place.index)
    root = places.pop()
    return index, (*run.told_apart(root)[1], *reversed(places)), root


class Hedging:
    """One step whose late calls get a second one, over a whole run; a call is late from when it has its permits."""

    def __init__(
        self,
        hedge: Hedge,
        call: Callable[[Any, Tries], Coroutine[Any, Any, Any]],
        *,
        clock: Callable[[], float],
        leave: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._hedge = hedge
        self._call = call
        self._clock = clock
        self._leave = leave

    async def __call__(self, value: Any, tries: Tries) -> Any:
        """Return the first success; if all fail, raise what the first call raised."""
        delay = self._hedge.delay()
        if delay is None:
            return await self._call(value, tries)
        place = seat.get()
        begun = tries.begun = asyncio.get_running_loop().create_future()
        calls: list[asyncio.Task[Any]] = [asyncio.create_task(self._call(value, tries))]
        patience = CLEAN_UP
        try:
            await asyncio.wait([begun, *calls], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(calls, timeout=delay)
            if not calls[0].done():
                await asyncio.sleep(0)  # its answer may have come in the same moment
            if not calls[0].done() and self._hedge.take(self._clock()):
                calls.append(asyncio.create_task(self._call(value, tries)))
                if place is not None:
                    place.fork(1)
            result = await self._first_success(calls)
            patience = GRACE
            return result
        finally:
            late = [call for call in calls if not call.done()]
            for call in late:
                call.cancel()
            await ended(late, patience, self._leave)
            if place is not None and len(calls) > 1:
                place.ends()
            call = calls[0]
            for call in calls:
                if call.done() and not call.cancelled():
                    call.exception()  # looked at, so that asyncio does not complain
            calls.clear()  # the frames of a failure keep this one
            late.clear()
            del call

    async def _first_success(self, calls: list[asyncio.Task[Any]]) -> Any:
        call, done, pending = calls[0], set(calls), set(calls)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                if not call.cancelled() and call.exception() is None:
                    return call.result()
        try:
            return calls[0].result()
        finally:
            del calls, done, call


AWAITS[Hedging.__call__.__code__] = "calls"


def note(error: Exception, where: str) -> None:
    """Name the step, unless the exception carries such a note already; best effort."""
    try:
        if where and not any(note.startswith(STEP) for note in getattr(error, "__notes__", ())):
            error.add_note(where)
    except Exception:  # an exception class may forbid attributes; a missing note must not hide the error
        pass
