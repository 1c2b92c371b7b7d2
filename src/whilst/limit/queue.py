"""Who is next at a limit? One queue of parties for each key, first come, first served.

A party stands in the queue of the first limit that refuses it. When that one can grant, all of its limits are asked
again; if another refuses now, the party moves into that queue, to the place that its age gives it.

What one party gives back is granted to others while the lock is held, and they are told when it is free again
(`ToBeTold`), as what they do then may want it. A party on another loop hears of it when that loop comes round, which it
may never do: one that stands still and is closed. What was granted there (`Uncollected`) is reclaimed when somebody
else waits.

Would a wait ever end (`Circles`), where the ones who wait are inside calls that hold permits themselves? A call may
start others and await them, and these may ask for a limit that the call itself is under. That is no harm while somebody
who holds a permit of it can leave; it is for ever once each of them waits for one that waits in turn. Nobody says who
awaits whom, so a call counts as awaiting whatever it started: the wait that would close the circle is refused.
"""

from __future__ import annotations

import asyncio
import itertools
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections import deque
from collections.abc import Iterable, Iterator
from math import inf
from types import MappingProxyType
from typing import Any, Protocol

from ..core.throttle import Throttle
from .lock import empty_in_child, lock


class Granted(Protocol):
    """Who was granted something on a loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where it takes that."""
        ...

    def reclaim(self) -> None:
        """Give everything up: the loop is closed."""
        ...


class ToBeTold:
    """Parties that were granted something and do not know it yet."""

    def __init__(self) -> None:
        self._parties: deque[Party] = deque()

    def add(self, party: Party) -> None:
        """Have a party told by the next `settle`; for those who have the lock."""
        self._parties.append(party)

    def settle(self, *, fresh: bool = False) -> None:
        """Tell them; the lock is free again.

        `fresh`: this is called by a loop, not by code of a party, so those on this loop may be told at once.
        """
        parties = self._parties
        while parties:
            try:
                party = parties.popleft()
            except IndexError:  # another thread was faster
                return
            party.tell(fresh=fresh)

    def __bool__(self) -> bool:
        return bool(self._parties)

    def _empty(self) -> None:
        """Tell nobody: in a forked child nobody waits."""
        self._parties.clear()


class Uncollected:
    """Parties that were granted something and have not taken it, by their loop; for those who have the lock."""

    def __init__(self) -> None:
        self._loops: dict[asyncio.AbstractEventLoop, dict[Granted, None]] = {}

    def add(self, party: Granted) -> None:
        """Take note that something was granted to a party with a loop."""
        assert party.loop is not None
        parties = self._loops.get(party.loop)
        if parties is None:
            parties = self._loops[party.loop] = {}
        parties[party] = None

    def remove(self, party: Granted) -> None:
        """Take note that it has taken it."""
        assert party.loop is not None
        parties = self._loops.get(party.loop)
        if parties is not None:
            parties.pop(party, None)
            if not parties:
                del self._loops[party.loop]

    def elsewhere(self) -> bool:
        """Whether a party on another loop than the one that runs here has not taken what it was granted."""
        return len(self._loops) > (running_loop() in self._loops)

    def reclaim(self) -> None:
        """Have those whose loop is closed give up what they were granted; the caller serves and settles."""
        if not self._loops:
            return
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            for party in self._loops.pop(loop):
                party.reclaim()

    def __bool__(self) -> bool:
        return bool(self._loops)

    def _empty(self) -> None:
        """Forget all: nothing is granted yet in a forked child."""
        self._loops.clear()


told: ToBeTold = ToBeTold()
uncollected: Uncollected = Uncollected()
empty_in_child(told)
empty_in_child(uncollected)


class Holder(Protocol):
    """One who holds permits."""

    @property
    def holding(self) -> bool:
        """Whether it does so now."""
        ...


