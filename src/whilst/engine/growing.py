"""Inputs that are added while a run goes on: where do they stand, and how do they get in?

They stand in the frontier, the one thing of a run that grows with its inputs, until there is room for them. Then they
are admitted before what the source has still to give. What a call adds stands aside until the call has ended well.
"""

from __future__ import annotations

import asyncio
import threading
from _blake2 import blake2b  # hashlib brings OpenSSL: a loop stood 4 ms longer at the first use of a journal
from collections import deque
from collections.abc import Callable, Hashable
from contextvars import Context
from typing import Any, Protocol

from ..core.call import Step
from ..core.grown import Grown
from ..core.outcome import Record
from ..core.plan import Plan
from ..lanes.results import tell
from .book import Book
from .keeping import Keeping
from .source import Queue, Reader, Source

GUARD = threading.Lock()  # between those who add, on any thread, and the end of a run
LONG = 40  # characters of a key from which on its digest is kept instead

Added = tuple[Any, Any]  # an input, and the key that it was added by


class Growth:
    """What was added to one run; `GUARD` is held wherever more than one thread may be at it."""

    __slots__ = ("aside", "count", "frontier", "seen", "told", "watched")

    def __init__(self) -> None:
        self.frontier: deque[Any] = deque()
        """What is not admitted yet."""
        self.count: int = 0
        self.seen: set[Hashable] = set()
        """The keys of all that was added by one."""
        self.aside: dict[int, list[tuple[object, Added]]] = {}
        """By the index of its input: what a call has added, and in which attempt, or which call of a step it was."""
        self.told: bool = False
        """Whether the loop will look at it soon."""
        self.watched: bool = False
        """Whether the run looks, at each outcome, for what its call has added."""

    def put(self, item: Any, key: Any) -> bool:
        """Take an input, unless its key was there before."""
        if key is not None:
            known = _known(key)
            if known in self.seen:
                return False
            self.seen.add(known)
        self.frontier.append(item)
        self.count += 1
        return True

    def of(self, record: Record) -> list[Added]:
        """Take what the call of an outcome has added: nothing, if it failed."""
        found = self.aside.pop(record[0], ())
        if record[3] is not None:
            return []
        return [added for by, added in found if not isinstance(by, int) or by == record[6]]

    def forget(self, index: int, failed: Step) -> None:
        """Forget what the call of a step has added for an input."""
        if index in self.aside:
            found = self.aside[index]
            self.aside[index] = [it for it in found if not (isinstance(it[0], Step) and it[0].is_of(failed))]

    def pushing(self, push: Callable[[Record], None], grow: Callable[[list[Added]], None]) -> Callable[[Record], None]:
        """Return `push`, after which what the call has added is in."""
        aside = self.aside

        def push_and_grow(record: Record) -> None:
            if record[0] in aside and (added := self.of(record)):
                grow(added)
            push(record)

        return push_and_grow

    def keeping(self, keep: Callable[[Record], None], grow: Callable[[list[Added]], None]) -> Callable[[Record], None]:
        """Return the `keep` of a journal, which keeps with a value what its call has added."""
        aside = self.aside

        def keep_and_grow(record: Record) -> None:
            added = self.of(record) if record[0] in aside else []
            if not added:
                keep(record)
                return
            keep((*record[:2], Grown(record[2], added), *record[3:]))
            grow(added)

        return keep_and_grow


class Host(Reader, Protocol):
    """What this needs from the driver."""

    book: Book
    keeping: Keeping | None
    plan: Plan
    additions: Additions

    def refill(self) -> None:
        """Let the source fill the room."""

    def goes_on(self) -> None:
        """Take note that more comes although nothing more was to come."""

    def is_late(self) -> bool:
        """Whether the deadline has passed, which ends the run now if nothing did before."""
        ...

    def goes_by(self, plan: Plan) -> None:
        """Go by another plan from here on."""


