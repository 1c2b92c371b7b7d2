"""What does a run ask of its journal, and when may an outcome be given to the consumer of a run that keeps one?

At once, if the journal is buffered; once it is durable, if it is strict. The run ends when all of it is durable. What
cannot be stored is never given as a value: it is the failure of its own input, and the run stops.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..core.grown import Grown
from ..core.outcome import Record
from ..errors import JournalError
from ..lanes.awaiting import TWO_MEANINGS, without_our_frames
from ..lanes.port import nothing
from .source import Pair, Reader


class OpenJournal(Protocol):
    """The journal of one run, open; every method is called on the run's loop, and none waits for the disk."""

    run_id: bytes
    """What tells this journal from all others, over all runs that it has."""
    strict: bool
    """Whether an outcome is given to the consumer only once it is durable."""
    notices: tuple[str, ...]
    """What was found wrong on opening and got over, each a sentence."""
    total: int | None
    """How many inputs there are, for who looks at the status; set when it is known."""

    @property
    def looking(self) -> int:
        """How many inputs were taken of which it is not known yet whether they are to be called."""
        ...

    @property
    def has_found(self) -> bool:
        """Whether the next `admit` gives something, even if it takes nothing."""
        ...

    @property
    def unwritten(self) -> int:
        """How many inputs were to be called and have no durable outcome yet; large ones count for more."""
        ...

    def identity(self, index: int) -> bytes | None:
        """Return what an input is known by that is to be called; None if its outcome is durable. From any thread."""
        ...

    def attach(
        self,
        *,
        settled: Callable[[int, JournalError | None], None],
        broken: Callable[[Exception], None],
        found: Callable[[], None],
        started: float,
    ) -> None:
        """Begin for a run that began at `started`; everything is called on the loop.

        `settled(count, lost)` says of that many outcomes, in the order in which they were added, that they are
        durable, or why they are not; `broken(error)`, once, that no more can be written; `found()` that `admit` has
        something to give.
        """

    def admit(self, inbox: deque[tuple[int, Any]], most: int) -> tuple[list[tuple[int, Any]], list[Record]]:
        """Take inputs, in the order of the source, at most so many; return those to call, and records of those done.

        What is looked up meanwhile is returned by a later call.
        """
        ...

    def add(self, record: Record) -> None:
        """Write an outcome down; raises if its value cannot be stored, never for a failure."""

    async def flush(self) -> None:
        """Return when everything added is durable; raises if writing has failed, when all has been saved elsewhere."""

    async def close(self) -> None:
        """Flush, and let go of the file; idempotent."""


# Calls made or under way whose outcomes are not durable, besides one a lane: as many are made again after a crash.
MOST_UNWRITTEN = 4096


class Host(Reader, Protocol):
    """What this needs from the driver, besides what a source needs."""

    started: float
    """When the run began, by its clock."""

    @property
    def finished(self) -> bool:
        """Whether the consumer has been told that nothing more comes."""
        ...

    def give(self, record: Record) -> None:
        """Give an outcome to the consumer."""

    def count(self, record: Record) -> None:
        """Count a failure that was a success when its call returned."""

    def durable(self, slots: int) -> None:
        """Go on: this many calls whose outcomes were held back have freed their lanes."""

    def give_up(self, error: BaseException) -> None:
        """Start nothing new, let what is in flight finish, then raise `error`."""

    def fatal(self, error: BaseException) -> None:
        """End the run now."""

    def all_kept(self, error: Exception | None) -> None:
        """End the run: everything is durable, or that failed."""

    def grow(self, added: list[Any]) -> None:
        """Take what a call of an earlier run has added."""


