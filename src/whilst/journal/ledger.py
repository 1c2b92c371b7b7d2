"""What is done, and what is to be called? The journal of one run, open.

Everything here happens on the run's loop, but for opening, and `close_now` at the end of the program.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Callable, Sequence
from itertools import compress
from math import isfinite
from typing import Any

from ..core.outcome import Record
from ..errors import JournalError
from ..lanes.clock import announce
from ..lanes.slab import tell
from .codec import Values
from .failure import Failure
from .frame import Last
from .identity import Identity
from .index import NOWHERE, Index
from .lock import Lock
from .recall import Recall
from .store import Store
from .tally import Tally
from .writer import Writer

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
        store: Store,
        writer: Writer,
        index: Index,
        tally: Tally,
        identity: Identity,
        values: Values,
        journal: bytes,
        last: Last,
        strict: bool,
        notices: tuple[str, ...],
    ) -> None:
        self.strict: bool = strict
        self.done: int = tally.done
        self.failed: int = tally.failed
        self.notices: tuple[str, ...] = notices
        self._loop = loop
        self._lock = lock
        self._writer = writer
        self._queue = writer.queue
        self._index = index
        self._identify = identity.of_all
        self._as_is: frozenset[Any] = frozenset() if values.own else _SCALARS
        self._values = values
        self._recall = Recall(index, store, values, journal)
        self._journal = journal
        self._last = last
        self._called = self._added = self._durable = self._heavy = 0
        self._on_durable: Callable[[int], None] = _nobody
        self._on_broken: Callable[[Exception], None] = _nobody
        self._broken: JournalError | None = None
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
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
        return max(self._called - self._durable, self._heavy >> HEAVY_SHIFT)

    def attach(self, *, durable: Callable[[int], None], broken: Callable[[Exception], None]) -> None:
        """Call `durable(count)` after each commit, `broken(error)` once if writing fails."""
        self._on_durable, self._on_broken = durable, broken
        self._start()
        announce(self, self._loop)

    def admit(self, pairs: Sequence[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], list[Record]]:
        """Identify inputs, in the order of the source; return those to call, and records of those already done."""
        pairs = list(pairs)
        keys, rests, texts, failed = self._identify([item for _, item in pairs])
        records: list[Record] = []
        if failed:  # no canonical form, or `key` raised: these fail, the others go on
            records = [(*pairs[place], None, error, 0.0, 0.0, 0) for place, error in failed.items()]
            pairs = [pair for place, pair in enumerate(pairs) if place not in failed]
        blocks = self._index.look_up(keys, rests)
        if blocks.count(NOWHERE) < len(blocks):
            again = self._recall.outcomes(pairs, keys, rests, blocks, records)
            pairs, texts = list(compress(pairs, again)), list(compress(texts, again))
            keys, rests = list(compress(keys, again)), list(compress(rests, again))
        self._writer.pending.update(
            zip([index for index, _ in pairs], zip(keys, rests, texts, strict=True), strict=True)
        )
        self._called += len(pairs)
        return pairs, records

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
        """Return when everything added is durable; the error if writing has failed."""
        if self._broken is None and self._durable < self._added:
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
        self._start()
        self._writer.stop()
        await self._gone.wait()
        self._writer.join()

    def close_now(self, timeout: float | None = 30.0) -> None:
        """Do as `close` does, waiting for it on this thread: at the end of the program, or without a loop."""
        if os.getpid() != self._pid:
            return  # the parent's
        self._start()
        self._writer.stop()
        self._writer.join(timeout)

    def at_work(self) -> bool:
        """Whether the writer is about to tell the loop something; see `whilst.testing`."""
        return self._durable < self._added

    # -- private, in order of use -----------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._writer.started:
            self._writer.start(self._journal, self._last, self._told, self._ended)

    def _storable(self, record: Record) -> Record:
        """Return a record with what is written of its value: JSON, made now, unless it is text that cannot change."""
        index, _, value, error, started, took, attempts = record
        if error is not None:
            return index, None, Failure.of(error), None, started, took, attempts
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        if not self._values.own and (
            (kind is str and len(value) < HEAVY and value.isascii()) or (kind is float and isfinite(value))
        ):
            return record
        text = self._values.encode(value)
        if len(text) >= HEAVY:
            self._weigh(len(text))
        return index, None, text, None, started, took, attempts

    def _weigh(self, size: int) -> None:
        self._heavy += size
        if self._heavy > HEAVY_COMMIT:
            self._writer.ring()

    def _told(self, count: int, error: JournalError | None) -> None:
        tell(self._loop, self._committed, count, error)

    def _committed(self, count: int, error: JournalError | None) -> None:
        """Take note, on the loop, that outcomes are durable, or that writing has failed."""
        self._durable += count
        if self._durable == self._added:
            self._heavy = 0
        if error is None:
            self._on_durable(count)
        elif self._broken is None:
            self._broken = error
            self._on_broken(error)
        waiting, self._flushes = self._flushes, []
        for until, future in waiting:
            if self._durable < until and self._broken is None:
                self._flushes.append((until, future))
            elif not future.done():
                future.set_result(None)

    def _ended(self) -> None:
        """Let go of the file, on the writer's thread, as the last thing."""
        self._lock.release()
        _open.discard(self)
        tell(self._loop, self._gone.set)


def _nobody(_: Any) -> None:
    pass


@atexit.register
def _flush_all() -> None:
    """Write what is there when the program ends in the normal way with a run still open."""
    for ledger in list(_open):
        ledger.close_now()
