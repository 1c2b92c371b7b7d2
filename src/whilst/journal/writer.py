"""When are outcomes written? By one thread, many in a commit: at 2,048 or 50 ms, or as soon as it is free.

The loop appends to a queue and rings when it has reached `ring_at`: 1 while the writer rests, a commit's worth while
it waits for more, never while it is busy. So an outcome costs the loop an append and a comparison.

The thread is the only one that touches the disk once the journal is open: it also looks up what the loop asks for.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Iterator
from itertools import compress, islice, repeat
from typing import Any, NamedTuple, Protocol

from ..core.outcome import Record
from ..errors import JournalError
from ..lanes.clock import monotonic
from ..lanes.interrupted import raise_interrupt
from .counts import Counts
from .failure import Caught
from .frame import OUTCOMES, Batch, Last, framed, packed
from .index import Kept
from .lookup import Blocks, Inputs
from .overflow import Overflow
from .status import Snapshots
from .store import Store
from .tail import Tail

# Outcomes: a commit of fewer costs more each, one of more loses more when the process is killed. While one is written
# the next gathers, and a run lets at most `MOST` calls be unwritten (see `engine.keeping`).
COMMIT, MOST = 2048, 4096
COMMIT_BYTES = 8 * 1024 * 1024
WITHIN = 0.050  # seconds that an outcome waits for others
_NEVER = sys.maxsize
_UNKNOWN: Any = ()

Pending = dict[int, tuple[int, int, bytes]]


class Beginning(NamedTuple):
    """Where the writer goes on: the journal, the end of its chain, and when the run began.

    `wall` is in seconds since the epoch, `clock` the same moment by the clock that records have their times of.
    """

    journal: bytes
    last: Last
    wall: float
    clock: float


class Listener(Protocol):
    """Who hears what the writer did; every method is called on its thread."""

    def settled(self, count: int, error: JournalError | None, *, saved: bool) -> None:
        """Outcomes are durable, here or in the rescue file, or are lost; `error` is why no more can be written."""

    def answered(self, inputs: Inputs, kept: Kept) -> None:
        """Take what was kept of some inputs."""

    def ended(self) -> None:
        """Take note that the file is closed, as the last thing."""


class Writer:
    """Writes outcomes on a thread of its own, in the order in which they were put."""

    def __init__(
        self,
        store: Store,
        blocks: Blocks,
        tail: Tail,
        overflow: Overflow,
        snapshots: Snapshots,
        counts: Counts,
        *,
        strict: bool,
    ) -> None:
        self.queue: deque[Record] = deque()
        """Records whose values can be packed; of failures, the words stand where the value would."""
        self.pending: Pending = {}
        """What inputs are known by, and their JSON, by their index in the run; those not in it are not written."""
        self.ring_at: float = 1
        self.error: JournalError | None = None
        """Why nothing more can be written, when that is so."""
        self.snapshots = snapshots
        self._store = store
        self.blocks = blocks
        self._tail = tail
        self._overflow = overflow
        self._counts = counts
        self._strict = strict
        self._beginning = Beginning(b"", Last(), 0.0, 0.0)
        self._last = Last()
        self._failure: Exception | None = None
        self._stopping = False
        self._told = self._wanted = self._taken_so_far = 0
        self._bell = threading.Event()
        self._questions: deque[Inputs] = deque()
        self._following: int | None = None
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    def start(self, beginning: Beginning, listener: Listener) -> None:
        """Begin."""
        self._beginning, self._last, self._listener = beginning, beginning.last, listener
        thread = threading.Thread(target=self.run, name="whilst-journal", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise_interrupt(error)
            raise
        self._thread = thread

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    @property
    def is_alive(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread is not None and self._thread.is_alive()

    def ring(self) -> None:
        """Wake the writer."""
        self.ring_at = _NEVER
        self._bell.set()

    def ask(self, inputs: Inputs) -> None:
        """Have inputs looked up."""
        self._questions.append(inputs)
        self.ring()

    def read_on(self, block: int) -> None:
        """Have a block read that is likely to be asked for next."""
        self._following = block
        self.ring()

    def hurry(self, until: int) -> None:
        """Write without waiting for more, up to the `until`-th outcome that was ever put."""
        self._wanted = until
        self.ring()

    def stop(self) -> None:
        """Write what is there, and end."""
        self._stopping = True
        self.ring()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            self._thread.join(timeout)

    # -- on its thread, in order of use ----------------------------------------------------------------------

    def run(self) -> None:
        """Write until it is told to stop."""
        try:
            while self._waited():
                try:
                    self._commit(self._taken())
                except Exception as error:  # a defect; whoever waits for these must hear of it
                    self.error = self.error or _broken(self._store.path, error, self._overflow)
                    self._settle(self._taken_so_far - self._told, False)
                self.snapshots.write(len(self.queue), problem=str(self.error or ""))
        finally:
            self._close()

    def _waited(self) -> bool:
        """Wait for a commit's worth, and look things up meanwhile; False when there is none and no more will come."""
        queue, due = self.queue, 0.0
        while True:
            while self._questions and not self._stopping:
                self._answer(self._questions.popleft())
            if (following := self._following) is not None and not self._stopping:
                self._following = None
                self.blocks.read_on(following)
            if queue:
                now = monotonic()
                due = due or now + WITHIN
                if self._strict or self._hurried() or len(queue) >= COMMIT or now >= due:
                    return True
                self._rest(COMMIT, due - now)
            elif self._stopping:
                return False
            else:
                self._rest(1, self.snapshots.wait)
                if not (queue or self._questions or self._following is not None or self._stopping):
                    self.snapshots.write(0, problem=str(self.error or ""))

    def _rest(self, until: int, timeout: float | None) -> None:
        """Wait until the queue has `until` outcomes, or for a ring of another reason."""
        self._bell.clear()
        self.ring_at = until
        # whoever appends looks at `ring_at` after, and this looks at the queue after setting it: one of them sees
        if len(self.queue) < until and not self._questions and self._following is None and not self._hurried():
            self._bell.wait(timeout)
        self.ring_at = _NEVER

    def _hurried(self) -> bool:
        return self._stopping or self._told < self._wanted

    def _answer(self, inputs: Inputs) -> None:
        try:
            kept = self.blocks.answer(inputs)
        except Exception:  # a defect; calling again is what is left
            kept = Kept.nothing(len(inputs.keys))
        if self._listener is not None:
            self._listener.answered(inputs, kept)

    def _taken(self) -> list[Record]:
        """Take a commit's worth from the queue."""
        records = list(islice(iter(self.queue.popleft, None), min(MOST, len(self.queue))))
        self._taken_so_far += len(records)
        return records

    def _commit(self, records: list[Record]) -> None:
        """Write outcomes, or save them elsewhere, and say what became of them: how many, and whether that went well."""
        fates: deque[tuple[int, bool]] = deque()
        for fate in self._kept(records):
            fates.append(fate)
            if self._failure is None:
                self._settle(*fates.popleft())
        if self._failure is not None and self.error is None:
            while self.queue:  # all that is there, so that the error can say how many were saved
                fates.extend(self._kept(self._taken()))
            self.error = _broken(self._store.path, self._failure, self._overflow)
        for fate in fates:
            self._settle(*fate)

    def _kept(self, records: list[Record]) -> Iterator[tuple[int, bool]]:
        parts, known = self._parts(records)
        if known < len(records):  # some are not to be written: they share the fate of the others
            yield len(records), False not in [self._keep(part) for part in parts]
            return
        for part in parts:
            yield len(part.keys), self._keep(part)

    def _parts(self, records: list[Record]) -> tuple[list[Batch], int]:
        """Put records into columns with what their inputs are known by, count them, and cut them to size."""
        known = list(map(self.pending.pop, [record[0] for record in records], repeat(_UNKNOWN)))
        if not all(known):  # in the journal already, or never identified
            records, known = list(compress(records, known)), list(filter(None, known))
        if not records:
            return [], 0
        batch = _in_columns(records, known, self._beginning)
        self._counts.take(batch)
        return batch.parts(COMMIT_BYTES), len(records)

    def _keep(self, batch: Batch) -> bool:
        """Write outcomes, to the rescue file if the journal takes no more; return whether they are durable."""
        if self._failure is None:
            try:
                self._write(batch)
                return True
            except Exception as error:  # disk, SQLite, memory: whatever it is, nothing more can be written
                self._failure = error.with_traceback(None)
        return self._overflow.write(batch.items())

    def _write(self, batch: Batch) -> None:
        journal = self._beginning.journal
        frame, last = framed(journal, self._last, OUTCOMES, len(batch.keys), packed(batch))
        self._store.append(last.n, frame)
        self._last = last
        try:
            self._tail.write(journal, last)
        except OSError:  # told at the next commit, or that one fails as well
            pass

    def _settle(self, count: int, saved: bool) -> None:
        if count and self._listener is not None:
            self._told += count
            self._listener.settled(count, self.error, saved=saved)

    def _close(self) -> None:
        try:
            self.snapshots.write(0, running=False, problem=str(self.error or ""))
            self._store.close()
            self._tail.close()
        finally:
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.ended()


