"""One step of a flow in one run: its limits, retries and timeouts around each call of its function.

What decides is what decides for a map: a `Gate` says who may start, `Attempts` whether a failure is tried again. A call
stays inline in the task of its input; while it waits for permits or for another attempt it holds no slot, and its
input no place of the run's concurrency.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from ..core.account import RETRIES
from ..core.attempt import Attempts, Patience
from ..core.call import Call
from ..core.hedge import Hedge
from ..core.held import Still
from ..core.pushback import Pushback, pushback_of
from ..core.retried import retried_inside
from ..lanes.awaiting import is_cancelled
from ..lanes.calling import Back, Seat, current, given_back, listening, seat, wanted
from ..lanes.chance import draw
from ..limit.holders import ask_around, held
from ..limit.state import LimitState
from .asking import Asking, judge_of, told_of
from .deadlines import GLANCE, Bound
from .gate import Gate
from .hedging import Hedging
from .lines import Line
from .observer import StepCall, Watch
from .slots import Slots
from .source import Pair
from .stage import Spent
from .step_calls import STEP, LeafCall, LetThrough, StepRun, Tries, note, place_and_identity, wake
from .suspended import GivenUp, settled_by, tells

if TYPE_CHECKING:
    from ..core.retry import Retry
    from .scope import Scope


NO_RETRY = Attempts(None, 0.0, draw)
ENDLESS = Patience("", inf, inf)


def is_calling(its: Mapping[str, Any]) -> bool:
    """Whether a coroutine makes the call of a step now, by its local names: it has `started`, and nothing followed."""
    return "started" in its and "error" not in its and "again" not in its


HOLDS_CALL = tells(holds=lambda its: (its["self"].slots, its["self"], its["call"]) if is_calling(its) else None)


class Leaf(StepRun):
    """The calls of one step in one run.

    Args:
        scope: what the run owns.
        name, limits, hedge, alone: see `StepRun`.
        fn: one call, of (value) or, if it runs on a thread, of (value, after).
        where: what its failures are told to have come from.
        path: of the step in its flow.
        slots: places that a call holds.
        on_thread: whether `fn` takes a second argument, to be called when it is off its thread.
        inside: what retries inside the function.
        first: whether no call was made for an input that comes here for the first time.
    """

    gate: Gate | None
    begun: int
    over: int

    def __init__(
        self,
        scope: Scope,
        fn: Callable[..., Awaitable[Any]],
        name: str,
        *,
        where: str = "",
        path: str = "",
        slots: Slots,
        limits: tuple[LimitState, ...] = (),
        retry: Retry | None = None,
        timeout: float | None = None,
        hedge: bool = False,
        alone: bool = False,
        on_thread: bool = False,
        inside: str = "",
        first: bool = False,
    ) -> None:
        attempts, self._judge = NO_RETRY, ""
        if retry is not None:
            self._judge = judge_of(retry)
            ask = partial(scope.asking.ask, self._judge) if self._judge else None
            attempts = Attempts(retry, scope.clock(), draw, ask, scope.still, gated=True)
        spent = Spent(where.removeprefix(STEP) or name)
        super().__init__(name, limits, attempts, Hedge() if hedge else None, spent, alone=alone)
        self.loop: asyncio.AbstractEventLoop = scope.loop
        self.clock: Callable[[], float] = scope.clock
        self.queue: deque[Pair] = LetThrough()
        self._once = self.call
        if self.hedge is not None:
            self._once = Hedging(self.hedge, self.call, clock=self.clock, leave=scope.leave)
        self.asking: Asking = scope.asking
        self.watch: Watch = scope.watch
        self._scope = scope
        self._fn = fn
        self.slots: Slots = slots
        self._where = where
        self._path = path
        self._wants = retry is not None and retry.on_value is not None
        self._tell = None if retry is None else told_of(retry, scope.asking)
        self._patience = ENDLESS if timeout is None and retry is None else Patience.of(name, timeout, retry)
        self._patient = self._patience.least == inf
        self._on_thread = on_thread
        self._simple = self._patient and not on_thread
        self._inside = inside
        self._first = first
        self._bounded = any(limit.bounded for limit in limits)
        self._line: Line | None = None  # in which all its calls stand, if these need the same permits of its limits
        self._began = self.clock()
        scope.leaves.append(self)
        if limits:
            self._install(limits)

    def __call__(self, value: Any) -> Awaitable[Any]:
        """Await what the step returns, after as many attempts as that takes; else the last failure is raised."""
        if self._scope.left:
            self._scope.check_left()
        self.begun += 1
        self.over += 1
        tries = Tries()
        if self._attempts.retry is not None:
            return self.go_on(value, tries)
        tries.number = 1
        return self._once(value, tries)

    @property
    def may_go_straight(self) -> bool:
        """Whether nothing but permits, all alike, stands between its inputs and their calls: see `straight`."""
        retry = self._attempts.retry
        careful = retry is not None and (retry.total is not None or self._wants)
        return self._line is not None and self._simple and self.hedge is None and not careful

    @HOLDS_CALL
    async def straight(self, value: Any) -> Any:
        """Do the same where a call begins at once, because its permits are at hand."""
        gate, line = self.gate, self._line
        assert gate is not None
        assert line is not None
        if self.spent.is_timed or held.get() is not None or not gate.begins_at_once(line, None):
            return await self(value)
        self.begun += 1
        self.over += 1
        call = LeafCall(self)
        call.started = started = self.clock()
        self._hold(call)
        if wanted.is_asked:
            call.told = current.set(self.told_of(1, started, seat.get(), call))
        try:
            result = await self._fn(value)
        except Exception as error:
            self._over(call)
            again = await self.failed_first(call, value, error)
            if again is None:
                raise
        except BaseException:  # a cancellation says nothing of the other side
            self._over(call)
            self.dropped(call)
            raise
        else:
            self._over(call)
            self.went_well(call, value)
            return result
        return await self.go_on(value, again)

    async def go_on(self, value: Any, tries: Tries) -> Any:
        """Make another attempt, and more if it takes more."""
        token = None
        try:
            while True:
                tries.number += 1
                if tries.number > 1 or (not self._where and not self._first):
                    if token is not None:
                        given_back.reset(token)
                    token = given_back.set(None if tries.failure is None else self._back(tries.failure, tries, 1))
                try:
                    return await self._once(value, tries)
                except Exception as error:
                    if tries.final or not await self._rest_before_next(error, value, tries):
                        raise
        finally:
            if token is not None:
                given_back.reset(token)
            tries.failure = None  # whose frames keep this one

    @HOLDS_CALL
    async def call(self, value: Any, tries: Tries) -> Any:
        """Make one call, with its slot and its permits."""
        call = LeafCall(self, tries)
        try:
            if (wait := self._enter(call, value, tries)) is not None:
                await wait
        except Exception:  # what `by` or `weight` raised, or the last failure of an input whose time is over
            tries.final, call.unfit = True, None  # whose frames keep this one
            if self._alone and (place := seat.get()) is not None:
                place.uncalled(*((self.clock(), 0.0) if tries.last is None else tries.last))
            raise
        started = call.started = self.clock()
        if wanted.is_asked and self._where:
            call.told = current.set(self.told_of(tries.number, started, seat.get(), call))
        if tries.first is None:
            tries.first = started
        if self._alone and (place := seat.get()) is not None:
            place.begins(started)
        if tries.number > 1:
            self._scope.retried += tries.began_again()
        if tries.begun is not None and not tries.begun.done():
            tries.begun.set_result(None)
        try:
            if self._simple:
                result = await self._fn(value)
            else:
                result = await self._invoke(call, value, tries.first)
            if self._wants:
                await self._judge_value(result)
        except Exception as error:
            self._over(call)
            tries.last = started, self.clock() - started
            if self._where:  # else it is a part of a flow, whose steps tell that
                self.spent.called(tries.last[1])
                self._scope.took(error, tries.last[1])
            self._say_it_ended(tries, started, error)
            tries.pushback = self.failed(call, value, error)
            raise
        except BaseException:  # a cancellation says nothing of the other side
            self._over(call)
            self.dropped(call)
            raise
        self._over(call)
        took = self.clock() - started
        if self._where:
            self.spent.called(took)
        if self.watch.observers:
            self._say_it_ended(tries, started, None)
        if self.hedge is not None:
            self.hedge.succeeded(took)
        self.went_well(call, value)
        return result

    def went_well(self, call: LeafCall, value: Any) -> None:
        """Give back what a call held, or pass it on."""
        gate = self.gate
        if gate is None:
            self._free_slot()
            return
        record = (call, value, None, None, call.started, 0.0, 1)
        if not gate.passed_on(record):
            gate.returned(record, None, slot=True)
            gate.pump()

    def failed(self, call: LeafCall, value: Any, error: Exception) -> Pushback | None:
        """Tell whoever wants to know how a call failed, and give back what it held; return what that said of pace."""
        note(error, self._where)
        self._scope.add_nothing(call, self._path)
        pushback = pushback_of(error, time.time())
        ill = self._attempts.is_ill(error, pushback)
        if pushback is not None:
            self._scope.pushed_back(pushback)
            if self.hedge is not None:
                self.hedge.throttled(self.clock())
        retried = self._attempts.retry is not None
        if self.gate is None and (ill or (pushback is not None and pushback.concerns_others(retried=retried))):
            self._install((LimitState(),))
        gate = self.gate
        if gate is None:
            self._free_slot()
            return pushback
        if self._attempts.breaks:
            gate.failed(call, ill=ill)
        gate.returned((call, value, None, error, call.started, 0.0, 1), pushback, slot=True)
        gate.pump()
        return pushback

    def told_of(self, attempt: int, started: float, at: Seat | None, call: LeafCall | None = None) -> Call:
        """Return what `current_call` says of a call that began at that time."""
        scope = self._scope
        index, identity, root = place_and_identity(scope.run, at)
        return Call(scope, index, self._path, attempt, started - scope.watch.started, identity, root, call)

    def naming(self, invoke: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        """Return what makes the first attempt of an input, for whose code to know which it is."""

        async def call(value: Any) -> Any:
            token = current.set(self.told_of(1, self.clock(), seat.get()))
            try:
                return await invoke(value)
            finally:
                current.reset(token)

        return call

    def bound(self, due: float, started: float) -> Bound:
        """Return the bound of a call that is made the short way, from this task."""
        bound = Bound(due)
        bound.stubborn = self._giving_up(started)
        return bound

    def off_thread(self) -> None:
        """Do nothing: no permit waits for it, where this is told of the end of a call on its thread."""

    def plain(self, started: float) -> LeafCall:
        """Return what a call is to the gate that was made the short way, before there was one."""
        call = LeafCall(self)
        call.started = started
        return call

    async def failed_first(self, call: LeafCall, value: Any, error: Exception) -> Tries | None:
        """Do as `failed` for the first attempt of an input, and return when the next may be made; None: none may."""
        tries, started = Tries(), call.started
        tries.number, tries.first, tries.last = 1, started, (started, self.clock() - started)
        tries.pushback = self.failed(call, value, error)
        self.spent.called(tries.last[1])
        self._scope.took(error, tries.last[1])
        return tries if await self._rest_before_next(error, value, tries) else None

    def let_go(self) -> None:
        """Refer to itself no more, so that it is freed with the run; calls that were left behind still come home."""
        del self._once
        super().let_go()

    # -- what its gate calls: see `gate.Host` -----------------------------------------------------------------

    def arrived(self) -> None:
        """Have those who wait let through."""
        if self.gate is not None:
            self.gate.pump()

    @property
    def still(self) -> Still:
        """When the run stood still because somebody had paused it."""
        return self._scope.still

    def follow(self) -> None:
        """Have the run follow its limits."""
        self._scope.follow()

    def soon(self, act: Callable[[], None]) -> None:
        """Do something on the loop: at once if this is its thread."""
        if asyncio._get_running_loop() is self.loop:
            act()
        else:
            self._scope.tell(act)

    def fatal(self, error: BaseException) -> None:
        """Fail the calls that wait: it would be for ever."""
        if self.gate is not None:
            for line in self.gate.lines:
                self.unfit([(pair, RuntimeError(*error.args)) for pair in line.pending])

    def call_back(self) -> None:
        """Do nothing: a call that was let through is made, wherever that is."""

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Fail calls for which a limit's `weight` raised."""
        for (call, _), error in found:
            call.unfit = error
            wake((call, None))

    # -- private, in order of use -----------------------------------------------------------------------------

    def _enter(self, call: LeafCall, value: Any, tries: Tries) -> Coroutine[Any, Any, None] | None:
        """Have the call take a slot and a permit of each limit, or return what waits for them."""
        if self._bounded:
            call.outer = ask_around(self.limits, for_run=True)
        gate = self.gate
        if gate is None or gate.lines.asked:
            return self._admit(call, value, tries)
        pair = call, value
        if (line := gate.enter(pair, again=tries.number > 1)) is not None:
            return self._wait(call, pair, line, tries)
        self._hold(call)
        return None

    def _hold(self, call: LeafCall) -> None:
        """Have the code of the call know what it holds, and hear of it."""
        if not self._bounded:
            call.heard = listening.set(call)
            return
        assert self.gate is not None
        call.permits, call.holding_now = self.gate.lines.permits(call), True
        call.token = held.set(call)

    async def _admit(self, call: LeafCall, value: Any, tries: Tries) -> None:
        """Do the same where a slot is all there is to take, or functions of the user's are asked."""
        if self.gate is not None and self.gate.lines.asked:
            await self.asking.turn()
        if self.gate is None:
            if self.slots.room > 0:
                self.slots.take()
            else:
                by = self._by(tries)
                wait = partial(self._scope.deadlines.expect, by=by) if by < inf else None
                reason, since = self.slots.refusal, self.clock()
                got = await self.slots.acquire(again=tries.number > 1, wait=wait)
                self.spent.waited(reason, self.clock() - since)
                if not got:
                    assert tries.failure is not None
                    raise tries.failure
            if self.gate is None:
                self.over -= 1
                return
            self.slots.release()  # it has come meanwhile, and may have everybody wait
        if (line := self.gate.enter((call, value), again=tries.number > 1)) is not None:
            await self._wait(call, (call, value), line, tries)
        else:
            self._hold(call)

    async def _wait(self, call: LeafCall, pair: Pair, line: Line, tries: Tries) -> None:
        gate, place = self.gate, seat.get()
        assert gate is not None
        by = self._by(tries)
        since = self.clock()
        reason = gate.refusal(since) if self.slots.room > 0 else self.slots.refusal
        back = given_back.get() if tries.number > 1 or (self._first and tries.first is None) else None
        if place is not None:
            place.rest(back)
        try:
            while pair not in self.queue:  # it may be called back in the moment when it was let through
                if call.unfit is not None:
                    raise call.unfit
                call.waiter = self.loop.create_future()
                if not await self._scope.deadlines.expect(call.waiter, by):
                    assert tries.failure is not None
                    assert tries.first is not None
                    if (by := self._due(tries.first, inf)) <= self.clock():
                        raise tries.failure
            self.queue.remove(pair)
        except BaseException:  # a cancellation, mostly
            gate.withdraw(line, pair)
            raise
        finally:
            self.spent.waited(reason, self.clock() - since)
            if place is not None:
                place.resume(back)
            del back  # a failure's frames may keep this one
        self._hold(call)

    async def _judge_value(self, value: Any) -> None:
        """Fail a call whose value the retry does not want."""
        await self.asking.turn()
        unwanted = self._attempts.unwanted(value)
        if unwanted is not None:
            raise unwanted

    def _by(self, tries: Tries) -> float:
        """Return when an input's time for all its attempts is over."""
        return inf if tries.first is None else self._due(tries.first, inf)

    async def _invoke(self, call: LeafCall, value: Any, first: float) -> Any:
        if self._patient:
            return await self._made(call, value)
        started = call.started
        bound = Bound(self._patience.due(first, started), self._later(first, started))
        bound.stubborn = self._giving_up(started)

        def late() -> TimeoutError:
            return self._patience.error(started, self.clock())

        try:
            return await self._scope.deadlines.within(bound, late, self._made, call, value)
        finally:
            if bound.gone:
                raise GivenUp

    def _giving_up(self, started: float) -> Callable[[asyncio.Task[Any]], None] | None:
        """Return what is to be done should a call ignore its cancellation; None: nothing can be."""
        place = seat.get()
        settles = place is not None or self._scope.give_up is not None
        return partial(self._give_up, place, started) if settles else None

    def _give_up(self, place: Seat | None, started: float, task: asyncio.Task[Any]) -> None:
        """Settle the branch or the input of a call that ignores its cancellation."""
        error = self._patience.error(started, self.clock())
        note(error, self._where)
        if (settle := settled_by(task)) is not None:
            self._scope.leave(task, None if place is None else place.index)
        else:
            settle = self._scope.give_up if place is None else place.give_up
            self._scope.vacate(task)
        if settle is not None:  # else it was given up already
            settle(error)

    def _due(self, first: float, started: float) -> float:
        """Return when a call is past its time; while everything stands still that does not come nearer."""
        now, still = self.clock(), self._scope.still
        due = self._patience.due(first + still.within(first, now), started)
        return max(due, now + GLANCE) if still.now and due < started + self._patience.timeout else due

    def _later(self, first: float, started: float) -> Callable[[float], float] | None:
        return None if self._patience.total == inf else lambda _: self._due(first, started)

    async def _made(self, call: LeafCall, value: Any) -> Any:
        if not self._on_thread:
            return await self._fn(value)
        call.guard = threading.Lock()
        try:
            return await self._fn(value, call.returned)
        except asyncio.CancelledError:
            with call.guard:  # in there, or its thread could come home in between, and the permit with nobody
                call.left = not call.over
                if call.left and self.gate is not None:
                    self.gate.abandon(call, call)
            raise

    def dropped(self, call: LeafCall) -> None:
        """Give back what a call held that was cancelled."""
        if self.gate is None:
            self._free_slot()
        else:
            self.gate.dropped(call)
            self.gate.pump()

    def _free_slot(self) -> None:
        self.over += 1
        self.slots.release()

    def _over(self, call: LeafCall) -> None:
        if call.token is not None:
            held.reset(call.token)
            call.token = None
            call.holding_now = call.left and not call.over
        if call.heard is not None:
            listening.reset(call.heard)
        if call.told is not None:
            current.reset(call.told)

    def _say_it_ended(self, tries: Tries, started: float, error: Exception | None) -> None:
        if self.watch.observers and self._where:
            took = self.clock() - started
            self.watch.step_ended(StepCall(self._index(), self._path, tries.number, started, took, error))

    def _say_it_is_tried_again(self, error: Exception, value: Any, tries: Tries, wait: float) -> None:
        started, took = (self.clock(), 0.0) if tries.last is None else tries.last
        at, number = (self._index(), value, self._path), tries.number
        self.watch.attempt_failed(
            *at, attempt=number, error=error, wait=wait, started=started, took=took, tell=self._tell
        )

    def _index(self) -> int:
        """Return that of the input; inside a stage, of its item."""
        place = seat.get()
        return place.index if place is not None else 0

    async def _rest_before_next(self, error: Exception, value: Any, tries: Tries) -> bool:
        """Wait until a failed input may be tried again; return whether it may at all."""
        if self._judge:
            await self.asking.turn()
        place, scope = seat.get(), self._scope
        if scope.left:
            scope.check_left()
        if is_cancelled() or (place is not None and place.is_given_back()):
            return False
        now = self.clock()
        first = now if tries.first is None else tries.first
        budget = self._attempts.budget
        called = self.begun - (self.gate.pending if self.gate is not None else 0)
        wait = self._attempts.wait(error, tries.pushback, attempt=tries.number, first=first, calls=called, now=now)
        if budget is not None and budget.note:
            scope.notes.setdefault(f"{self.name}: {budget.note}")
        if wait is None:
            return False
        tries.failure = error
        if tries.number == 1:
            self._look_inside(error)
        self._say_it_is_tried_again(error, value, tries, wait)
        back = self._back(error, tries)
        scope.waiting += 1
        if place is not None:
            place.rest(back)
        try:
            await scope.deadlines.until(now + wait)
        finally:
            self.spent.waited(RETRIES, self.clock() - now)
            scope.waiting -= 1
            if place is not None:
                place.resume(back)
            del back, error  # a failure's frames may keep this one
        if place is not None:
            place.count(1)
        return True

    def _back(self, error: Exception, tries: Tries, counted: int = 0) -> Back:
        """Return what an input is given back as that has failed here, and is not tried again."""
        return Back(error, tries.last if self._alone else None, counted)

    def _look_inside(self, error: Exception) -> None:
        by = self._inside or retried_inside(error)
        if by:
            name = self.name
            self._scope.notes.setdefault(f"{name} is retried at two levels: by {by} inside it and by retry= here")

    def _install(self, limits: tuple[LimitState, ...]) -> None:
        self.gate = Gate(self, limits, self.slots, inside=self._scope.inside)
        self._line = self.gate.lines.only if self.limits and not self.gate.lines.asked else None
        self.spent.pinned, self.spent.is_timed = not self.may_go_straight, True
        self.gate.begin()
        self.gate.waits_for_slots = True
        if not self.limits:
            self.gate.count_before(self.over, self._began)
            self.gate.adopt(self.begun - self.over)  # what is in flight
            self.over = self.begun
