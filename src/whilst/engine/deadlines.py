"""What in a run shall happen at a certain time: one keeper for its alarms, its waits and its timeouts, with one timer.

A timer of asyncio's for each call would cost 4 to 6 µs; an entry here, looked at when the earliest may be due, costs a
tenth of that. After a look that ended calls for their time (`timeout`, `Retry(total=)`) the next is 5 ms later at the
earliest.

An input of a map that waits for another attempt stands in a heap (`Waiting`) with one alarm for all; it holds no lane,
no permit and no thread. Its last failure is kept until the next attempt has ended: should that never be made, the
failure is what became of the input.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Container
from contextvars import Context
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ..core.attempt import Attempts, Patience
from ..core.budget import Budget
from ..core.held import Still
from ..core.outcome import Record
from ..core.plan import Plan
from ..core.pushback import Pushback
from ..lanes.awaiting import GRACE
from ..lanes.chance import draw
from ..lanes.clock import alone_later
from ..lanes.port import Lanes

if TYPE_CHECKING:
    from ..core.retry import Retry


class Waiting:
    """The retries of one map; `now` is the run's clock."""

    def __init__(
        self,
        retry: Retry,
        now: float,
        draw: Callable[[], float] = draw,
        ask: Callable[..., Any] | None = None,
        still: Still | None = None,
    ) -> None:
        self.attempts: Attempts = Attempts(retry, now, draw, ask, still, gated=True)
        self._still = still if still is not None else Still()
        self.made: int = 0
        """How many retries have been started."""
        self.tried: dict[int, tuple[Record, float]] = {}
        """By index, for inputs that failed and have no outcome yet: the last failure, and when the first call began."""
        self._total = inf if retry.total is None else retry.total
        self._heap: list[tuple[float, int]] = []  # (due, index)

    @property
    def budget(self) -> Budget | None:
        """What bounds the retries."""
        return self.attempts.budget

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_due(self) -> float | None:
        """When the first of those that wait is due."""
        return self._heap[0][0] if self._heap else None

    def number(self, index: int) -> int:
        """Return which attempt the next call for this input is, from 1."""
        before = self.tried.get(index)
        return 1 if before is None else before[0][6] + 1

    def first(self, index: int, started: float) -> float:
        """Return when the first call for an input began, if its current one began at `started`."""
        before = self.tried.get(index)
        return started if before is None else before[1]

    def again(self, record: Record, pushback: Pushback | None, calls: int, now: float) -> float | None:
        """Let a failed input wait for another attempt, and return the seconds; None: this failure is its outcome.

        `calls` is how many inputs have been called so far.
        """
        index, error, attempt = record[0], record[3], record[6]
        assert isinstance(error, Exception)
        first = self.first(index, record[4])
        wait = self.attempts.wait(error, pushback, attempt=attempt, first=first, calls=calls, now=now)
        if wait is None:
            return None
        self.tried[index] = (record, first)
        heapq.heappush(self._heap, (now + wait, index))
        return wait

    def due(self, now: float) -> list[tuple[int, Any]]:
        """Return the inputs whose time has come."""
        found: list[tuple[int, Any]] = []
        while self._heap and self._heap[0][0] <= now:
            record = self.tried[heapq.heappop(self._heap)[1]][0]
            found.append((record[0], record[1]))
        self.made += len(found)
        return found

    def settle(self, unwanted: Callable[[int], bool]) -> list[Record]:
        """Give up waiting inputs, by their index; return their last failures."""
        settled = [self.tried.pop(index)[0] for _, index in self._heap if unwanted(index)]
        if settled:
            self._heap = [entry for entry in self._heap if not unwanted(entry[1])]
            heapq.heapify(self._heap)
        return settled

    def unmade(self, index: int) -> Record | None:
        """Return the last failure of an input that was due and will not be called; None if it never failed."""
        before = self.tried.pop(index, None)
        if before is None:
            return None
        self.made -= 1
        return before[0]

    def late(self, now: float) -> tuple[set[int], float]:
        """Return the inputs whose time for all attempts is over, and when the next one's will be."""
        late: set[int] = set()
        following = inf
        if self._total < inf:
            for index, (_, first) in self.tried.items():
                due = first + self._total + self._still.within(first, now)
                if due <= now:
                    late.add(index)
                else:
                    following = min(following, due)
        return late, following


