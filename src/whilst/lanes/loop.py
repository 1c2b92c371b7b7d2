"""Coroutine lanes: tasks that serve one shared queue, each awaiting one call after the other.

Two rules keep this file small:

1. A lane is cancelled by us only with a `reason` set on it first. A cancellation without one is the call's own doing
   and its failure, if the task asked for it itself; else it comes from outside (the loop is being torn down) and ends
   the run.
2. Whoever puts inputs into the queue wakes a lane; each woken lane that leaves something in the queue wakes two
   more, but never more than there are inputs for which none is under way. So a thousand lanes are up in ten steps
   when calls wait, only two when calls return at once, and one for one input.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from math import inf
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..core.outcome import Record
from ..core.timings import LONG
from ..errors import RunCancelled
from .awaiting import GRACE, OwnTask, failure_of, insist, trimmed
from .calling import NOT_CALLED, Back, Names, current, given_back, listening, maker, seat, task_here
from .port import Here, Lanes, Port, nothing

if TYPE_CHECKING:
    from ..core.headers import Left

TURNS = 2  # of the loop, in which lanes end that call nothing
SLICE = 0.002  # seconds that calls which never suspend may hold the loop before other tasks get a turn

Reason = Literal["", "timeout", "expire", "drop", "close"]


class _LaneTask(OwnTask[None]):
    """The task of a lane."""

    __slots__ = ("lane",)  # a dict for each would be a tenth of what a lane takes

    lane: _Lane

    def cancel(self, msg: Any = None) -> bool:
        """Cancel it; a call that does so may have returned before it hears of that, and one to come never begins."""
        coroutine: Any = self.get_coro()
        if task_here() is self:
            self.lane.odd = True
        elif not (coroutine.cr_running or coroutine.cr_suspended or self.done()):
            self.lane.never_begins()
        return super().cancel(msg)


class _Lane:
    __slots__ = (
        "abandoned", "attempts", "branches", "busy", "error", "input", "lanes", "names", "odd", "outer", "patience",
        "port", "reason", "started", "task", "took", "waiter", "waits",
    )  # fmt: skip

    def __init__(self, lanes: LoopLanes, port: Port) -> None:
        self.port: Port | None = port
        self.outer: Any = port.context.get(seat)  # the lane in whose call the run of this one was started
        self.lanes: LoopLanes | None = lanes
        self.took: float | None = None  # if that is not the time until it has returned
        self.attempts: int = 1  # of the input that is called
        self.branches: int = 1  # of the input, those that have ended too
        self.busy: int = 1  # those that have not, and do not only wait
        self.task: _LaneTask | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.input: tuple[int, Any] | None = None  # (index, input) of the call in flight
        self.names: Names | None = Names(port) if port.names_calls else None
        self.started: float = 0.0
        self.reason: Reason = ""
        self.error: Exception | None = None
        self.patience: float = inf  # until when it may take to end, once it was cancelled
        self.abandoned: bool = False  # whether it took longer, and its input is settled
        self.waits: tuple[Back | None, ...] = ()  # of branches that only wait: see `Seat.rest`
        self.odd: bool = False  # whether anything above is not as in a call that is made once, at once, and returns

    def let_go(self) -> None:
        """Refer to nothing any more; what calls leave running may keep the lane, and its task does, by its context."""
        self.port = self.lanes = self.task = self.names = self.input = self.error = self.outer = None

    def never_begins(self) -> None:
        if self.lanes is not None:
            self.lanes.never_begins(self)

    def allow(self, left: Left) -> None:
        if self.port is not None and (given := self.input) is not None:
            self.port.allow(given[1], left)

    def makes(self, call: Any) -> bool:
        return self.input is not None and self.names is not None and self.names.name is call

    def makes_here(self, call: Any) -> bool:
        return self.makes(call) and self.task is task_here()

    def item_of(self, call: Any) -> Any:
        given = self.input
        return given[1] if given is not None else None

    @property
    def index(self) -> int:
        given = self.input
        return given[0] if given is not None else -1

    def give_up(self, error: Exception) -> None:
        if self.lanes is not None and self.input is not None and not self.abandoned:
            self.lanes.abandon(self, error)
            assert self.task is not None
            insist(self.task)

    def fork(self, count: int) -> None:
        if count and not self.busy and self.lanes is not None:
            self.lanes.goes_on()
        self.busy += count
        self.branches += count
        self.odd = True

    def begins(self, now: float) -> None:
        self.started, self.odd = now, True

    def uncalled(self, started: float, took: float) -> None:
        self.attempts -= 1
        self.started, self.took, self.odd = started, took, True

    def count(self, attempts: int) -> None:
        self.attempts += attempts
        self.odd = True

    def record(self, given: tuple[int, Any], value: Any, error: BaseException | None, ended: float) -> Record:
        """Return what became of an input that had more than one call, or none, or one that had to wait."""
        took = ended - self.started if self.took is None else self.took
        record = (given[0], given[1], value, error, self.started, took, self.attempts)
        self.forget()
        return record

    def forget(self) -> None:
        """Be as for an input that has one call, and does not wait."""
        self.attempts, self.took, self.branches, self.odd = 1, None, 1, False

    def rest(self, back: Back | None) -> None:
        self.waits = *self.waits, back
        self.ends()

    def resume(self, back: Back | None) -> None:
        place = self.waits.index(back)
        self.waits = self.waits[:place] + self.waits[place + 1 :]
        if not self.busy and self.lanes is not None:
            self.lanes.goes_on()
        self.busy += 1

    def ends(self) -> None:
        self.busy -= 1
        if not self.busy and self.lanes is not None:
            self.lanes.rests(self)

    def is_given_back(self) -> bool:
        lanes = self.lanes
        return lanes is not None and lanes.gives_back(self.index) and self.busy == 1 and None not in self.waits

    @property
    def back(self) -> Back | None:
        """What the input is given back as, if it only waits for its first call, or for another attempt."""
        if self.busy or not self.waits or None in self.waits:
            return None
        failed = next((back for back in self.waits if back is not None and back.error is not None), None)
        calls_made = self.branches > len(self.waits)  # by one that has ended
        return failed if failed is not None or calls_made else self.waits[0]

    def give_back(self, back: Back) -> None:
        """End with the failure that the input had before it waited."""
        self.attempts -= back.counted
        if back.last is not None:
            self.started, self.took = back.last
        self.cancel("expire", back.error)

    def cancel(self, reason: Reason, error: Exception | None = None) -> None:
        assert self.task is not None
        if not self.reason:  # once: to cancel it again would cancel its clean-up
            self.task.cancel()
        self.reason, self.error, self.odd = reason, error, True


def call_here() -> tuple[Port, int, float] | None:
    """Return the run, the index and the begin of the call whose task this is; None if it is no lane's."""
    task = task_here()
    if not isinstance(task, _LaneTask) or task.lane.port is None or task.lane.input is None:
        return None
    return task.lane.port, task.lane.input[0], task.lane.started