class Circles:
    """Who waits inside whom. Every method is for those who have the lock."""

    def __init__(self) -> None:
        self.keepers: dict[Party, None] = {}
        """Those for whom queues are kept; who else may use these depends on who waits inside whom."""
        self._waiters: dict[Holder, dict[Party, None]] = {}
        self._stuck: dict[WaitQueue, dict[Holder, int]] = {}  # who holds a permit, with how many who wait inside

    def begin(self, waiter: Party) -> None:
        """Take note that somebody waits."""
        for holder, queues in waiter.inside:
            self._waiters.setdefault(holder, {})[waiter] = None
            for queue in queues:
                counts = self._stuck.setdefault(queue, {})
                counts[holder] = counts.get(holder, 0) + 1
        for keeper in tuple(self.keepers):
            serve(keeper.queues)

    def end(self, waiter: Party) -> None:
        """Take note that it does not any more; nothing happens if it did not."""
        for holder, queues in waiter.inside:
            waiters = self._waiters.get(holder, {})
            if waiter not in waiters:
                continue
            del waiters[waiter]
            if not waiters:
                del self._waiters[holder]
            for queue in queues:
                counts = self._stuck[queue]
                counts[holder] -= 1
                if not counts[holder]:
                    del counts[holder]
                if not counts:
                    del self._stuck[queue]

    def waits_for(self, one: Party, other: Party) -> bool:
        """Whether one who waits does so for a call, or what that awaits, inside which the other asks."""
        held = {queue for _, queues in other.inside for queue in queues}
        if not held:
            return False
        wanted, waiters = set(one.queues), {waiter for waiters in self._waiters.values() for waiter in waiters}
        while held.isdisjoint(wanted):
            before = len(wanted)
            for waiter in waiters:
                if any(queue in wanted for _, queues in waiter.inside for queue in queues):
                    wanted.update(waiter.queues)
            if len(wanted) == before:
                return False
        return True

    def closed(self, queues: tuple[WaitQueue, ...]) -> bool:
        """Whether a permit of each of these will never come, as all who hold one wait for what never comes."""
        stuck: dict[WaitQueue, list[Holder]] = {}  # as far as nobody can leave but those who wait
        todo, alive = list(queues), set[WaitQueue]()
        while todo:
            queue = todo.pop()
            if queue in stuck or queue in alive:
                continue
            if holders := self._all_stuck(queue):
                stuck[queue] = holders
                todo += [wanted for holder in holders for waiter in self._waiters[holder] for wanted in waiter.queues]
            else:
                alive.add(queue)
        while freed := [queue for queue, holders in stuck.items() if any(self._leaves(one, alive) for one in holders)]:
            alive.update(freed)
            for queue in freed:
                del stuck[queue]
        return any(queue in stuck for queue in queues)

    def _all_stuck(self, queue: WaitQueue) -> list[Holder]:
        """Return all who hold a permit if each of them waits; an empty list if anybody can leave, or time helps."""
        holders, throttle = self._stuck.get(queue), queue.throttle
        if holders is None or throttle.in_flight > len(holders) or throttle.stopped:
            return []  # who has paused it goes on with it
        still = [holder for holder in holders if holder.holding]
        if throttle.in_flight > len(still) or throttle.delay(queue.clock()) < inf:
            return []
        return still

    def _leaves(self, holder: Holder, alive: set[WaitQueue]) -> bool:
        """Whether everything comes that is waited for inside a holder."""
        return all(queue in alive for waiter in self._waiters[holder] for queue in waiter.queues)

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def _empty(self) -> None:
        """Forget everybody, in a forked child."""
        self.keepers.clear()
        self._waiters.clear()
        self._stuck.clear()


circles: Circles = Circles()
empty_in_child(circles)


LEAST = 0.001  # seconds between two looks at the clock: timers are no finer, and rates make up for 5 ms
LONG = 1.0  # seconds; nothing is kept for a party that another limit lets wait for longer
PATIENT = 8  # how often a party lets others go first because of a limit elsewhere; see `WaitQueue.kept_for`
NOBODY_YET: Any = ()  # in the place of an empty deque, which takes 760 bytes; whoever comes first makes one
_NO_ALARMS: Any = MappingProxyType[Any, Any]({})
HEARTBEAT = 1.0  # seconds after which one who waits looks whether a loop that was granted something has been closed

tickets: Iterator[int] = itertools.count()


