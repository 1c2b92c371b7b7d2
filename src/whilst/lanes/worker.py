"""One thread that makes calls, whose calls they are, and how results come from threads to their loop.

Results pile up, and the loop is rung once for all of them: threads append and ring if nobody has; the loop takes the
bell down first and then everything that lies there, so what comes later rings again. Thousands of results cost one
wake-up (measured: 0.8 µs each, 9 µs with one each).

A thread that rings pays for it tenfold where hundreds wait for the interpreter. So while threads find work without the
loop, the bell stays up after a look that found several, or while results have come fast of late, and the loop looks
again by itself, `AGAIN` later.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import Counter, deque
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from ..core.colour import name_of, place_of
from ..core.timings import LONG, Timings
from ..errors import TooManyAbandoned

Pair = tuple[int, Any]


class Client(Protocol):
    """Where a pool's inputs come from and what becomes of them; all but `returned_late` is called on the loop."""

    queue: deque[Pair]
    """Inputs that may start, as (index, input); threads take from the left."""

    def emit(self, record: Any, /) -> None:
        """Take what became of one input."""

    def together(self, begins: bool, /) -> None:
        """Take note that several records come now, and then that these were all: time to wake who waits for them."""

    def refill(self) -> None:
        """Put more into the queue, if there is more; called after some records."""

    def dropped(self, index: int) -> None:
        """Take note that an input which was taken from the queue will have no record."""

    def returned_late(self, index: int) -> None:
        """Take note, on any thread, that a call that was abandoned has returned."""

    def fatal(self, error: BaseException) -> None:
        """End: calls cannot be made any more."""


class Nobody:
    """The client of a pool that is gone, so that it keeps no run alive."""

    def __init__(self) -> None:
        self.queue: deque[Pair] = deque()

    def emit(self, record: Any, /) -> None:
        """Nobody wants it any more."""

    def together(self, begins: bool, /) -> None:
        """Nobody waits."""

    def refill(self) -> None:
        """There is no more."""

    def dropped(self, index: int) -> None:
        """Nobody counts it any more."""

    def returned_late(self, index: int) -> None:
        """Nobody waits for it."""

    def fatal(self, error: BaseException) -> None:
        """It has ended."""


NOBODY = Nobody()


Ending = tuple[Any, BaseException | None]


class Awaited:
    """An awaitable on its way through the loop.

    Everything is in place before the loop is told, so whoever gives the call up finds the task or the future; and a
    call that was given up before it had a task never gets one.
    """

    __slots__ = ("dropped", "error", "future", "given_up", "patience", "task")

    def __init__(self) -> None:
        self.future: concurrent.futures.Future[Ending] = concurrent.futures.Future()
        self.task: asyncio.Task[Ending] | None = None
        self.given_up: bool = False
        self.patience: float = inf
        """Until when it may take to end, once it was given up."""
        self.error: Exception | None = None
        """Why it was given up, if its record is wanted."""
        self.dropped: list[tuple[int, Any]] = []
        """The input, if it is not."""

    def give_up(self, error: Exception | None) -> None:
        """Cancel it; on the loop. Its thread goes on by itself, when the clean-up has ended."""
        if self.given_up:
            return  # once: to cancel it again would cancel its clean-up
        self.given_up, self.error = True, error
        task = self.task
        if task is not None:
            task.cancel()
        else:
            self.future.cancel()


class Pool(Protocol):
    """What threads serve, and what is given threads; `ThreadPool` is the one there is."""

    name: str
    of_run: bool
    queue: deque[tuple[int, Any]]
    workers: set[Worker]
    closing: bool
    wanted: bool
    bridge: ResultBridge

    @property
    def client(self) -> Client:
        """Whose calls it makes."""
        ...

    @property
    def is_short(self) -> bool:
        """Whether another thread would find something to do."""
        ...

    def serve(self, worker: Worker) -> None:
        """Make calls until the thread shall go elsewhere."""

    def wake(self) -> None:
        """Put a thread to work, if one is idle or may come."""

    def take_parked(self, worker: Worker) -> bool:
        """Take a thread out of those at rest; False if it is not among them any more."""
        ...

    def left(self, worker: Worker) -> None:
        """Take note that a thread is elsewhere."""

    def stuck(self, error: RuntimeError) -> None:
        """Take note that there is no thread to be had."""


class Worker:
    """A thread and what it is busy with; it serves one pool at a time, perhaps several in its life.

    `call` is a list of one, the input that is called, until somebody pops it: the thread when the call has returned,
    or who gives the call up. So whichever comes first holds, in one step of the interpreter.
    """

    __slots__ = ("at_end", "awaited", "call", "gate", "opened", "pool", "started")

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.call: list[tuple[int, Any]] = []
        self.started: float = 0.0
        """When the call began."""
        self.awaited: Awaited | None = None
        """What the call has returned, if the loop awaits that now."""
        self.opened: dict[Any, Any] = {}
        """What was opened for this thread, by what it is."""
        self.at_end: list[Callable[[], object]] = []
        """Called on the thread itself before it leaves its pool; a thread that has any stays there."""
        self.gate: threading.Lock = threading.Lock()  # a thread at rest waits here
        self.gate.acquire()

    def run(self, ended: Callable[[Worker], None]) -> None:
        """Serve one pool after the other; what the thread does."""
        _here.worker = self
        try:
            while (pool := self.pool) is not None:
                pool.serve(self)
        finally:
            ended(self)


