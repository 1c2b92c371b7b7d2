"""`Limit`: how many calls may be in flight at once, shared by any number of runs, steps and threads."""

from __future__ import annotations

import asyncio
import itertools
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .lanes.calls import Calls

_held: ContextVar[tuple[Hold, ...]] = ContextVar("whilst_limits_held", default=())
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """The state of a `Limit` at one moment.

    Attributes:
        concurrency: how many may be in flight.
        in_flight: how many are.
        waiting: how many wait for their turn.
    """

    concurrency: int
    in_flight: int
    waiting: int


class Limit:
    """At most `concurrency` calls at once, over everything that shares this object, first come, first served.

    Only calls hold a permit, never a node of a flow, so nesting can neither multiply a limit nor deadlock on it.
    A call that was left behind keeps its permit until it returns.

    Args:
        concurrency: calls in flight at once, at least 1.

    >>> import whilst
    >>> database = whilst.Limit(concurrency=5)
    >>> flow = whilst.together(a=whilst.step(len, limit=database), b=whilst.step(str.upper, limit=database))
    >>> flow("abc")
    {'a': 3, 'b': 'ABC'}
    >>> database
    <Limit 0/5 in flight>
    """

    def __init__(self, *, concurrency: int) -> None:
        if isinstance(concurrency, bool):
            raise TypeError(f"concurrency must be a whole number, got {concurrency!r}")
        try:
            count = operator.index(concurrency)
        except TypeError:
            raise TypeError(f"concurrency must be a whole number, got {concurrency!r}") from None
        if count < 1:
            raise ValueError(f"concurrency must be at least 1, got {count}")
        self._concurrency = count
        self._number = next(_numbers)
        self._in_flight = 0
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._guard = threading.Lock()  # runs on different loops may share a limit

    def statistics(self) -> LimitStatistics:
        """Return the counts of this moment. From any thread."""
        with self._guard:
            return LimitStatistics(self._concurrency, self._in_flight, len(self._waiters))

    def __repr__(self) -> str:
        now = self.statistics()
        waiting = f", {now.waiting} waiting" if now.waiting else ""
        return f"<Limit {now.in_flight}/{now.concurrency} in flight{waiting}>"

    async def _acquire(self) -> None:
        """Take a permit, waiting for one in turn; cancelled while waiting, it takes none."""
        if any(hold.has(self) for hold in _held.get()):
            raise RuntimeError(
                f"{self!r}: this call holds a permit of this limit already, so waiting for another could be for ever\n"
                "  try: give the limit to the inner calls only, or to the outer one only"
            )
        with self._guard:
            if self._in_flight < self._concurrency and not self._waiters:
                self._in_flight += 1
                return
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            entry = (loop, waiter)
            self._waiters.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if not self._withdraw(entry):
                self._release()  # the permit had been handed over already
            raise

    def _release(self) -> None:
        """Give a permit back: to the first who waits, if there is one. From any thread."""
        with self._guard:
            while self._waiters:
                loop, waiter = self._waiters.popleft()
                try:
                    loop.call_soon_threadsafe(_grant, waiter)
                except RuntimeError:
                    continue  # that loop is closed; nobody waits there any more
                return
            self._in_flight -= 1

    def _withdraw(self, entry: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]) -> bool:
        with self._guard:
            try:
                self._waiters.remove(entry)
            except ValueError:
                return False
            return True


class Hold:
    """The limits that one call holds; they go back when it is over, which may be after its await was cancelled.

    They are taken in the order in which the limits were made, the same for every call, whatever the nesting: two
    calls that need the same two limits can never wait for each other.
    """

    __slots__ = ("_guard", "_left", "_limits", "_over", "_taken", "_token")

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._taken = 0  # how many of them are held now
        self._left = self._over = False
        self._guard = threading.Lock()
        self._token: Token[tuple[Hold, ...]] | None = None

    @staticmethod
    def in_order(limits: Iterable[Limit]) -> tuple[Limit, ...]:
        """Return each limit once, in the order in which a call must take them."""
        return tuple(sorted(set(limits), key=lambda limit: limit._number))

    def has(self, limit: Limit) -> bool:
        """Whether a permit of `limit` is held now; a task that outlives its call inherits the hold, not the permit."""
        return limit in self._limits[: self._taken]

    async def take(self) -> None:
        """Take every limit, in order; take none if that fails."""
        try:
            for limit in self._limits:
                await limit._acquire()
                self._taken += 1
        except BaseException:  # a cancellation, mostly: what was taken goes back, then it goes on
            self._give_back()
            raise
        self._token = _held.set((*_held.get(), self))

    async def during(self, calls: Calls, fn: Callable[..., Any], *args: Any) -> Any:
        """Call `fn` on a thread; cancelled meanwhile, the limits stay taken until the thread is out of it."""
        try:
            return await calls.call(fn, *args, after=self._call_is_over)
        except asyncio.CancelledError:
            with self._guard:
                self._left = True
                over = self._over
            if over:
                self._give_back()
            raise

    def end(self) -> None:
        """Give back, unless a call that was left behind will."""
        if self._token is not None:
            _held.reset(self._token)
        if not self._left:
            self._give_back()

    def _call_is_over(self) -> None:
        with self._guard:
            self._over = True
            left = self._left
        if left:
            self._give_back()

    def _give_back(self) -> None:
        for limit in reversed(self._limits[: self._taken]):
            limit._release()
        self._taken = 0


def _grant(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Claim:  # STUB
    def __init__(self, limits: Any, item: Any, *, loop: Any, granted: Any) -> None:
        self.limits, self.loop, self._granted, self.wanted, self.keys = limits, loop, granted, 0, ()
    def ask(self, count: int, item: Any = None) -> int:
        limit = self.limits[0]
        if getattr(limit, "_concurrency", None) is None: return count
        n = min(count, limit._concurrency - limit._in_flight)
        limit._in_flight += n
        return n
    def withdraw(self) -> None: self.wanted = 0
    def give_back(self, count: int = 1) -> None:
        if getattr(self.limits[0], "_concurrency", None) is not None: self.limits[0]._in_flight -= count
    refund = give_back
    def finished(self, started: Any, verdict: Any, *a: Any) -> None: self.give_back(1)
Limit.keyed = Limit.weighted = Limit.adaptive = False
def _unl():
    l = Limit.__new__(Limit); l._concurrency = None; l._number = -1; l._guard = threading.Lock(); l._in_flight = 0; l._waiters = deque(); return l
Limit._unlimited = staticmethod(_unl)
Limit.most = property(lambda self: self._concurrency)

Limit.terms = property(lambda self: str(self._concurrency))
