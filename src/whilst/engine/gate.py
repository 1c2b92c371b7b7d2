"""Which of the admitted inputs may start now? Stands between the source and the lanes of a run that has limits.

Inputs wait in a line for each value of a limit's `by=` (one line where there is none), so a host that is full does not
hold up the others. A line asks its limits for as many permits as there are lanes free, in one go, and a call that goes
well passes its permit on to the next input, which is why a limit costs a call next to nothing. The permit of a blocking
call that was given up stays out until its thread comes home.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from math import inf
from typing import Any, Protocol

from ..core.account import LIMIT, PAUSED, PUSHBACK
from ..core.headers import Left
from ..core.held import DOWN
from ..core.pushback import Pushback
from ..core.retried import retried_before
from ..lanes.clock import alone_later
from ..limit.context import check_cost
from ..limit.feedback import FAILED, OK, Report
from ..limit.holders import Inside
from ..limit.state import LimitState, unwatch, watch
from .asking import Asking
from .lines import Line, Lines
from .observer import Pauses, PausesHost
from .passing import Abandoned, Ended, Passing
from .slots import ENDLESS, Slots
from .source import Pair, emptied, taken_from

AT_ONCE = 64  # inputs whose keys are asked in a row
MOST_HIDDEN = 8  # refusals of one call that are told of


class Host(PausesHost, Protocol):
    """What a gate needs from the driver, or from a step."""

    queue: deque[Pair]

    @property
    def asking(self) -> Asking:
        """Return what asks functions of the user's."""
        ...

    def arrived(self) -> None:
        """Put lanes to work on the queue."""

    def fatal(self, error: BaseException) -> None:
        """End the run: it would wait for a permit for ever."""

    def call_back(self) -> None:
        """Have inputs handed back that were taken from the queue and are not called yet; see `Gate.unmade`."""

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Take note of inputs that cannot be called, because a limit's `by` or `weight` raised for them."""

    def follow(self) -> None:
        """Have as many lanes as the limits allow now, where nobody has said how many."""


