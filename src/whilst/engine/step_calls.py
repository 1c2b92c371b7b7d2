"""A step in one run, and one call of it: as its gate, its limits and who asks inside it know it, with its attempts."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Token
from typing import Any

from ..core.attempt import Attempts
from ..core.call import Call
from ..core.headers import Left
from ..core.hedge import Hedge
from ..core.pushback import Pushback
from ..lanes.calling import Listener, Seat
from ..lanes.calls import after_of
from ..lanes.worker import current_worker
from ..limit.acquirer import LimitSet
from ..limit.holders import Holder, Link
from ..limit.queue import WaitQueue
from ..limit.state import LimitState
from .gate import Gate
from .source import Pair
from .stage import Spent

STEP = "whilst: step "  # with which notes begin that name one


class StepRun:
    """One step in one run, as far as its calls and what the run tells of it need to know; see `leaf`.

    Args:
        name: what timeouts call it.
        limits: what a call holds a permit of.
        attempts: says whether a failure is tried again.
        hedge: says when a call is late enough for a second one.
        alone: whether it is the whole flow, so that an input has taken what its last call took.
        spent: what its inputs spend their time on.
    """

    clock: Callable[[], float]

    def __init__(
        self,
        name: str,
        limits: tuple[LimitState, ...],
        attempts: Attempts,
        hedge: Hedge | None,
        spent: Spent,
        *,
        alone: bool,
    ) -> None:
        self.gate: Gate | None = None
        self.name: str = name
        self.limits: tuple[LimitState, ...] = limits
        self.hedge: Hedge | None = hedge
        self.spent: Spent = spent
        self.begun: int = 0
        """How many inputs have come to be called."""
        self.over: int = 0
        """How many of them have no call in flight of which the gate does not know: there was none yet."""
        self._attempts = attempts
        self._alone = alone

    def told_of(self, attempt: int, started: float, at: Seat | None, call: LeafCall | None = None) -> Call:
        """Return what `current_call` says of a call that began at that time."""
        raise NotImplementedError

    @property
    def paused(self) -> float:
        """How many seconds all its calls are held up by a pause or the breaker."""
        return self.gate.paused if self.gate is not None else 0.0

    @property
    def retry_waits(self) -> dict[str, float]:
        """Return the seconds that its inputs waited for another attempt, by what for."""
        return self._attempts.waits

    def held_up(self, now: float) -> tuple[str, ...]:
        """Say what holds its calls up."""
        budget = self._attempts.budget
        waits = budget.words(now) if budget is not None else ""
        return (*(self.gate.held_up(now) if self.gate is not None else ()), *((waits,) if waits else ()))

    @property
    def blocks(self) -> bool:
        """Whether inputs wait for permits here, and others could do nothing but wait for the same."""
        gate = self.gate
        return self._alone and gate is not None and not gate.keyed and gate.pending > 0

    def allow(self, call: LeafCall, left: Left) -> None:
        """Slow down as an answer to a call says. From any thread."""
        if self.gate is not None:
            self.gate.allow_call(call, left)

    def correct(self, call: LeafCall, cost: float) -> bool | None:
        """Count what a call cost indeed; see `Gate.correct`. From any thread."""
        return False if self.gate is None else self.gate.correct(call, cost, left=call)

    def close(self) -> None:
        """Let nothing more through, and give every permit back but those of calls that were left behind."""
        if self.gate is not None:
            self.gate.end()

    def let_go(self) -> None:
        """Refer to itself no more, so that it is freed with the run; calls that were left behind still come home."""
        if self.gate is not None:
            self.gate.let_go()


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

    def __init__(self, leaf: StepRun, tries: Tries | None = None) -> None:
        self.leaf: StepRun = leaf
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


def place_and_identity(run: Any, place: Seat | None) -> tuple[int, tuple[Any, ...] | None, int]:
    """Return the index of the input, or of the item inside a stage; what it is known by; and the input's own index."""
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


def note(error: Exception, where: str) -> None:
    """Name the step, unless the exception carries such a note already; best effort."""
    try:
        if where and not any(note.startswith(STEP) for note in getattr(error, "__notes__", ())):
            error.add_note(where)
    except Exception:  # an exception class may forbid attributes; a missing note must not hide the error
        pass
