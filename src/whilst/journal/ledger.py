"""What is done, and what is to be called? The journal of one run, open.

Everything here happens on the run's loop, but for opening, `close_now` at the end of the program, and what the writer
says; and nothing here touches the disk or holds the loop for long: that is the writer's.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from math import isfinite
from typing import Any

from ..core.outcome import Record
from ..errors import JournalError
from ..lanes.clock import announce, clock_of
from ..lanes.results import tell
from .admission import Admission
from .codec import Values
from .counts import Counts
from .failure import caught
from .frame import Last
from .identity import Identity
from .index import Index, Kept
from .lock import Lock
from .lookup import Inputs, Pair
from .tagged import plain_json
from .writer import Beginning, Writer

HEAVY = 1024  # bytes of a value from which on it is weighed
HEAVY_SHIFT = 15  # 32 KiB each, so that the 4,096 that may be unwritten at once are 128 MiB at most
HEAVY_COMMIT = 4 * 1024 * 1024
_SCALARS = frozenset({int, bool, type(None)})  # immutable and small: written later, many at once

_open: weakref.WeakSet[Ledger] = weakref.WeakSet()


class Ledger:
    """The open journal of one run.

    Attributes:
        strict: whether an outcome is given to the consumer only once it is durable.
        done, failed: the values and the failures that were found on opening.
        notices: what was found wrong and got over, each a sentence.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        lock: Lock,
        writer: Writer,
        index: Index,
        counts: Counts,
        identity: Identity,
        values: Values,
        journal: bytes,
        last: Last,
        strict: bool,
        notices: tuple[str, ...],
    ) -> None:
        self.run_id: bytes = journal
        """What tells this journal from all others."""
        self.strict: bool = strict
        self.done: int = counts.done
        self.failed: int = counts.failed
        self.notices: tuple[str, ...] = notices
        self._loop = loop
        self._lock = lock
        self._writer = writer
        self._queue = writer.queue
        self._admission = Admission(index, writer.blocks, identity, values, writer, clock_of(loop))
        self.admit: Callable[[deque[Pair], int], tuple[list[Pair], list[Record]]] = self._admission.admit
        """Take inputs; see `engine.keeping`."""
        self._as_is: frozenset[Any] = frozenset() if values.own else _SCALARS
        self._values, self._is_json = values, values.as_json
        self._journal = journal
        self._last = last
        self._added = self._settled = self._heavy = 0
        self._on_settled: Callable[[int, JournalError | None], None] = _nobody
        self._on_broken: Callable[[Exception], None] = _nobody
        self._on_found: Callable[[], None] = _nothing
        self._broken: JournalError | None = None
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._closing = False
        self._gone: asyncio.Event = asyncio.Event()
        self._pid = os.getpid()
        _open.add(self)

    @property
    def total(self) -> int | None:
        """How many inputs there are, for who looks at the status; set it if it is known."""
        return self._writer.snapshots.total

    @total.setter
    def total(self, total: int | None) -> None:
        self._writer.snapshots.total = total

    @property
    def unwritten(self) -> int:
        """How many inputs were to be called and have no durable outcome yet; large values count for more."""
        return max(self._admission.called - self._settled, self._heavy >> HEAVY_SHIFT)

    def identity(self, index: int) -> bytes | None:
        """Return what an input is known by that is to be called; None if its outcome is durable. From any thread."""
        known = self._writer.pending.get(index)
        return None if known is None else known[0].to_bytes(8, "little") + known[1].to_bytes(8, "little")

    def attach(
        self,
        *,
        settled: Callable[[int, JournalError | None], None],
        broken: Callable[[Exception], None],
        found: Callable[[], None],
        started: float,
    ) -> None:
        """Begin for a run that began at `started`, by its clock; see `engine.keeping`."""
        self._on_settled, self._on_broken, self._on_found = settled, broken, found
        self._start(started)
        announce(self, self._loop)

    @property
    def looking(self) -> int:
        """How many inputs were taken of which it is not known yet whether they are to be called."""
        return self._admission.looking

    @property
    def has_found(self) -> bool:
        """Whether the next `admit` gives something, even if it takes nothing."""
        return self._admission.has_found

    def add(self, record: Record) -> None:
        """Write an outcome down; Unstorable if its value would not come back as it is."""
        if record[3] is not None or type(record[2]) not in self._as_is:
            record = self._storable(record)
        queue = self._queue
        queue.append(record)
        self._added += 1
        if len(queue) >= self._writer.ring_at:
            self._writer.ring()

    async def flush(self) -> None:
        """Return when everything added is durable; the error if writing has failed, when it was saved or is lost."""
        if self._settled < self._added:
            future = self._loop.create_future()
            self._flushes.append((self._added, future))
            self._writer.hurry(self._added)
            await future
        if self._broken is not None:
            raise self._broken

    async def close(self) -> None:
        """Write everything, the last status too, and let go of the file; idempotent.

        A journal that cannot be written any more has said so; what comes after goes to the rescue file.
        """
        if os.getpid() != self._pid:
            return
        self._closing = True
        self._end()
        await self._gone.wait()
        while self._writer.is_alive:  # noqa: ASYNC110 - its thread is about to end; to join it would hold the loop
            await asyncio.sleep(0)
        self._on_settled, self._on_broken, self._on_found = _nobody, _nobody, _nothing
        self._broken = self._writer.error = None  # its traceback holds frames that hold this

    def close_now(self, timeout: float | None = 30.0) -> None:
        """Do as `close` does, waiting for it on this thread: at the end of the program, or without a loop."""
        if os.getpid() != self._pid:
            return  # the parent's
        self._end()
        self._writer.join(timeout)

    def at_work(self) -> bool:
        """Whether the writer is about to tell the loop something; see `whilst.testing`."""
        is_closing = self._closing and not self._gone.is_set()
        return is_closing or self._settled < self._added or self._admission.asked > 0

    # -- what the writer says, on its thread: see `Listener` ---------------------------------------------------

    def settled(self, count: int, error: JournalError | None, *, saved: bool) -> None:
        """Tell the loop."""
        tell(self._loop, self._committed, count, error, saved)

    def answered(self, inputs: Inputs, kept: Kept) -> None:
        """Tell the loop."""
        tell(self._loop, self._looked_up, inputs, kept)

    def ended(self) -> None:
        """Let go of the file, and tell the loop."""
        self._lock.release()
        _open.discard(self)
        tell(self._loop, self._closed)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _start(self, started: float | None = None) -> None:
        if not self._writer.started:
            now = clock_of(self._loop)()
            started = now if started is None else started
            wall = time.time() - (now - started)
            self._writer.start(Beginning(self._journal, self._last, wall, started), listener=self)

    def _end(self) -> None:
        self._writer.stop()
        try:
            self._start()
        except RuntimeError:  # no thread to be had: that ended the run, before anything was added
            self._writer.run()

    def _storable(self, record: Record) -> Record:
        """Return a record with what is written of its value: JSON, made now, unless it is text that cannot change."""
        index, _, value, error, started, took, attempts = record
        if error is not None:
            return index, None, caught(error), None, started, took, attempts
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is str:
            if self._as_is and len(value) < HEAVY and value.isascii():
                return record
        elif kind is float and self._as_is and isfinite(value):
            return record
        text = plain_json(value) if self._is_json else None
        if text is None:
            text = self._values.encode(value)
        if len(text) >= HEAVY:
            self._weigh(len(self._values.checked(text)))
        return index, None, text, None, started, took, attempts

    def _weigh(self, size: int) -> None:
        self._heavy += size
        if self._heavy > HEAVY_COMMIT:
            self._writer.ring()

    def _looked_up(self, inputs: Inputs, kept: Kept) -> None:
        self._admission.answer(inputs, kept)
        self._on_found()

    def _committed(self, count: int, error: JournalError | None, saved: bool) -> None:
        """Take note, on the loop, of what became of outcomes, and that writing has failed."""
        self._settled += count
        if self._settled == self._added:
            self._heavy = 0
        if error is not None and self._broken is None:
            self._broken = error
            self._on_broken(error)
        self._on_settled(count, None if saved else error)
        waiting, self._flushes = self._flushes, []
        for until, future in waiting:
            if self._settled < until:
                self._flushes.append((until, future))
            elif not future.done():
                future.set_result(None)

    def _closed(self) -> None:
        """Take note, on the loop, that the writer has ended."""
        if self._settled < self._added:  # it ended by a defect, and whoever waits must hear of it
            error = self._broken or JournalError("the journal's writer has ended", remedy="run it again")
            self._committed(self._added - self._settled, error, False)
        self._gone.set()


def _nobody(*_: Any) -> None:
    pass


def _nothing() -> None:
    pass


@atexit.register
def _flush_all() -> None:
    """Write what is there when the program ends in the normal way with a run still open."""
    for ledger in list(_open):
        ledger.close_now()