class Unrest:
    """Counts what may end the calm of any queue: whoever found one calm need not look again until this has changed."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: int = 0


unrest: Unrest = Unrest()


class Clock(Protocol):
    """What tells the time of a loop; a class, as type checkers take a plain callable in a protocol for a method."""

    def __call__(self) -> float:
        """Return seconds."""
        ...


class Party(Protocol):
    """Who stands in a queue; `Acquirer` is the one there is."""

    loop: asyncio.AbstractEventLoop | None
    ticket: int
    """How old its wish is, against others'."""
    bounced: int
    """How often one limit would have granted and another refused."""
    queue: WaitQueue | None
    wanted: int
    clock: Clock

    @property
    def inside(self) -> tuple[tuple[Holder, tuple[WaitQueue, ...]], ...]:
        """Those who hold permits and may await it, and what each holds."""
        ...

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """What it waits for: a permit of each."""
        ...

    def tell(self, *, fresh: bool) -> None:
        """Tell it what it was granted; see `ToBeTold.settle`."""

    def refusal(self) -> tuple[WaitQueue, float] | None:
        """Return the first queue that refuses, and for how long; None if a permit can be had."""
        ...

    def grant(self, count: int) -> int:
        """Take up to `count` permits and have the party told of them, after the lock is free."""
        ...

    def fail_if_stuck(self) -> bool:
        """Wait no longer if that would be for ever; whether that was so."""
        ...

    def crowded(self) -> bool:
        """Whether others stand in any of its queues."""
        ...

    def keep(self) -> None:
        """Keep its queues for itself, so that the next look finds them free."""
        ...

    def let_go(self) -> list[WaitQueue]:
        """Keep no queue any longer; return those that are free now."""
        ...

    def look_at(self, due: float) -> None:
        """Look again at the time `due`: called for a party on a plain thread, which has no timer."""
        ...


class Alarm:
    """The one timer of a queue on one loop, for all parties there."""

    __slots__ = ("due", "handle", "loop", "parties")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.parties: int = 0
        self.due: float = inf
        self.handle: asyncio.TimerHandle | None = None


