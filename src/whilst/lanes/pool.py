"""A pool of daemon threads that serves one queue: each takes an input, makes the call, sends the record to the loop.

Whoever fills the queue calls `wake`; each woken thread that leaves something there wakes the next. A thread that finds
nothing looks for another pool of the process that wants one before it rests, and a pool that wants one looks for a
thread at rest (`worker.Supply`). So threads are as many as calls at once, and not one more for each run that waits for
a permit.

Where hundreds of threads wait for the interpreter, each microsecond between two calls costs ten. So there is no lock on
the way of a call, and one look at the clock: a thread that goes straight on begins when the last call has ended.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter, deque
from collections.abc import Callable
from math import inf
from typing import Any

from ..core.colour import has_method, name_of, place_of
from ..errors import TooManyAbandoned
from .awaiting import discard, failure_of
from .clock import announce, clock_of, monotonic
from .port import nothing
from .results import NOBODY, Client, Pair, ResultBridge, tell
from .worker import Worker, current_worker, supply

GLANCE = 1.0  # seconds between two looks of an idle thread at whether its loop is there still


class ThreadPool:
    """At most `most` threads that call `fn(item)` for each `(index, item)` in the client's queue.

    Args:
        loop: where records go.
        client: whose calls they are.
        fn: what is called.
        most: how many threads at most; one whose call was abandoned does not count.
        name: of the threads.
        context: calls run in a copy each; None: `fn` sees to that.
        settle: what to do, on the thread, with an awaitable that a call has returned; None: it is the value.
        fn_of: which function an input is called with, for messages.
        frames: how many frames of a failure's traceback are ours.
        patience: seconds an idle thread stays; None: until `close`.
        lends: whether an idle thread may go to another pool; False where the same thread must make all calls.
        of_run: whether it ends with a run, and not with its loop.
        unwanted: told, on the thread, of an input that it took and does not call, as nobody wants that any more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Client,
        fn: Callable[[Any], Any],
        most: int,
        *,
        name: str,
        context: contextvars.Context | None = None,
        settle: Callable[[Worker, Any], Any] | None = None,
        fn_of: Callable[[Any], Any],
        frames: int = 1,
        patience: float | None = None,
        lends: bool = True,
        of_run: bool = True,
        unwanted: Callable[[Any], None] = nothing,
    ) -> None:
        self.name: str = name
        self.of_run: bool = of_run
        self.queue: deque[Pair] = client.queue
        self.workers: set[Worker] = set()
        """The threads, but for those whose call was abandoned."""
        self.closing: bool = False
        self.wanted: bool = False
        """Whether `supply` knows that it is short of threads."""
        self.left_behind: LeftBehind = LeftBehind(most, fn_of)
        self.bridge: ResultBridge = ResultBridge(loop, client)
        self._loop = loop
        self._clock = clock_of(loop)
        self._client: Client = client
        self._fn = fn
        self._most = most
        self._context = context
        self._settle = settle
        self._fn_of = fn_of
        self._frames = frames
        self._patience = patience
        self._lends = lends
        self._unwanted = unwanted
        self._parked: dict[Worker, None] = {}
        self._ending = False  # whether threads without work leave
        self._waking = False  # whether a woken thread has not come to the queue yet
        self._begins_until = inf  # the clock's time from which on a call must not begin without a look at why
        self._deadline = inf
        self._last_wanted = inf  # the last index that is wanted
        self._refusal: Exception | None = None  # what becomes of what would begin
        self._awaited: asyncio.Future[None] | None = None
        self._stuck = False  # whether it has no thread, and the loop is to hear that there is none to be had
        announce(self, loop)

    # -- how it stands: from any thread -----------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """Whose calls it makes."""
        return self._client

    @property
    def idle(self) -> bool:
        """Whether a thread stands ready, or there may be one more."""
        return bool(self._parked) or len(self.workers) < self._most

    @property
    def is_short(self) -> bool:
        """Whether another thread would find something to do."""
        idle = self.closing or self._stuck or not self.queue or bool(self._parked)
        return not idle and len(self.workers) < self._most

    def at_work(self) -> bool:
        """Whether a thread is in a call or about to take one, and not waiting for the loop."""
        awaited = [worker.awaited for worker in tuple(self.workers)]
        waiting = sum(it is not None and not it.future.done() for it in awaited)
        if len(self.workers) - len(self._parked) > waiting or (self.closing and bool(self.workers)):
            return True
        return bool(self.queue) and not self.closing and waiting < self._most

    # -- for the owner, on the loop ---------------------------------------------------------------------------

    def wake(self) -> None:
        """Put one more thread to work, unless one is on its way already: it wakes the next. From any thread."""
        if self._waking or self.closing or self._stuck:
            return
        try:
            worker, _ = self._parked.popitem()
        except KeyError:
            if len(self.workers) < self._most:
                supply.give(self)  # else all are busy, and each looks at the queue when it is done
            return
        self._waking = True  # cleared by the thread that comes, before it looks at what the queue still holds
        supply.rests_no_more(worker)
        worker.gate.release()

    def resize(self, most: int) -> None:
        """Have another number of threads at most."""
        self._most = self.left_behind.most = most

    def ends_at(self, deadline: float) -> None:
        """Begin no call at this time of the clock, or later."""
        self._deadline = deadline
        self._begins_until = min(self._begins_until, deadline)

    def refuse(self, error: Exception | None, after: float = -1) -> None:
        """Begin no call of what stands after this index: its record has `error`; None: it has no record."""
        if error is None:
            self._last_wanted = after
        else:
            self._refusal = error
        self._begins_until = -inf

    def abandon(self, worker: Worker, call: list[Pair], noted: Callable[[int], None] | None = None) -> bool:
        """Leave a thread behind in this call; False if that has returned meanwhile. Another may take its place.

        `noted` is called with its index if it is left, before the thread can see it.
        """
        if not self.left_behind.add(worker, call, noted):
            return False
        self.left(worker)
        if self.queue:
            self.wake()
        return True

    def no_more(self) -> None:
        """Let threads go as soon as the queue is empty, which spares waking them for it at the end."""
        self._ending = True
        self._rouse()

    def more(self) -> None:
        """Have threads stay: the queue is filled again after all. One that is leaving looks at it once more."""
        self._ending = False

    def close(self) -> None:
        """Send idle threads away; the busy ones follow when their call is over. Nothing new begins."""
        self._last_wanted, self._begins_until = -1, -inf
        self.closing = True
        self._rouse()
        supply.closed(self)

    async def gone(self, patience: float) -> bool:
        """Wait until every thread has left whose call was not abandoned; False if that takes too long."""
        if self.workers:
            self._awaited = self._loop.create_future()
            if self.workers:
                await asyncio.wait([self._awaited], timeout=patience)
        if not (self.workers or self.left_behind):
            self.forget()
        return not self.workers

    def forget(self) -> None:
        """Let go of whose calls these were, once all that has returned is taken."""
        self.bridge.look()
        self.bridge.forget()
        self._client = NOBODY
        self._fn, self._settle, self._context = NOBODY.emit, None, None

    # -- for `supply` -----------------------------------------------------------------------------------------

    def take_parked(self, worker: Worker) -> bool:
        """Claim a thread that rests here; False if it does not any more. Whoever claims it opens its gate."""
        try:
            del self._parked[worker]
        except KeyError:
            return False
        return True

    def left(self, worker: Worker) -> None:
        """Take note that a thread serves it no more."""
        self.workers.discard(worker)
        if self.closing and not self.workers and self._awaited is not None:
            tell(self._loop, _end, self._awaited)

    def stuck(self, error: RuntimeError) -> None:
        """Take note that there is no thread, and none to be had; until the loop has heard, none is asked for again."""
        self._stuck = True
        tell(self._loop, self._fail, error)

    # -- on its threads ---------------------------------------------------------------------------------------

    def serve(self, worker: Worker) -> None:
        """Make calls until there is nothing more to do for this thread here."""
        threading.current_thread().name = self.name
        try:
            self._work(worker)
        finally:
            if worker.pool is self:
                self._leave(worker)

    def _work(self, worker: Worker) -> None:
        take, clock, settle = self.queue.popleft, self._clock, self._settle
        add, bridge = self.bridge.results.append, self.bridge
        fn, context = self._fn, self._context
        plain: Any = None  # the class of what was returned last that is nothing to await: most calls return one
        woken, ended = True, 0.0
        while not self.closing:
            try:
                pair = take()
            except IndexError:
                if woken:
                    self._waking = False
                if not self._wait_for_work(worker):
                    return
                woken = True
                continue
            if woken:
                woken = self._waking = False
                if self.queue:
                    self.wake()
                ended = clock()
            worker.started = started = ended
            worker.call = call = [pair]
            if started >= self._begins_until and not self._may_begin(worker, call, started):
                del pair
                if worker.pool is not self:
                    return
                continue
            value = error = None
            try:
                if context is None:
                    value = fn(pair[1])
                else:
                    value = (own := context.copy()).run(fn, pair[1])
                    if settle is not None and type(value) is not plain:
                        if has_method(value, "__await__"):
                            value, error = own.run(settle, worker, value)
                        else:
                            plain = type(value)  # pyright: ignore[reportUnknownVariableType]
            except BaseException as caught:  # all of them: what is not an Exception is for the consumer to raise
                value, error = None, failure_of(caught, name_of(self._fn_of(pair[1])), frames=self._frames)
            ended = clock()
            try:
                call.pop()
            except IndexError:
                self._come_late(worker, value)
                if worker.pool is not self:
                    return
            else:
                add((pair[0], pair[1], value, error, started, ended - started, 1))
                if not bridge.rung:
                    bridge.ring()
                    ended = clock()
            del pair, value, error  # an idle thread must not keep an input alive, nor an error its own frame

    def _may_begin(self, worker: Worker, call: list[Pair], started: float) -> bool:
        """Look why a call should not begin, and see to what becomes of its input."""
        try:
            index, item = call[0]
            if index <= self._last_wanted and self._refusal is None and started < self._deadline:
                return True
            call.pop()
        except IndexError:  # it was given up in this moment
            self._come_late(worker, None)
            return False
        if index > self._last_wanted:
            self._unwanted(item)
            tell(self._loop, self._drop, index)
        elif self._refusal is not None:
            self.bridge.put((index, item, None, self._refusal, started, 0.0, 1))
        else:
            self.queue.appendleft((index, item))
            self.closing = True  # the loop is late: what is here waits for what it makes of the deadline
        return False

    def _drop(self, index: int) -> None:
        """Say, on the loop, that an input has no record: to nobody, if the run did not wait for this thread."""
        self._client.dropped(index)

    def _come_late(self, worker: Worker, value: Any) -> None:
        """Leave the pool, after a call that was abandoned; go on after one that was given up in another way."""
        discard(value)
        if self._returned(worker):
            self._leave(worker)

    def _returned(self, worker: Worker) -> bool:
        """Whether a thread comes from a call that was abandoned; it is counted no more."""
        pair = self.left_behind.take(worker)
        if pair is not None:
            self._client.returned_late(pair[0])
        return pair is not None

    def _wait_for_work(self, worker: Worker) -> bool:
        """Park until there may be something to do here; False if the thread shall go."""
        if self._ending:
            return False
        free = self._lends and not worker.at_end
        if free and supply.move_on(worker):
            self.left(worker)
            return False
        self._parked[worker] = None
        if free:
            supply.rests(worker)
        if (self.queue or self.closing or self._ending) and self.take_parked(worker):
            supply.rests_no_more(worker)
            return True  # somebody may have looked for idle threads just before
        if not self._rest(worker):
            if self.take_parked(worker):
                supply.rests_no_more(worker)
                return False
            worker.gate.acquire()  # it is being woken in this very moment
        return worker.pool is self

    def _rest(self, worker: Worker) -> bool:
        """Wait to be woken; False when patience has ended."""
        if self._patience is None:
            return worker.gate.acquire()
        ends = monotonic() + self._patience
        while not worker.gate.acquire(timeout=min(GLANCE, self._patience)):
            if monotonic() >= ends or self._loop.is_closed():
                return False
        return True

    def _fail(self, error: RuntimeError) -> None:
        self._client.fatal(error)
        self._stuck = False

    def _rouse(self) -> None:
        try:
            while True:
                worker, _ = self._parked.popitem()
                supply.rests_no_more(worker)
                worker.gate.release()
        except KeyError:
            pass  # nobody is idle

    def _leave(self, worker: Worker) -> None:
        try:
            _call_all(worker.at_end)
        finally:  # should an action raise, the thread still counts as gone
            worker.opened = {}
            worker.pool = None
            self._returned(worker)
            self.left(worker)
            if self.queue:
                self.wake()  # a call may have come while this thread was leaving
        supply.move_on(worker)


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
        return named([self._fn_of(item) for _, item in tuple(self._calls.values())]) if self._calls else ()

    def too_many(self, what: str) -> TooManyAbandoned | None:
        """Return why no more calls should be made, beginning with `what`; None: they are few enough."""
        if len(self._calls) <= self.most:
            return None
        return TooManyAbandoned(
            f"{what} and still run, more than the {self.most} there may be at once\n"
            f"  {'; '.join(self.names()[:3])}; a blocking call cannot be stopped from outside\n"
            "  try: a timeout inside the function (requests.get(url, timeout=5)), or a longer timeout= here"
        )


def named(fns: list[Callable[..., Any]]) -> tuple[str, ...]:
    """Name the functions that calls are left behind in, with how many calls of each."""
    calls = Counter((name_of(fn), place_of(fn)) for fn in fns)
    return tuple(f"{n} x {name}()" + (f" ({place})" if place else "") for (name, place), n in calls.items())


def call_of_thread() -> tuple[Client, int, float] | None:
    """Return whose it is, the index and the begin of the call that this thread makes; None if it makes none."""
    worker = current_worker()
    if worker is None or worker.pool is None:
        return None
    try:
        return worker.pool.client, worker.call[0][0], worker.started
    except IndexError:  # it is over, or was given up
        return None


def _call_all(actions: list[Callable[[], object]]) -> None:
    """Call them, the last first; what one raises goes on when all were called."""
    try:
        while actions:
            actions.pop()()
    finally:
        if actions:
            _call_all(actions)


def _end(awaited: asyncio.Future[None]) -> None:
    if not awaited.done():
        awaited.set_result(None)