GLANCE = 0.05  # seconds between two looks while everything stands still
COARSE = 0.005  # seconds to the next look after one that found calls past their time; a look costs 0.04 µs a call


class Bound:
    """When an await shall have ended; it may be set once the await has begun."""

    __slots__ = ("cancelling", "due", "expired", "gone", "later", "stubborn", "task")

    def __init__(self, due: float = inf, later: Callable[[float], float] | None = None) -> None:
        self.later: Callable[[float], float] | None = later
        """Returns, when it is due, until when to wait instead; nothing later than now if it is."""
        self.due: float = due
        self.stubborn: Callable[[asyncio.Task[Any]], None] | None = None
        """Called with the task if it has not ended `GRACE` seconds after it was cancelled: it swallows that."""
        self.gone: bool = False
        """Whether that was called: nobody waits for it any more."""
        self.expired: bool = False
        self.cancelling: int = 0
        self.task: asyncio.Task[Any] | None = None


class Deadlines:
    """The times of one run, on one loop; `clock` tells the loop's time, and actions see the run's context."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], context: Context) -> None:
        self._loop = loop
        self._clock = clock
        self._context: Context | None = context
        self._timer: asyncio.TimerHandle | None = None
        self._look_due = inf
        self._alarms: dict[str, tuple[float, Callable[[], None]]] = {}
        self._waits: list[tuple[float, int, asyncio.Future[bool]]] = []
        self._bounds: set[Bound] = set()
        self._cancelled: deque[tuple[float, Bound]] = deque()  # and when they are given up
        self._bounds_due = inf  # when to look for bounds that are reached
        self._numbers = count()
        self._closed = False

    # -- alarms -----------------------------------------------------------------------------------------------

    def at(self, name: str, when: float, action: Callable[[], None]) -> None:
        """Call `action` at the time `when`; what was set under this name before is forgotten."""
        if not self._closed:
            self._alarms[name] = when, action
            self._look_at(when)

    def not_after(self, name: str, when: float, action: Callable[[], None]) -> None:
        """Do the same, unless it is set for an earlier time."""
        if name not in self._alarms or when < self._alarms[name][0]:
            self.at(name, when, action)

    # -- waits ------------------------------------------------------------------------------------------------

    async def until(self, when: float) -> None:
        """Return at the time `when`."""
        await self.expect(self._loop.create_future(), when)

    async def expect(self, future: asyncio.Future[bool], by: float) -> bool:
        """Return what somebody else sets a future to, or False from the time `by` on."""
        if by < inf:
            heapq.heappush(self._waits, (by, next(self._numbers), future))
            self._look_at(by)
        return await future

    # -- timeouts ---------------------------------------------------------------------------------------------

    def end_at(self, bound: Bound, due: float) -> None:
        """Set the end of an await that has none yet."""
        bound.due = due
        if due < self._bounds_due:
            self._bounds_due = due
            self._look_at(due)

    async def within(self, bound: Bound, error: Callable[[], TimeoutError], fn: Callable[..., Any], *args: Any) -> Any:
        """Await `fn(*args)`; when the bound is reached cancel it, and raise `error()`.

        What is cancelled is this task, as `asyncio.timeout` does it, and exactly that cancellation is taken back.
        """
        task = bound.task = asyncio.current_task()
        assert task is not None
        bound.cancelling, bound.expired = task.cancelling(), False
        self._bounds.add(bound)
        if bound.due < inf:
            self.end_at(bound, bound.due)
        try:
            return await fn(*args)
        except asyncio.CancelledError as caught:
            if bound.expired:
                bound.expired = False
                if task.uncancel() <= bound.cancelling:
                    raise error() from caught
            raise  # somebody else cancelled the task too
        finally:
            self._bounds.discard(bound)
            bound.task = None
            if bound.expired:  # it ended in the moment when its time was over: our cancellation must not stay
                task.uncancel()
            del task  # it keeps its cancellation, whose frames keep this one

    # -- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Forget all, and look no more."""
        self._closed, self._context = True, None
        self._alarms.clear()
        self._waits.clear()
        self._bounds.clear()
        self._cancelled.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- private, in order of use -----------------------------------------------------------------------------

    def _look_at(self, when: float) -> None:
        if when >= self._look_due or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._look_due = when
        self._timer = alone_later(self._loop, max(0.0, when - self._clock()), self._look_in_context)

    def _look_in_context(self) -> None:
        if self._context is not None:
            self._context.copy().run(self._look)

    def _look(self) -> None:
        self._timer, self._look_due = None, inf
        now = self._clock()
        if self._bounds_due <= now:
            self._end_late(now)
        while self._cancelled and (self._cancelled[0][0] <= now or self._cancelled[0][1] not in self._bounds):
            self._give_up(self._cancelled.popleft()[1])
        while self._waits and self._waits[0][0] <= now:
            future = heapq.heappop(self._waits)[2]
            if not future.done():
                future.set_result(False)
        for name, (when, action) in tuple(self._alarms.items()):
            if when <= now and self._alarms.get(name) == (when, action):
                del self._alarms[name]
                action()
        self._look_at(self._next())

    def _next(self) -> float:
        waits = self._waits
        while waits and waits[0][2].done():
            heapq.heappop(waits)
        return min(
            self._bounds_due,
            self._cancelled[0][0] if self._cancelled else inf,
            waits[0][0] if waits else inf,
            min((when for when, _ in self._alarms.values()), default=inf),
        )

    def _end_late(self, now: float) -> None:
        for bound in self._bounds:
            if bound.due <= now and bound.later is not None and not bound.expired:
                bound.due = bound.later(now)
        late = [bound for bound in self._bounds if bound.due <= now and not bound.expired]
        for bound in late:
            bound.expired = True
            if bound.task is not None:
                bound.task.cancel()
            if bound.stubborn is not None:
                self._cancelled.append((now + GRACE, bound))
        due = min((bound.due for bound in self._bounds if not bound.expired), default=inf)
        self._bounds_due = max(due, now + COARSE) if late else due

    def _give_up(self, bound: Bound) -> None:
        if bound in self._bounds and bound.stubborn is not None and bound.task is not None:
            bound.gone = True
            bound.stubborn(bound.task)