class Gate:
    """Lets inputs into the lanes' queue as limits, pauses and the breaker permit."""

    def __init__(
        self,
        host: Host,
        limits: tuple[LimitState, ...],
        slots: Slots,
        concurrency: int = ENDLESS,
        *,
        inside: Inside = (),
    ) -> None:
        self.host: Host = host
        self.limits: tuple[LimitState, ...] = limits
        self.lines: Lines = Lines(
            limits,
            host.queue,
            slots,
            loop=host.loop,
            clock=host.clock,
            inside=inside,
            granted=self.granted,
            stuck=host.fatal,
            asking=host.asking,
        )
        self.keyed: bool = self.lines.keyed
        self.opened: int = 0
        """How often a breaker has opened."""
        self.pauses: Pauses = Pauses(host, limits)
        self.waits_for_slots: bool = False
        """Whether others take places too, so that this must be told when there are some."""
        self.refused: Line | None = None
        """The line that was refused a permit last, while there was a lane for it."""
        self._concurrency = concurrency
        self._slots = slots
        self._weighted = any(limit.weighted for limit in limits)
        if not (self.keyed or self._weighted):
            self.lines.of(None)
        self._only = self.lines.only
        self.inbox: deque[Pair] = deque() if self._only is None else self._only.pending
        """Where the source, or a journal, puts inputs; the line itself, if there can be but one."""
        self._again: deque[Pair] = deque()  # inputs that are to stand in a line again, before the others
        self._abandoned = Abandoned()
        self._passing = Passing(
            self.lines,
            limits,
            self._abandoned,
            loop=host.loop,
            clock=host.clock,
            settled=self._round_over,
        )
        self.passed_on: Callable[[Ended], bool] = self._passing.passed_on
        """Called for a call that went well: its permit and its slot are used for the next input, or are free; if it
        returns False, `returned` is to be told."""
        self._tells = any(limit.adaptive for limit in limits)  # whether a limit wants to know of successes
        self.hidden: Counter[str] = Counter()
        """How many attempts clients have made again by themselves, where a limit wants to know of refusals."""
        self._unfit: list[tuple[Pair, Exception]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._look_due = inf
        self._closed = self._ended = False
        self._moving = False  # whether a look at what has moved is under way

    @property
    def adapts(self) -> bool:
        """Whether that many change by themselves."""
        return self._tells and not self.keyed

    @property
    def concurrency(self) -> int:
        """How many calls may be in flight now, as far as that is one number for all."""
        if self.keyed:
            return self._concurrency
        return min([self._concurrency, *(now for limit in self.limits if (now := limit.statistics().concurrency))])

    @property
    def pending(self) -> int:
        """How many inputs wait here."""
        return self.lines.pending + (len(self.inbox) + len(self._again) if self._only is None else 0)

    @property
    def paused(self) -> float:
        """How many seconds all calls are held up by a pause or the breaker, from any thread; 0.0 where keys differ."""
        line = self.lines.only
        if line is None or self._closed:
            return 0.0
        opens = line.breaker.open_until if line.breaker is not None else None
        return max(0.0, line.acquirer.paused_until - self.host.clock(), (opens or 0.0) - self.host.clock())

    def held_up(self, now: float) -> tuple[str, ...]:
        """Say what holds its inputs up: pauses, else the rate that refusals have taught. From any thread."""
        paused, line = self.pauses.held.words(now), self.lines.only
        if paused or line is None or self._closed or not self.pending:
            return paused
        return tuple(found for queue in line.acquirer.queues if (found := queue.throttle.found))

    def refusal(self, now: float) -> str:
        """Return which limit holds its inputs up, or what the other side has said."""
        line = self.lines.only or self.refused
        if self.pauses.of_run or (line is not None and any(queue.throttle.stopped for queue in line.acquirer.queues)):
            return PAUSED
        if line is None:
            return f"{LIMIT}key"
        if line.broken:
            return PUSHBACK
        queues = line.acquirer.queues
        queue = line.acquirer.queue or queues[0]
        place = queues.index(queue) if queue in queues else 0
        named = self.limits[place].refusal(queue.throttle, now)
        return f"{LIMIT}{named}" if named else PUSHBACK

    # -- inputs -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Follow the limits from here on; its host is whole by now, and whoever moves a limit may be another thread."""
        watch(self.limits, self)
        if any(limit.stops for limit in self.limits):
            self.pauses.note_stops()

    def pump(self) -> None:
        """Let through what may start now."""
        lines = self.lines
        if self._closed:
            self._passing.settle()
            return
        if self._only is not None:
            lines.get_ready(self._only)
        else:
            self._stand_in_line()
        self._serve_ready()
        if lines.ready and self.waits_for_slots and self._slots.room <= 0:
            self._slots.join(self)
        if self._unfit:
            found, self._unfit = self._unfit, []
            self.host.unfit(found)
            found.clear()  # the frames of these failures keep this one

    def try_again(self, pairs: Sequence[Pair]) -> None:
        """Let inputs stand in line before the others, because they have waited once."""
        if self._only is None:
            self._again.extend(pairs)
        else:
            for pair in pairs:
                self.lines.add(self._only, pair, again=True)

    def take_out(self, unwanted: Callable[[Any], bool]) -> list[Pair]:
        """Return the inputs that wait here, as far as they are unwanted by their index, and forget them."""
        found = [] if self._only is not None else taken_from(self._again, unwanted) + taken_from(self.inbox, unwanted)
        found += self.lines.take_out_alone(unwanted)
        for line in self.lines:
            if out := self.lines.take_out(line, unwanted):
                found += out
                if self._weighted or not line.pending:
                    line.acquirer.withdraw()  # it may stand in line for one of these, with its weight
                self.lines.get_ready(line)
        return found

    def enter(self, pair: Pair, *, again: bool) -> Line | None:
        """Let a call begin at once, and return None; else have it wait in a line, before the others if `again`.

        What a limit's `by` raises comes out here.
        """
        keys = self.lines.keys(pair[1])
        line = self._only or self.lines.known(keys)
        if line is None and self._has_place() and self.lines.begins_alone(keys, pair[0]):
            return None
        line = line or self.lines.made(keys, pair[1])
        if self.begins_at_once(line, pair[0]):
            return None
        self.lines.add(line, pair, again=again)
        self.pump()
        return line

    def begins_at_once(self, line: Line, who: Any) -> bool:
        """Let a call begin if its permits are at hand, and nobody waits who would come first; else it has to enter."""
        if line.pending or self._weighted or not self._has_place():
            return False
        if line.breaker is not None and line.broken:
            return False
        if not self._passing.has_permit(line):
            return False
        self.lines.begin(line, who)
        return True

    def withdraw(self, line: Line, pair: Pair) -> None:
        """Forget a call that waited in a line, or was let through in this moment."""
        if pair in self.host.queue:
            self.host.queue.remove(pair)
            self.unused([pair])
        else:
            self.lines.take_out_one(line, pair)
            if self._weighted or not line.pending:
                line.acquirer.withdraw()
            self.lines.get_ready(line)
        self.pump()

    def count_before(self, done: int, began: float) -> None:
        """Count calls that were done before there was a gate, the first of which began at that time."""
        self.lines.of(None).count_before(done, began)

    def adopt(self, count: int) -> None:
        """Count calls that were in flight before there was a gate; their places are taken."""
        line = self.lines.of(None)
        line.acquirer.ask(count)
        line.in_flight += count

    # -- what moves -------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """Take note that a limit holds to other terms now, is paused, or goes on. From any thread."""
        if not (self._closed or self._moving):
            self._moving = True
            self.host.soon(self._heed_move)

    def _heed_move(self) -> None:
        self._moving = False
        self.look_around()

    def look_around(self) -> None:
        """Begin anew with what was let through and not called: it may not be called any more, or more may be."""
        if self._closed:
            return
        self.pauses.note_stops()
        self._passing.rated = any(limit.rated for limit in self.limits)
        self.lines.look_again()
        for line in tuple(self.lines):
            line.look_again()
        self.unmade(emptied(self.host.queue))
        for line in tuple(self.lines):
            self.lines.get_ready(line)
        self.host.follow()
        self.host.arrived()

    def hold(self, why: str) -> None:
        """Let nothing through, because the run was paused: `why`, in words; "" to go on."""
        self.pauses.of_run = why
        if self._closed:
            return
        self._slots.hold(on=bool(why))
        if not why:
            self.forget_saved()
        self.look_around()

    def forget_saved(self) -> None:
        """Have the limits make up for nothing that was not called until now."""
        for limit in self.limits:
            limit.forget_saved()

    def resize(self, concurrency: int) -> None:
        """Have another number of calls in flight at most."""
        more, self._concurrency = concurrency - self._concurrency, concurrency
        self._slots.resize(more)

    def correct(self, index: Any, cost: float, *, left: Any) -> bool | None:
        """Count what a call in flight cost indeed, at those of its limits that weigh calls. From any thread.

        `left` is what it is known by if it was given up. Returns False where no limit weighs calls, None if the call is
        over. Said again, the last word holds.
        """
        cost = check_cost(cost)
        if not self._weighted:
            return False
        if (counted := self._abandoned.costs.get(left)) is not None:
            line, taken = counted
        else:
            found, keys = self.lines.taken.get(index), self.lines.keys_of_call(index)
            if found is None or keys is None or (known := self.lines.known(keys)) is None:
                return None
            line, taken = known, found
        line.acquirer.correct(*taken, cost)
        return True

    # -- calls that return ------------------------------------------------------------------------------------

    def returned(self, record: Ended, pushback: Pushback | None, *, slot: bool) -> None:
        """Take note that a call has ended: its permit goes back, and if `slot` its lane is free."""
        if self._ended:
            return
        index, _, _, error, started, _, _ = record
        if pushback is None and not self._tells and not self._abandoned.calls and self.lines.end_alone(index):
            if slot:
                self._slots.release()
            return
        line = self.lines.end(index)
        if error is None and not self._tells:
            self._passing.back(line, record)
        else:
            line.settle()  # what is told of calls is told in the order of time
            line.counted += 1
            if error is None:
                self._heed_hidden(line, record)
            # the permit of a call that was left stays out; what it has to tell does not wait for it
            tell = line.acquirer.learn if self._abandoned.ended(index) else line.acquirer.finished
            if pushback is not None:
                asked = Report("rejected", pushback.retry_after, pushback.rate, pushback.window, pushback.limits)
                tell(started, asked)
            else:
                tell(started, FAILED if error is not None else OK)
        if pushback is not None and pushback.pauses:
            self._call_back(line.keys)
            self.pauses.note(line.keys, line.acquirer.paused_until, pushback.reason)
        if error is not None and line.breaker is not None and (opens := line.breaker.open_until) is not None:
            self.pauses.note(line.keys, opens, DOWN)
        if line.breaker is not None and error is None and line.breaker.succeeded(index, line.ended):
            self._look_at(self.host.clock())
        if slot:  # last, as it lets others start: by then the limits know
            self._slots.release()

    def allow(self, item: Any, left: Left) -> None:
        """Take note, in the middle of the call of an input, of how many calls an answer says are left.

        From any thread, and at once: what is heeded when other calls have come and gone says too much.
        """
        try:
            keys = self.lines.keys(item)
        except Exception:  # of the user's `by`, which has been asked before
            return
        self.allow_keys(keys, left)

    def allow_call(self, index: Any, left: Left) -> None:
        """Do the same for a call in flight, by who it is of."""
        keys = self.lines.keys_of_call(index)
        if keys is not None:
            self.allow_keys(keys, left)

    def allow_keys(self, keys: tuple[Hashable, ...], left: Left) -> None:
        """Do the same for these keys."""
        if self._closed:
            return
        acquirer = self.lines.acquirer(keys)
        if acquirer is None:
            return
        were_not_counted = acquirer.undisturbed()
        acquirer.allow(left)
        if were_not_counted or left.calls < 1:
            self.host.soon(lambda: self._heed(keys))
        if left.calls < 1:
            self.pauses.note(keys, acquirer.paused_until, "no calls are left")

    def failed(self, index: Any, *, ill: bool) -> None:
        """Take note, before `returned`, of a failure; `ill`: one that speaks of the other side's health."""
        if not ill and self.lines.stands_alone(index):
            return
        line = self.lines.of_call(index)
        if line.failed(index, self.host.clock(), ill=ill):
            self.opened += 1
            self._call_back(line.keys)

    def dropped(self, index: Any) -> None:
        """Take note that a call ended without an outcome."""
        if self._ended:
            return
        if not self._abandoned.calls and self.lines.end_alone(index):
            self._slots.release()
            return
        line = self.lines.end(index)
        line.withdrawn(index)
        if not self._abandoned.ended(index):
            line.acquirer.give_back()
        self._slots.release()

    def unused(self, pairs: Iterable[Pair]) -> None:
        """Give back the permits of inputs that were let through and not called."""
        for index, _ in pairs:
            if not self.lines.end_alone(index, made=False):
                line = self.lines.end(index)
                line.acquirer.refund()
                line.withdrawn(index)
            self._slots.release()

    def unmade(self, pairs: Sequence[Pair]) -> None:
        """Put inputs that were let through, and came back without a call, to the front of their lines."""
        keys = [self.lines.keys_of_call(index) or () for index, _ in pairs]
        self.unused(pairs)
        for each, pair in zip(reversed(keys), reversed(pairs), strict=True):
            self.lines.add(self.lines.known(each) or self.lines.made(each, pair[1]), pair, first=True)

    def free_slots(self, count: int) -> None:
        """Free the slots of calls that have returned without doing so."""
        self._slots.release(count)

    def abandon(self, index: Any, call: Any) -> None:
        """Take note that a call is given up; what else is told of it next frees its slot, not its permit.

        `call` tells it from the next one of the same input.
        """
        if not self._ended:
            line = self.lines.of_call(index)
            line.look_again()
            self._abandoned.add(index, line)
            if (taken := self.lines.taken.get(index)) is not None:
                self._abandoned.costs[call] = line, taken

    def leave(self, call: Any) -> None:
        """Do so with a call of which nothing is told until it ends: if it was a probe, another may go."""
        if not self._ended:
            self.abandon(call, call)
            self.lines.of_call(call).withdrawn(call)
            self.pump()

    def returned_late(self, index: Any) -> None:
        """Give back the permit of a call that was given up, now that it has returned; from any thread."""
        self._abandoned.returned_late(index)

    def close(self) -> None:
        """Let nothing more through."""
        self._closed = True
        unwatch(self.limits, self)
        if self._timer is not None:
            self._timer.cancel()
        self.pauses.close()
        for line in self.lines:
            if line.acquirer.wanted:
                line.acquirer.withdraw()

    def end(self) -> None:
        """Give every permit back but those of calls that were given up: the lanes are gone."""
        self.close()
        self.pump()
        for index in self._abandoned.calls.elements():
            self.lines.end(index)
            self._slots.release()
        self.lines.end_all_alone()
        for line in self.lines:
            if line.in_flight:
                line.acquirer.give_back(line.in_flight)
                line.look_again()
        self._ended = self._passing.over = True

    def let_go(self) -> None:
        """Let nothing in here refer to the run, or to this, any more; calls that were left behind still come home."""
        self._passing.let_go()
        self.lines.let_go()
        self.pauses.let_go()
        self.passed_on = self._passing.passed_on
        del self.host

    # -- what limits call -------------------------------------------------------------------------------------

    def granted(self, line: Line, count: int) -> None:
        """Use permits that were taken for a line meanwhile, as far as there are inputs and lanes."""
        used = 0
        if not self._closed and line.acquirer.paused_until <= self.host.clock():  # since they were taken
            used = max(0, min(count, len(line.pending), self._room(line)))
        if used < count:
            line.acquirer.refund(count - used)
        self.lines.start(line, used)
        if line.pending and not line.acquirer.wanted and not self._closed:
            self.lines.get_ready(line)
            self.pump()
        self.host.arrived()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _heed_hidden(self, line: Line, record: Ended) -> None:
        """Tell limits of refusals that a client got over by itself, as far as its answer shows that it tried again."""
        library, count = retried_before(record[2])
        if count:
            self.hidden[library] += count
            for _ in range(min(count, MOST_HIDDEN)):
                line.acquirer.learn(record[4], Report("rejected"))

    def _round_over(self) -> None:
        """Settle, as no lane may come by for long, while others wait for what came back."""
        self._passing.settle()
        if self.lines.ready and self._slots.room > 0:
            self.host.arrived()

    def _has_place(self) -> bool:
        """Whether there is a lane for a call that nobody waits for who would come first."""
        slots = self._slots
        if slots.free <= 0 or slots.waiting or self._closed:
            return False
        return slots.outer is None or (slots.outer.free > 0 and not slots.outer.waiting)

    def _serve_ready(self) -> None:
        """Have the lines ask that are ready, as far as there are lanes."""
        lines, slots = self.lines, self._slots
        if lines.ready and slots.room > 0:
            self._passing.settle()
        left = len(lines.ready)
        while left > 0 and slots.room > 0:
            left -= 1
            first = lines.next_ready()
            if isinstance(first, Line):
                self._serve(first)
            elif not lines.start_alone(first, slots.room):
                left += 1  # the line that was made for it is the last now

    def _stand_in_line(self) -> None:
        """As many as there is time for: `by` and `weight` are the user's."""
        has_time, go_on = self.host.asking.has_time, self.host.arrived
        for queue in (self._again, self.inbox):
            while queue:
                if not has_time(go_on):
                    return
                self._enter_first(queue)

    def _enter_first(self, queue: deque[Pair]) -> None:
        first = [*islice(queue, AT_ONCE)]
        found = self.lines.keys_of_each(first)
        for place in range(len(found)):
            if not queue or queue[0] is not first[place]:  # what was asked has ended what was to come
                break
            queue.popleft()
            self._enter(first[place], found[place], again=queue is self._again)
        first.clear()  # the frames of failures keep this one
        found.clear()

    def _enter(self, pair: Pair, keys: tuple[Hashable, ...] | Exception, *, again: bool) -> None:
        if isinstance(keys, Exception):
            self._unfit.append((pair, keys))
            return
        try:
            self.lines.enter(pair, keys, again=again)
        except Exception as error:  # of what has one key allow so much
            self._unfit.append((pair, error))

    def _serve(self, line: Line) -> None:
        room = min(len(line.pending), self._room(line))
        if room > 0 and not self._weighted:
            self.lines.start(line, line.acquirer.ask(room))
        has_time, go_on = self.host.asking.has_time, self.host.arrived
        while room > 0 and self._weighted and line.pending and has_time(go_on):
            if (started := self._start_first(line)) is None:
                break
            room -= started
        if line.pending and self._slots.room > 0:
            self.refused = line
        self.lines.get_ready(line)

    def _start_first(self, line: Line) -> int | None:
        """Start the first input of a line at its own weight, return how many: 0 if it is unfit, None if it waits."""
        try:
            self.host.asking.ask(self.lines.asked, line.acquirer.set.weigh, line.pending[0][1])
            taken = line.acquirer.ask(1)
        except Exception as error:  # of the user's `weight`
            first = line.pending[0][0]
            self._unfit += [(pair, error) for pair in self.lines.take_out(line, lambda index: index == first)]
            return 0
        self.lines.start(line, taken)
        return taken or None

    def _room(self, line: Line) -> int:
        """Return how many calls of the line there are lanes for, and the breaker lets through."""
        room = self._slots.room
        if line.breaker is None:
            return room
        now = self.host.clock()
        allowed = line.breaker.room(now)
        if not allowed and line.breaker.open_until is not None and line.breaker.open_until > now:
            self._look_at(line.breaker.open_until)
        return int(min(room, allowed))

    def _heed(self, keys: tuple[Hashable, ...]) -> None:
        """Have calls that were let through and not made wait for what is left."""
        if not self._closed:
            if (line := self.lines.known(keys)) is not None:
                line.settle()
            self._call_back(keys)
            self.host.arrived()

    def _call_back(self, keys: tuple[Hashable, ...]) -> None:
        """Put what was let through and not called back to the front: the calls of these keys pause from now on."""
        taken = emptied(self.host.queue)
        back = [pair for pair in taken if self.lines.keys_of_call(pair[0]) == keys]
        self.host.queue.extend(pair for pair in taken if self.lines.keys_of_call(pair[0]) != keys)
        self.unmade(back)
        self.host.call_back()

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            if self._look_due <= when:
                return
            self._timer.cancel()
        self._look_due = when
        self._timer = alone_later(self.host.loop, max(0.0, when - self.host.clock()), self._look)

    def _look(self) -> None:
        self._timer = None
        self.pump()
        self.host.arrived()