class Additions:
    """What may be added to one run, and whether it still may.

    A run whose consumer is code of the user's does not end when all is done: it is quiet, until that code asks for the
    next outcome, or adds.
    """

    def __init__(self, host: Host, *, in_hand: bool) -> None:
        self.quiet: bool = False
        """Whether all is done but what the consumer, which has an outcome in hand, may yet add."""
        self.over: bool = False
        """Whether nothing can be added any more."""
        self.in_hand: bool = in_hand
        """Whether the consumer is code of the user's, which may add inputs before it asks for the next outcome."""
        self._growth: Growth | None = None
        self._total: int | None = None  # of the source, once the run grows, or once it has told by its end
        self._name = host.plan.name
        self._host = host

    @property
    def pending(self) -> bool:
        """Whether something was added that is not admitted yet; under `GUARD`."""
        return self._growth is not None and bool(self._growth.frontier) and not self._host.book.stopping

    @property
    def total(self) -> int | None:
        """How many inputs there will be, as far as is known."""
        added = self._growth.count if self._growth is not None else 0
        return self._host.plan.total if self._total is None else self._total + added

    def has_read(self, count: int) -> None:
        """Take note that the source has ended, after so many inputs."""
        if self.total is None:
            self._total = count
            self._tell_total()

    def begin_with(self, growth: Growth) -> None:
        """Take what was added before the start."""
        self._growth = growth
        self._begin_to_grow(growth)
        self._tell_total()

    def add(self, item: Any, key: Any) -> bool:
        """Take one more input, unless its key was there before, or nothing new is started; from any thread."""
        with GUARD:
            if self.over:
                raise has_ended(self._name)
            if self._host.book.stopping:
                return False
            growth = self._made()
            if not growth.put(item, key):
                return False
            self.quiet = False
            if growth.told:
                return True
            growth.told = True
        tell(self._host.loop, self._grow)
        return True

    @property
    def aside(self) -> bool:
        """Whether any call has added something that is not in yet."""
        return self._growth is not None and bool(self._growth.aside)

    def forget(self, index: int, failed: Step) -> None:
        """Forget what the call of a step has added for an input, and all calls inside it: it failed."""
        with GUARD:
            if self._growth is not None:
                self._growth.forget(index, failed)

    def add_later(self, index: int, by: object, item: Any, key: Any) -> None:
        """Take one more input when a call has ended well; on the thread of the call."""
        with GUARD:
            if self.over or self._host.book.finished:
                raise has_ended(self._name)
            if self._host.plan.as_stream:
                raise no_run_to_grow()
            growth = self._made()
            growth.aside.setdefault(index, []).append((by, (item, key)))
            if not growth.watched:
                growth.watched = True
                if self._host.keeping is None:
                    self._host.book.pushes_by(growth.pushing, self.add_all)
                else:
                    self._host.keeping.adds_by(growth.keeping, self.add_all)

    def add_all(self, added: list[Added]) -> None:
        """Take what a call has added, which has ended now or in an earlier run; on the loop."""
        with GUARD:
            if self.over or self._host.book.stopping:
                return
            growth = self._made()
            for item, key in added:
                growth.put(item, key)
            if growth.told or not growth.frontier:
                return
            growth.told = True
        self._host.loop.call_soon(self._grow)

    def is_over(self) -> bool:
        """Whether nothing more comes, now that the consumer asks for more of a run that is quiet; from any thread."""
        with GUARD:
            if self.quiet:
                self.over = True
            return self.over

    def let_go(self) -> None:
        """Refer to the run no more: it has ended."""
        self.over, self._growth = True, None
        del self._host

    # -- private, in order of use -----------------------------------------------------------------------------

    def _made(self) -> Growth:
        if self._growth is None:
            self._growth = Growth()
        return self._growth

    def _grow(self) -> None:
        """Admit what was added."""
        growth = self._growth
        if growth is None or self._host.book.finished:
            return
        growth.told = False
        if self._host.is_late():  # it was quiet when that time came
            return
        self._begin_to_grow(growth)
        source = self._host.book.source
        if isinstance(source, Growing):
            source.go_on()
        self._tell_total()

    def _tell_total(self) -> None:
        """Have the journal know it, whose status is read while the run goes on, and after it."""
        total, keeping = self.total, self._host.keeping
        if total is not None and keeping is not None:
            keeping.knows_total(total)

    def _begin_to_grow(self, growth: Growth) -> None:
        """Read what was added besides the source; how many inputs there will be is not known from here on."""
        host = self._host
        if isinstance(host.book.source, Growing):
            return
        host.book.source = Growing(host, host.book.source, growth.frontier)
        self._total = host.plan.total if self._total is None else self._total
        host.goes_by(host.plan._replace(total=None))