class Keeping:
    """The journal of one run, between its calls and its consumer."""

    def __init__(self, journal: OpenJournal, host: Host, concurrency: int) -> None:
        self.strict: bool = journal.strict
        """Whether outcomes are held back until they are durable."""
        self.notices: tuple[str, ...] = journal.notices
        """What was found wrong on opening and got over."""
        self.run_id: bytes = journal.run_id
        """What tells this journal from others."""
        self._journal: OpenJournal | None = journal
        self._add: Callable[[Record], None] = journal.add
        self._host: Host | None = host
        self._most = MOST_UNWRITTEN + concurrency
        self._held: deque[tuple[Record, bool]] = deque()  # and whether a lane's slot is held with it
        self._flush: asyncio.Task[None] | None = None
        self._slots = 0  # that are held back with them
        self._going_on = False
        journal.attach(settled=self._settled, broken=self._broken, found=self._go_on, started=host.started)

    @property
    def room(self) -> int:
        """How many more inputs may go to the lanes; more can after a commit."""
        return max(0, self._most - self._journal.unwritten) if self._journal is not None else 0

    @property
    def looking(self) -> int:
        """How many inputs it has taken of which it is not known yet whether they are to be called."""
        return self._journal.looking if self._journal is not None else 0

    def identity(self, index: int) -> bytes | None:
        """Return what the journal knows an input by that is to be called; None if it has been stored. Any thread."""
        return self._journal.identity(index) if self._journal is not None else None

    def knows_total(self, total: int) -> None:
        """Have who looks at the status know how many inputs there are."""
        if self._journal is not None:
            self._journal.total = total

    @property
    def held_back(self) -> int:
        """How many calls have returned and keep a lane's slot until their rows are durable."""
        return self._slots

    def admit(self, inbox: deque[Pair]) -> tuple[list[Pair], list[Record]]:
        """Take some inputs, as many as hold the loop for a moment; return what is to be called, and what is done.

        Once in a round of the loop, whoever asks; the host hears when the next one has come.
        """
        journal = self._journal
        if self._going_on or journal is None or not ((inbox and self.room) or journal.has_found):
            return [], []
        try:
            pairs, records = journal.admit(inbox, self.room)
        except BaseException as error:  # a SystemExit of `key` or a codec: nobody else would hear of it
            if self._host is not None:
                self._host.loop.call_soon(self._host.fatal, _of_the_users(error))
            return [], []
        self._go_on_soon()
        given = [self._without_what_grew(record) if type(record[2]) is Grown else record for record in records]
        records.clear()  # the frames of failures among them keep this one, and the journal's
        return pairs, given

    def adds_by(self, wrap: Callable[..., Callable[[Record], None]], *args: Any) -> None:
        """Have each outcome written down by `wrap(add, …)` from here on."""
        self._add = wrap(self._add, *args)

    def write(self, record: Record, *, slot: bool = True) -> Record | None:
        """Write an outcome down, which holds a lane's slot or not; return what may be given now, if anything."""
        try:
            self._add(record)
        except BaseException as error:  # a value that cannot be stored: better to stop now than after the last call
            record = self._refused(record, _of_the_users(error))
        if not self.strict:
            return record
        self._held.append((record, slot))
        self._slots += slot
        return None

    def flush(self) -> None:
        """Have `all_kept` called when everything is durable."""
        if self._flush is None and self._host is not None:
            self._flush = asyncio.Task(self._flushed(), loop=self._host.loop)

    async def close(self) -> None:
        """Close the journal, and let go of it and of the run, which may be kept for its summary."""
        if self._journal is not None:
            await self._journal.close()
        self._journal, self._host, self._flush, self._add = None, None, None, nothing
        self._held.clear()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _without_what_grew(self, record: Record) -> Record:
        """Have the run grow by what a call of an earlier run has added, and return the record without it."""
        grown: Grown = record[2]
        if self._host is not None:
            self._host.grow(grown.added)
        return (*record[:2], grown.value, *record[3:])

    def _go_on_soon(self) -> None:
        if not self._going_on and self._host is not None:
            self._going_on = True
            self._host.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        if self._host is not None and not self._host.finished:
            self._host.arrived()

    def _refused(self, record: Record, error: BaseException) -> Record:
        """Make a failure of an outcome that cannot be stored, write that down, and have the run stop."""
        failed = _failed(record, error)
        self._add(failed)
        if self._host is not None:
            self._host.give_up(error)
            self._host.count(failed)
        return failed

    async def _flushed(self) -> None:
        error: Exception | None = None
        try:
            if self._journal is not None:
                await self._journal.flush()
        except Exception as caught:  # the disk, mostly
            error = caught.with_traceback(None)  # which would keep this, and the run, alive
        if self._host is not None:
            self._host.all_kept(error)

    def _settled(self, count: int, lost: JournalError | None) -> None:
        """Give what was held back the longest: it is durable, or else it is no value any more."""
        host, slots = self._host, 0
        if host is None:
            return
        for _ in range(min(count, len(self._held))):
            record, slot = self._held.popleft()
            self._slots -= slot
            slots += slot
            if lost is not None and record[3] is None:
                record = _failed(record, _not_stored(lost))
                host.count(record)
            host.give(record)
        host.durable(slots)

    def _broken(self, error: Exception) -> None:
        """Stop. What is held back, and what is in flight, is given when it is known what became of it."""
        if self._host is not None:
            self._host.give_up(error)


def _of_the_users(caught: BaseException) -> BaseException:
    """Return what `key` or a codec raised, as failure of theirs: a cancellation has another meaning further up."""
    error = without_our_frames(caught)
    if not isinstance(error, TWO_MEANINGS):
        return error
    made = RuntimeError(f"key= or codec= of the journal raised {type(error).__name__} of its own accord")
    made.__cause__ = error
    return made


def _failed(record: Record, error: BaseException) -> Record:
    index, item, _, _, started, took, attempts = record
    return index, item, None, error, started, took, attempts


def _not_stored(why: JournalError) -> JournalError:
    """Return the failure of an input whose call went well; each has its own, as notes name its input."""
    return JournalError(
        "the call returned, and its value could not be stored, so you do not get it either",
        why.fact,
        remedy=why.remedy,
    )