def _in_columns(records: list[Record], known: list[tuple[int, int, bytes]], beginning: Beginning) -> Batch:
    """Turn rows into columns; not by `zip(*rows)`, whose iterator for each row has the garbage collector run."""
    values, clock = [record[2] for record in records], beginning.clock
    if Caught in set(map(type, values)):
        values = [value.failure() if type(value) is Caught else value for value in values]
    return Batch(
        keys=[each[0] for each in known],
        rests=[each[1] for each in known],
        inputs=[each[2] for each in known],
        values=values,
        attempts=[record[6] for record in records],
        started=[record[4] - clock for record in records],
        took=[record[5] for record in records],
        began=beginning.wall,
    )


def _broken(path: str, error: Exception, overflow: Overflow) -> JournalError:
    full = "full" in str(error) or "No space" in str(error)
    said = f"SQLite says: {error}" if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
    saved = f"{overflow.written:,} outcomes that were not in it yet are in {overflow.path}, which the next run reads"
    lost = f"{overflow.failed:,} outcomes could not be saved anywhere; their inputs will be called again"
    return JournalError(
        f"{path} cannot be written any more: {'the disk is full' if full else 'writing failed'}",
        said,
        *((saved,) if overflow.written else ()),
        *((lost,) if overflow.failed else ()),
        "calls in flight are finished"
        + (", and their outcomes are kept there too" if overflow.written else "")
        + "; nothing new was started",
        remedy="free some space, then run it again: it continues where it was",
    )