class Growing(Source):
    """The source of a run that grows: what was added, and before or after it what another source gives."""

    admitted: int
    full: bool

    def __init__(self, host: Host, inner: Source, frontier: deque[Any]) -> None:
        self.loop: asyncio.AbstractEventLoop = host.loop
        self.source_context: Context = host.source_context
        super().__init__(host, inner.inbox)
        self._host = host
        self._inner = inner
        self._frontier = frontier
        self._given: Queue = deque()  # by the other source, under its own numbers
        self._inner_over = self._over = host.book.exhausted
        self._error: BaseException | None = None
        self._limit = 0
        self.admitted = inner.redirect(self._given, self)

    # -- as a source ------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> str:
        """What the other source is doing."""
        return self._inner.waiting

    def fill(self, limit: int) -> None:
        """Admit what was added, then what the other source has."""
        self._limit = limit
        while self._frontier and self.admitted < limit:
            self._admit(self._frontier.popleft())
        if not self._inner_over:
            self._move()
            self._inner.fill(self._inner.admitted + max(0, limit - self.admitted))
            self._move()
        self.full = self.admitted >= limit
        self._look_for_the_end()

    def close(self) -> None:
        """Admit nothing more."""
        self._frontier.clear()
        self._given.clear()
        self._inner.close()

    async def gone(self) -> None:
        """Return when the other source is gone."""
        await self._inner.gone()

    def go_on(self) -> None:
        """Take note that something was added."""
        if self._over and self._frontier:
            self._over = False
            self._host.goes_on()
        self._host.refill()

    # -- as the reader of the other source --------------------------------------------------------------------

    def arrived(self) -> None:
        """Give on what has come."""
        self._move()
        self._host.arrived()

    def turn(self) -> None:
        """Take note that the other source has all that there is room for."""
        self._host.turn()

    def ended(self, error: BaseException | None) -> None:
        """Take note that the other source has no more."""
        self._inner_over, self._error = True, error
        if error is None:
            self._host.additions.has_read(self._inner.admitted)
        self._move()
        self._look_for_the_end()

    def create_task(self, coroutine: Any, context: Context) -> asyncio.Task[None]:
        """Start a task of the run."""
        return self._host.create_task(coroutine, context)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _admit(self, item: Any) -> None:
        self.inbox.append((self.admitted, item))
        self.admitted += 1

    def _move(self) -> None:
        while self._given:
            self._admit(self._given.popleft()[1])

    def _look_for_the_end(self) -> None:
        if self._inner_over and not self._frontier and not self._over:
            self._over, error, self._error = True, self._error, None
            self._host.ended(error)


def no_run_to_grow() -> RuntimeError:
    """Return what to say to who adds an input where no run takes inputs."""
    return RuntimeError(
        "no run here takes inputs: this is a flow over one value\n"
        "  try: whilst.map(flow, [value]), whose calls can add inputs"
    )


def has_ended(name: str) -> RuntimeError:
    """Return what to say to who adds an input too late."""
    return RuntimeError(
        f"this run of {name} has ended, so nothing can be added to it\n"
        "  try: add before you ask for the next outcome, or start a new map over the new inputs"
    )


def _known(key: Any) -> Hashable:
    """Return what is remembered of a key: of a long text 16 bytes, so that it costs no more than a short one."""
    if type(key) is str and len(key) > LONG:
        return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if type(key) is bytes and len(key) > LONG:
        return blake2b(key, digest_size=16, person=b"bytes").digest()
    kind: Any = type(key)  # pyright: ignore[reportUnknownVariableType]
    return key if kind is str or kind is int else (kind, key)