class Places(Protocol):
    """Places that an input holds besides its lane's."""

    def take(self) -> None:
        """Take one, at once."""

    def release(self) -> None:
        """Give one back."""


class LoopLanes(Lanes):
    """Lanes for an async function; see `Lanes` for the contract."""

    def __init__(
        self, port: Port, fn: Callable[[Any], Awaitable[Any]], concurrency: int, patience: float = inf, *, name: str
    ) -> None:
        self._port = port
        self._fn = fn
        self._name = name
        self._concurrency = concurrency
        self._lanes: set[_Lane] = set()
        self._parked: deque[_Lane] = deque()
        self._context = port.context.copy()
        if self._context.get(current) is not None:
            self._context.run(current.set, None)
        if self._context.get(listening) is not None:
            self._context.run(listening.set, None)
        if self._context.get(given_back, NOT_CALLED) is not NOT_CALLED:
            self._context.run(given_back.set, NOT_CALLED)
        self._closing = False
        self._ending = False  # whether the queue will not be filled again
        self._slice_end = port.clock() + SLICE
        self._coming = 0  # how many lanes were woken or started, and have not looked at the queue yet
        self._crowded = False  # whether there may be more lanes than the concurrency
        self.resting: int = 0
        """How many lanes have inputs that only wait, and hold no place of the concurrency."""
        self.places: Places | None = None
        """Those of a stage, shared by all its lanes in a run: each input that does not only wait holds one."""
        self.left: Callable[[asyncio.Task[Any], int], object] = nothing
        """Told of the task, and the input's index, of a call that did not end when it was cancelled."""
        self._stubborn: set[asyncio.Task[None]] = set()
        self._back_from = inf  # the index from which on inputs are given back that only wait
        self._settles = False

    @property
    def abandoned(self) -> int:
        """How many calls did not end when they were cancelled, and still run."""
        return len(self._stubborn)

    @property
    def idle(self) -> bool:
        """Whether a lane stands ready, or could be started."""
        return bool(self._parked) or self._may_start

    def wake(self) -> None:
        """Wake or start two lanes, or as many as there are inputs for which none is under way."""
        for _ in range(min(2, len(self._port.queue) - self._coming)):
            if self._parked:
                waiter = self._parked.pop().waiter
                if waiter is not None and not waiter.done():
                    self._coming += 1
                    waiter.set_result(None)
            elif self._may_start:
                self._start_lane()

    def resize(self, concurrency: int) -> None:
        """Have another number of lanes at most."""
        self._concurrency = concurrency
        self._crowded = len(self._lanes) > concurrency

    def rests(self, lane: _Lane) -> None:
        """Take note that the input of a lane only waits from now on: another may begin."""
        if self.gives_back(lane.index):
            self._port.loop.call_soon(self._give_back, lane)
        self.resting += 1
        if self.places is not None:
            self.places.release()
        if not self._closing:
            if not self._port.queue:
                self._port.refill()
            else:
                self._port.turn()
            if self._port.queue:
                self.wake()

    def no_more(self) -> None:
        """Have lanes end when the queue is empty: each that waited for the end of the run would need a future."""
        self._ending = True

    def more(self) -> None:
        """Have them wait again; those that have ended are started anew."""
        self._ending = False

    def sweep(self, now: float) -> float:
        """Cancel the calls that are past their time."""
        earliest = inf
        for lane in tuple(self._lanes):
            if lane.input is None or lane.reason not in ("", "timeout"):
                continue
            due = lane.patience if lane.reason else self._port.due(lane.input[0], lane.started)
            if now < due:
                earliest = min(earliest, due)
            elif lane.reason:
                self.abandon(lane, lane.error)
            else:
                lane.cancel("timeout", self._port.overdue(lane.input[0], lane.started))
                lane.patience = now + GRACE
                earliest = min(earliest, lane.patience)
        return earliest

    def abandon(self, lane: _Lane, error: Exception | None) -> None:
        """Settle the input of a call that goes on although it was cancelled; another lane takes its lane's place."""
        given, task = lane.input, lane.task
        assert given is not None
        assert task is not None
        index, item = given
        now = self._port.clock()
        lane.abandoned = lane.odd = True
        self._lanes.discard(lane)
        self._leave(index, task)
        self._port.timings.add(now - lane.started, index)
        self._port.emit((index, item, None, error, lane.started, now - lane.started, lane.attempts))
        if not self._closing:
            self._port.refill()  # its place is free: a line of the gate may ask for a permit now
        if self._port.queue:
            self.wake()

    def expire(self, error: Exception) -> None:
        """Cancel every call in flight; each becomes an outcome with `error`."""
        for lane in self._lanes:
            if lane.input is not None and not lane.reason:
                lane.cancel("expire", error)

    def leave_stubborn(self) -> None:
        """Settle the inputs of calls that ignore their cancellation."""
        for lane in tuple(self._lanes):
            if lane.input is not None and lane.reason in ("timeout", "expire"):
                self.abandon(lane, lane.error)

    def drop(self, after: int) -> None:
        """Cancel every call in flight behind `after`; none of them becomes an outcome."""
        for lane in self._lanes:
            if lane.input is not None and lane.input[0] > after and lane.reason != "drop":
                lane.cancel("drop")

    def give_back(self, start: float, *, settles: bool) -> None:
        """Give inputs from an index on back that only wait for a call; if that `settles`, with the last failure."""
        self._back_from, self._settles = start, settles
        for lane in self._lanes:
            self._give_back(lane)

    def gives_back(self, index: int) -> bool:
        """Whether it does so with this input, once that only waits."""
        return index >= self._back_from

    def _give_back(self, lane: _Lane) -> None:
        back = lane.back
        if back is None or lane.reason or not self.gives_back(lane.index):
            return
        if back.error is None or not self._settles:
            lane.cancel("drop")
        else:
            lane.give_back(back)

    def in_calls(self) -> list[tuple[int, float]]:
        """Return index and start of calls in flight; from any thread."""
        lanes = tuple(self._lanes)
        return [(given[0], lane.started) for lane in lanes if (given := lane.input) is not None]

    def left_behind(self) -> tuple[str, ...]:
        """Name the calls that did not end when they were cancelled."""
        return (f"{self.abandoned} x {self._name}(), which ignored being cancelled",) * bool(self.abandoned)

    def close(self) -> None:
        """Cancel what runs and let idle lanes end."""
        self._closing = True
        for lane in tuple(self._lanes):
            if lane.input is not None:
                lane.cancel("close")
            elif lane.waiter is not None and not lane.waiter.done():
                lane.waiter.set_result(None)

    async def gone(self) -> None:
        """Wait until the lanes have ended, but not long."""
        for _ in range(TURNS):  # as those do that call nothing: to wait for their tasks takes ten times as long
            if not self._lanes:
                return
            await asyncio.sleep(0)
        tasks = {lane.task: lane for lane in self._lanes if lane.task is not None}
        if tasks:
            _, stubborn = await asyncio.wait(tasks, timeout=GRACE)
            for task in stubborn:
                if (pair := tasks[task].input) is not None:
                    self._leave(pair[0], task)

    def _leave(self, index: int, task: asyncio.Task[None]) -> None:
        """Count a call that goes on; its permit comes back when it ends."""
        self._stubborn.add(task)
        task.add_done_callback(self._stubborn.discard)
        self._port.abandon(index)
        self.left(task, index)
        task.add_done_callback(self._returned_late(index))

    def _returned_late(self, index: int) -> Callable[[object], None]:
        return lambda _: self._port.returned_late(index)

    def goes_on(self) -> None:
        """Take note that it does not any more."""
        self.resting -= 1
        self._port.turn()
        if self.places is not None:
            self.places.take()

    @property
    def _may_start(self) -> bool:
        return len(self._lanes) < self._concurrency + self.resting

    def _start_lane(self) -> None:
        lane = _Lane(self, self._port)
        self._lanes.add(lane)
        self._coming += 1
        self._crowded = len(self._lanes) > self._concurrency
        context = self._context.copy()
        context.run(seat.set, lane)
        if self._port.names_calls:
            context.run(maker.set, lane)
        lane.task = task = _LaneTask(self._serve(lane, context), loop=self._port.loop, context=context)
        task.lane = lane

    async def _serve(self, lane: _Lane, context: Context) -> None:
        # names that each call needs stand first: the interpreter loads the first sixteen two at a time
        fn, queue, clock, emit = self._fn, self._port.queue, self._port.clock, self._port.emit
        untouched, names = context.copy(), lane.names
        call: Any = None  # what its code may know of it, where somebody may ask
        root, count, kept = None, -1, -1  # what holds the context's variables; references of it, of `call`; see `Names`
        ended, woken = 0.0, True
        timings, look_at = self._port.timings, 0.0  # when to look at what a call took: see `timings.LONG`
        try:
            while not self._closing:
                if self._crowded and self._hand_over(lane, woken):
                    return
                if not queue:  # looked at first: what is raised here leaves a lane with a frame object, of 400 bytes
                    self._coming -= woken
                    if self._parks(lane) and lane.waiter is not None:
                        await lane.waiter
                        lane.waiter = None
                    elif self._ending and not queue:
                        return
                    else:
                        self._coming += 1
                    woken = True
                    continue
                lane.input = given = queue.popleft()
                if woken:
                    woken = False
                    self._coming -= 1
                    if queue:
                        self.wake()
                    ended = clock()
                lane.started = started = ended  # a lane that goes straight on saves a look at the clock
                value = error = None
                if names is not None:
                    if getrefcount(root) != count or (call is not None and getrefcount(call) != kept):
                        untouched = names.renew(context)
                        root, call = names.root, names.call
                        count = getrefcount(root) if root is not None else -1
                        kept = getrefcount(call)
                    if call is not None:
                        call.index, call.started = given[0], started - names.begun
                        if names.tell_apart is not None:
                            call.attempt, call._identity = names.tell_apart(given[0])
                try:
                    value = await fn(given[1])
                except BaseException as caught:
                    error = self._judge(lane, caught)
                lane.input = None
                ended = clock()
                took = ended - started
                if not lane.odd:
                    emit((given[0], given[1], value, error, started, took, 1))
                elif lane.reason and self._settle(lane):
                    lane.forget()
                    lane.odd = lane.abandoned
                    self._port.dropped(given[0])
                elif lane.abandoned:
                    return  # its input is settled, and another lane has its place
                elif lane.task is not None and lane.task.by_itself and lane.task.cancelling():
                    emit(lane.record(given, None, error or self._cancelled_itself(lane.task), ended))
                    self._replace(lane)  # its next wait would hear of it
                    return
                else:
                    if lane.task is not None:
                        lane.task.by_itself = False  # as a task group does that one of its tasks ends
                    emit(lane.record(given, value, error, ended))
                if ended >= look_at:
                    if took >= LONG or look_at < 0.0:
                        timings.add(took, given[0])
                        look_at = ended + LONG  # what takes longer ends past that
                    else:  # the next one: longer calls are more likely than others to be under way at a time
                        look_at = -1.0
                    if ended >= self._slice_end:
                        ended = await self._rest(ended, took)
                del given, value, error  # an idle lane must not keep a result alive
                try:
                    clean = context == untouched  # 0.04 µs; what a call did to the context ends with it
                except Exception:  # the __eq__ of a value in there may do anything
                    clean = False
                if not clean:
                    self._replace(lane)
                    return
        except asyncio.CancelledError:
            if not self._closing:
                self._port.fatal(RunCancelled("the loop that drove this run was shut down"))
            raise
        except Exception as error:  # no call's, those are judged: a fault of the run itself, which must not hang for it
            self._port.fatal(error)
        finally:
            self._lanes.discard(lane)
            lane.let_go()

    async def _rest(self, ended: float, took: float) -> float:
        """Let others have their turn, after calls that have held the loop for a while; return the time."""
        if ended >= self._port.ends_at:
            self._port.past_deadline(took)
        self._slice_end = ended + SLICE
        await asyncio.sleep(0)
        ended = self._port.clock()
        self._slice_end = ended + SLICE
        return ended

    def never_begins(self, lane: _Lane) -> None:
        """Take note that somebody else has cancelled a lane before it looked at the queue."""
        self._lanes.discard(lane)
        self._coming -= 1
        if not self._closing:
            self._port.fatal(RunCancelled("the loop that drove this run was shut down"))

    def _hand_over(self, lane: _Lane, woken: bool) -> bool:
        """Whether a lane is one too many, because inputs that waited go on; others do then what it would have done."""
        self._crowded = len(self._lanes) > self._concurrency
        if len(self._lanes) <= self._concurrency + self.resting:
            return False
        self._lanes.discard(lane)
        self._coming -= woken
        self._port.refill()
        if self._port.queue:
            self.wake()
        return True

    def _parks(self, lane: _Lane) -> bool:
        """Whether a lane is to await its waiter: the queue has nothing now, and may be filled again."""
        self._port.refill()
        if self._port.queue or self._closing or self._ending:
            return False
        lane.waiter = self._port.loop.create_future()
        self._parked.append(lane)
        return True

    def _replace(self, lane: _Lane) -> None:
        self._lanes.discard(lane)
        if not self._closing:
            self._start_lane()

    def _judge(self, lane: _Lane, caught: BaseException) -> BaseException | None:
        """Return the error of this input, or raise what ends the lane."""
        if issubclass(type(caught), asyncio.CancelledError):  # `isinstance` would ask the class of a user's exception
            if lane.reason in ("timeout", "expire"):
                return lane.error
            if lane.reason == "drop" or lane.abandoned:  # the latter's input is settled: this ends its lane alone
                return None
            assert lane.task is not None
            if lane.task.by_itself and not self._closing:
                return self._cancelled_itself(lane.task, caught)
            if self._closing or lane.task.cancelling():
                lane.input = None
                try:
                    raise caught
                finally:
                    del caught  # whose frames are this one now
            error: BaseException = RuntimeError(f"{self._name}() raised CancelledError of its own accord")
            error.__cause__ = trimmed(caught)
            return error
        return failure_of(caught, self._name)

    def _cancelled_itself(self, task: _LaneTask, caught: BaseException | None = None) -> BaseException:
        """Return the failure of a call that cancelled the task it runs in, and take that back: the lane goes on."""
        task.by_itself = False
        while task.cancelling():
            task.uncancel()
        error = RuntimeError(f"{self._name}() cancelled its own task")
        if caught is not None:  # it may have returned before it heard of that
            error.__cause__ = trimmed(caught)
        return error

    def _settle(self, lane: _Lane) -> bool:
        """Take back our own cancellation; return whether the outcome is unwanted."""
        unwanted = lane.reason in ("drop", "close")
        lane.reason, lane.error = "", None
        assert lane.task is not None
        while lane.task.cancelling():
            lane.task.uncancel()
        return unwanted


LOOP: Here = Here("loop", LoopLanes)