class LeftBehind:
    """The calls of one pool that were given up and still run: a thread cannot be stopped, so it is counted and named.

    `most` is how many threads the pool has, `fn_of` the function behind an input.
    """

    def __init__(self, most: int, fn_of: Callable[[Any], Any]) -> None:
        self.most: int = most
        self._fn_of = fn_of
        self._calls: dict[Worker, Pair] = {}
        self._guard = threading.Lock()  # so that a thread whose call was given up sees that when it is noted

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, worker: Worker) -> bool:
        return worker in self._calls

    def add(self, worker: Worker, call: list[Pair], noted: Callable[[int], None] | None) -> bool:
        """Leave a thread behind in this call; False if it has returned meanwhile, or left its pool.

        `noted` is called with the call's index if it is left, before the thread can see it.
        """
        with self._guard:
            if worker.pool is None:
                return False
            try:
                pair = call.pop()
            except IndexError:
                return False
            if noted is not None:
                noted(pair[0])
            self._calls[worker] = pair
        return True

    def take(self, worker: Worker) -> Pair | None:
        """Return the call that a thread comes back from, if that was given up; it is counted no more."""
        with self._guard:
            return self._calls.pop(worker, None)

    def names(self) -> tuple[str, ...]:
        """Name the functions, with how many calls of each."""
        if not self._calls:
            return ()
        fns = [self._fn_of(item) for _, item in tuple(self._calls.values())]
        calls = Counter((name_of(fn), place_of(fn)) for fn in fns)
        return tuple(f"{n} x {name}()" + (f" ({place})" if place else "") for (name, place), n in calls.items())

    def too_many(self, what: str) -> TooManyAbandoned | None:
        """Return why no more calls should be made, beginning with `what`; None: they are few enough."""
        if len(self._calls) <= self.most:
            return None
        return TooManyAbandoned(
            f"{what} and still run, more than the {self.most} there may be at once\n"
            f"  {'; '.join(self.names()[:3])}; a blocking call cannot be stopped from outside\n"
            "  try: a timeout inside the function (requests.get(url, timeout=5)), or a longer timeout= here"
        )


def current_worker() -> Worker | None:
    """Return whose thread this is, inside a call; for resources that live as long as a thread."""
    return getattr(_here, "worker", None)


_here = threading.local()


SEVERAL = 4  # results in one look: fewer, and whoever waits for the next one would wait longer than it saves
AGAIN = 0.001  # seconds
FAST = 2  # results in that time: a look costs the loop less than that many rings cost their threads
OF_LATE = 0.01  # seconds over which they are counted: a hundred calls of that length come and go in gusts


class ResultBridge:
    """Gives each result to its client on the loop, and has it refill its queue then.

    While that is empty threads wait for the loop, which therefore looks at once. What the client raises is a fault of
    its own, which ends it: the other results are taken all the same.
    """

    __slots__ = ("_client", "_counted", "_counts_from", "_is_fast", "_looked_at", "_loop", "results", "rung", "timings")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Client,
    ) -> None:
        self.results: deque[Any] = deque()
        """Threads append here, and then `ring` unless it is `rung`."""
        self.rung: bool = False
        """Whether the loop will look without being told."""
        self.timings: Timings | None = None
        """Told how long calls took."""
        self._loop = loop
        self._client = client
        self._looked_at = 0  # how many results were taken
        self._counts_from, self._counted = 0.0, 0  # a moment, and how many it were then
        self._is_fast = False

    @property
    def came(self) -> int:
        """How many results have come so far; from any thread."""
        return self._looked_at + len(self.results)

    def put(self, result: Any) -> None:
        """Hand a result to the loop; from any thread."""
        self.results.append(result)
        if not self.rung:
            self.ring()

    def ring(self) -> None:
        """Have the loop look; from any thread."""
        self.rung = True
        tell(self._loop, self.look)

    def forget(self) -> None:
        """Take nothing more: whoever took has ended."""
        self._client = NOBODY

    def look(self) -> None:
        """Take what lies there now; on the loop."""
        client, count = self._client, len(self.results)
        again = (self._comes_fast() or count >= SEVERAL) and max(count, 1) <= len(client.queue)
        if again:
            self._loop.call_later(AGAIN, self.look)
        else:
            self.rung = False  # first: what is appended from here on rings again
            count = len(self.results)
        if count >= SEVERAL:
            client.together(True)
            self._take(count)
            client.together(False)
        else:
            self._take(count)
        client.refill()

    def _comes_fast(self) -> bool:
        """Whether results have come so fast of late that each ring would be for one or two of them."""
        now, came = self._loop.time(), self._looked_at - self._counted
        if (took := now - self._counts_from) >= OF_LATE:
            self._is_fast = came * AGAIN >= FAST * took
            self._counts_from, self._counted = now, self._looked_at
            return self._is_fast
        return self._is_fast or came * AGAIN >= FAST * OF_LATE

    def _take(self, count: int) -> None:
        results, take = self.results, self._client.emit
        timings, timed_from = self.timings, 0.0  # one of these, and all long ones
        for _ in range(count):
            result = results.popleft()
            self._looked_at += 1
            if timings is not None and result[5] >= timed_from:
                timings.add(result[5], result[0])
                timed_from = LONG
            try:
                take(result)
            except Exception as error:  # or the other results would be lost, and whoever waits for them hang
                self._client.fatal(error)


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> bool:
    """Have the loop call `callback` soon; False, and nothing happens, if it is closed: then nobody waits any more."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True