class Host(Protocol):
    """What this needs from the driver."""

    clock: Callable[[], float]
    lanes: Lanes

    @property
    def still(self) -> Still:
        """When everything stood still, which does not count for all attempts of an input."""
        ...

    def give_up_on(self, late: Container[int]) -> None:
        """Settle the inputs of these indices that are not being called."""


class Overdue:
    """The time that each call of a map has (`timeout`), and each input over all its attempts (`Retry(total=)`).

    It is one sweep over the lanes' start times, instead of a timer a call.
    """

    def __init__(self, host: Host, plan: Plan, waiting: Waiting | None, deadlines: Deadlines) -> None:
        self.patience: Patience = Patience.of(f"{plan.name}()", plan.timeout, plan.retry)
        self._host = host
        self._waiting = waiting
        self._deadlines = deadlines
        self._ended = False  # whether a call was found late by the look that goes on

    def start(self, started: float) -> None:
        """Begin to look, if there is anything to look for."""
        first = started + self.patience.least
        if first < inf:
            self._deadlines.at("sweep", first, self._sweep)

    def due(self, index: int, started: float) -> float:
        """Return when a call is past its timeout, or its input past `Retry(total=)`."""
        first = started if self._waiting is None else self._waiting.first(index, started)
        if self.patience.total < inf:
            first += self._host.still.within(first, self._host.clock())
        return self.patience.due(first, started)

    def error(self, started: float) -> TimeoutError:
        """Say which of the two it was."""
        self._ended = True
        return self.patience.error(started, self._host.clock())

    def _sweep(self) -> None:
        now = self._host.clock()
        self._ended = False
        earliest = min(self._host.lanes.sweep(now), now + self.patience.least)
        if self._waiting is not None:
            late, following = self._waiting.late(now)
            earliest = min(earliest, following)
            if late:
                self._ended = True
                self._host.give_up_on(late)
        if self._host.still.now:
            earliest = max(earliest, now + GLANCE)  # what is left does not become less
        self._deadlines.at("sweep", max(earliest, now + COARSE) if self._ended else earliest, self._sweep)