class WaitQueue:
    """The parties that wait for one key of a limit, oldest first, and what tells when the first may go.

    Every method is for those who have the lock.
    """

    __slots__ = ("alarms", "clock", "gone", "kept_for", "look_due", "parties", "throttle")

    def __init__(self, throttle: Throttle, clock: Clock) -> None:
        self.throttle: Throttle = throttle
        self.clock: Clock = clock
        self.parties: deque[Party] = NOBODY_YET
        self.alarms: dict[asyncio.AbstractEventLoop, Alarm] = _NO_ALARMS
        self.look_due: float = inf
        """When the alarms ring, if time alone helps the first in line. What comes back before is no reason to look:
        that would be one look for each call, and a loop that never rests, where one a millisecond does."""
        self.gone: bool = False
        """Whether the limit has forgotten this key; another queue has taken its place if it came back."""
        self.kept_for: Party | None = None
        """Who alone may take a permit now: without this, two limits whose permits are always taken the moment they
        come back would starve whoever needs both. The oldest gets its way, and holds nothing meanwhile. It passes
        over nobody who asks inside a call whose permit it waits for: that call would never end."""

    def meet(self, clock: Clock) -> None:
        """Keep another clock's time from now on, so that nothing seems years away after a test on virtual time."""
        if clock is not self.clock:
            self.throttle.shift(clock() - self.clock())
            self.clock = clock
            self.look_due = inf
            for alarm in self.alarms.values():
                alarm.due = inf

    def open_to(self, party: Party) -> bool:
        """Whether it is this party's turn, if there were a permit."""
        kept = self.kept_for
        if kept is not None and kept is not party:
            return party.ticket < kept.ticket or circles.waits_for(kept, party)
        return not self.parties or party.ticket <= self.parties[0].ticket

    def join(self, party: Party) -> None:
        """Put a party into its place, by its age."""
        unrest.count += 1
        if self.parties is NOBODY_YET:
            self.parties = deque()
        behind: list[Party] = []
        while self.parties and self.parties[-1].ticket > party.ticket:
            behind.append(self.parties.pop())
        self.parties.append(party)
        self.parties.extend(reversed(behind))
        party.queue = self
        loop = party.loop
        if loop is not None:
            alarm = self.alarms.get(loop)
            if alarm is None:
                alarm = Alarm(loop)
                self.alarms = {**self.alarms, loop: alarm}
            alarm.parties += 1
            if alarm.parties > 1 and self.parties[0] is not party and self.kept_for is None:
                return  # the alarm is set, if time can help at all
        self.look()

    def leave(self, party: Party) -> None:
        """Take a party out."""
        if self.parties[0] is party:
            self.parties.popleft()
        else:
            self.parties.remove(party)
        party.queue = None
        loop = party.loop
        if loop is None:
            return
        alarm = self.alarms[loop]
        alarm.parties -= 1
        if not alarm.parties:
            del self.alarms[loop]
            if alarm.handle is not None and loop is running_loop():
                alarm.handle.cancel()

    def waits_for_time(self) -> bool:
        """Whether the first in line cannot go before its alarm rings, whatever comes back."""
        return self.look_due < inf and self.clock() < self.look_due

    def look(self) -> None:
        """Set the alarms for the moment when the first may go, if time alone brings that."""
        head = self._first()
        refusal = head.refusal()
        wait = refusal[1] if refusal is not None and refusal[0] is self else 0.0
        now = head.clock()
        self.look_due = now + max(wait, LEAST)
        if wait == inf:
            if not uncollected.elsewhere():
                return
            wait = HEARTBEAT  # a loop that is closed tells nobody
        due = now + wait
        here = running_loop()
        for alarm in tuple(self.alarms.values()):
            if alarm.due <= due:
                continue
            alarm.due = due
            if alarm.loop is here:
                self._set(alarm, wait)
            else:
                try:
                    alarm.loop.call_soon_threadsafe(self._set_there, alarm)
                except RuntimeError:  # that loop is closed: its parties are dropped when their turn comes
                    continue
        if head.loop is None:
            head.look_at(due)

    def serve(self) -> None:
        """Grant all that is due, in turn."""
        while self.parties:
            head = self._first()
            refusal = head.refusal()
            if refusal is None:
                self._grant(head)
            elif refusal[0] is self:
                if refusal[1] == inf and circles and self._fail_one():
                    continue
                if head.bounced >= PATIENT and LONG < refusal[1] < inf:
                    serve([queue for queue in head.let_go() if queue is not self])
                self.look()
                return
            else:
                self._move(head, refusal[0])

    def empty(self) -> None:
        """Forget all who wait: in a forked child nobody does."""
        self.parties = NOBODY_YET
        self.alarms = _NO_ALARMS

    def _first(self) -> Party:
        """Return who is next: the oldest, but where this is kept one for whom the keeper waits, if there is any."""
        first = self.parties[0]
        if self.kept_for is None or self.open_to(first):
            return first
        return next((party for party in self.parties if self.open_to(party)), first)

    def _grant(self, head: Party) -> None:
        """Give the first what there is; one permit at a time while others stand behind it."""
        crowded = head.wanted > 1 and head.crowded()
        head.wanted -= head.grant(1 if crowded else head.wanted)
        freed = head.let_go() if head.bounced else []
        if crowded or not head.wanted:
            self.leave(head)
            if head.wanted:
                head.ticket = next(tickets)
                self.join(head)
        if freed:
            serve([queue for queue in freed if queue is not self])

    def _fail_one(self) -> bool:
        """Fail one of those who wait if all wait for each other; whether that was so."""
        return circles.closed((self,)) and any(party.fail_if_stuck() for party in reversed(self.parties))

    def _move(self, head: Party, refusing: WaitQueue) -> None:
        self.leave(head)
        head.bounced += 1
        if head.bounced >= PATIENT:
            head.keep()
        refusing.join(head)

    def _set(self, alarm: Alarm, wait: float) -> None:
        if alarm.handle is not None:
            alarm.handle.cancel()
        alarm.handle = alarm.loop.call_later(max(wait, LEAST), self._ring, alarm)

    def _set_there(self, alarm: Alarm) -> None:
        with lock:
            if alarm.due < inf and alarm.parties:
                self._set(alarm, alarm.due - self.clock())

    def _ring(self, alarm: Alarm) -> None:
        """Look at the clock again, as timers may be early, and grant what is due."""
        with lock:
            alarm.handle, alarm.due = None, inf
            uncollected.reclaim()
            if self.parties:
                self.serve()
        told.settle(fresh=True)


def serve(queues: Iterable[WaitQueue]) -> None:
    """Grant what can be granted after something has come back; the caller has the lock, and settles afterwards."""
    for queue in queues:
        if queue.parties:
            queue.serve()
