"""When are outcomes written? By one thread, many in a commit: at 2,048 or 50 ms, or as soon as it is free.

The loop appends to a queue and rings when it has reached `ring_at`: 1 while the writer rests, a commit's worth while
it waits for more, never while it is busy. So an outcome costs the loop an append and a comparison.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from itertools import compress, islice, repeat
from typing import Any

from ..core.outcome import Record
from ..errors import JournalError
from .frame import OUTCOMES, Batch, Last, framed, packed
from .spill import Spill
from .status import Snapshots
from .store import Store
from .tail import Tail
from .tally import Tally

# Outcomes: a commit of fewer costs more each, one of more loses more when the process is killed. While one is written
# the next gathers, and a run lets at most `MOST` calls be unwritten (see `engine.keeping`).
COMMIT, MOST = 2048, 4096
COMMIT_BYTES = 8 * 1024 * 1024
WITHIN = 0.050  # seconds that an outcome waits for others
_NEVER = sys.maxsize
_UNKNOWN: Any = ()

Pending = dict[int, tuple[int, int, bytes]]
Told = Callable[[int, JournalError | None], None]


class Writer:
    """Writes outcomes on a thread of its own, in the order in which they were put."""

    def __init__(
        self, store: Store, tail: Tail, spill: Spill, snapshots: Snapshots, tally: Tally, *, strict: bool
    ) -> None:
        self.queue: deque[Record] = deque()
        """Records whose values can be packed; of failures, the words stand where the value would."""
        self.pending: Pending = {}
        """What inputs are known by, and their JSON, by their index in the run; those not in it are not written."""
        self.ring_at: float = 1
        self.error: JournalError | None = None
        self.snapshots = snapshots
        self._store = store
        self._tail = tail
        self._spill = spill
        self._tally = tally
        self._strict = strict
        self._journal = b""
        self._last = Last()
        self._stopping = False
        self._told = self._wanted = self._taken_so_far = 0
        self._bell = threading.Event()
        self._tell: Told = _nobody
        self._ended: Callable[[], None] = _nothing
        self._thread: threading.Thread | None = None

    def start(self, journal: bytes, last: Last, tell: Told, ended: Callable[[], None]) -> None:
        """Begin: `tell(count, error)` after each commit, `ended()` at the end, both on the writer's thread.

        From when writing broke on, `error` says so.
        """
        self._journal, self._last, self._tell, self._ended = journal, last, tell, ended
        self._thread = threading.Thread(target=self._run, name="whilst-journal", daemon=True)
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    def ring(self) -> None:
        """Wake the writer."""
        self.ring_at = _NEVER
        self._bell.set()

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

    def _run(self) -> None:
        try:
            while self._waited():
                try:
                    self._commit(self._taken())
                except Exception as error:  # a defect; whoever waits for these must hear of it
                    self.error = self.error or _broken(self._store.path, error, self._spill)
                    self._done(self._taken_so_far - self._told)
                self.snapshots.write(len(self.queue), problem=str(self.error or ""))
        finally:
            self._close()

    def _waited(self) -> bool:
        """Wait for work; False when there is none and no more will come."""
        queue = self.queue
        while not queue:
            if self._stopping:
                return False
            self._rest(1, self.snapshots.wait)
            if not queue and not self._stopping:
                self.snapshots.write(0, problem=str(self.error or ""))
        if not self._strict and not self._hurried() and len(queue) < COMMIT:
            self._rest(COMMIT, WITHIN)
        return True

    def _rest(self, until: int, timeout: float | None) -> None:
        """Wait until the queue has `until` outcomes, or for a ring of another reason."""
        self._bell.clear()
        self.ring_at = until
        # whoever appends looks at `ring_at` after, and this looks at the queue after setting it: one of them sees
        if len(self.queue) < until and not self._hurried():
            self._bell.wait(timeout)
        self.ring_at = _NEVER

    def _hurried(self) -> bool:
        return self._stopping or self._told < self._wanted

    def _taken(self) -> list[Record]:
        """Take a commit's worth from the queue."""
        records = list(islice(iter(self.queue.popleft, None), min(MOST, len(self.queue))))
        self._taken_so_far += len(records)
        return records

    def _commit(self, records: list[Record]) -> None:
        parts = self._parts(records)
        for place, part in enumerate(parts):
            if self.error is not None:
                self._spill.write(part.items())
            else:
                try:
                    self._write(part)
                except Exception as error:  # disk, SQLite, memory: whatever it is, nothing more can be written
                    self._broke(error, parts[place:])
                    break
            self._done(len(part.keys))
        self._done(self._taken_so_far - self._told)

    def _parts(self, records: list[Record]) -> list[Batch]:
        """Put records into columns with what their inputs are known by, count them, and cut them to size."""
        if not records:
            return []
        known = list(map(self.pending.pop, [record[0] for record in records], repeat(_UNKNOWN)))
        if not all(known):  # in the journal already, or never identified
            records, known = list(compress(records, known)), list(filter(None, known))
            if not records:
                return []
        batch = _in_columns(records, known)
        self._tally.take(batch)
        return batch.parts(COMMIT_BYTES)

    def _write(self, batch: Batch) -> None:
        frame, last = framed(self._journal, self._last, OUTCOMES, len(batch.keys), packed(batch))
        self._store.append(last.n, frame)
        self._last = last
        try:
            self._tail.write(self._journal, last)
        except OSError:  # told at the next commit, or that one fails as well
            pass

    def _broke(self, error: Exception, parts: list[Batch]) -> None:
        """Save what was not written, and say so once."""
        while self.queue:
            parts += self._parts(self._taken())
        for part in parts:
            self._spill.write(part.items())
        self.error = _broken(self._store.path, error, self._spill)

    def _done(self, count: int) -> None:
        if count:
            self._told += count
            self._tell(count, self.error)

    def _close(self) -> None:
        try:
            self.snapshots.write(0, running=False, problem=str(self.error or ""))
            self._store.close()
            self._tail.close()
        finally:
            self._ended()


def _in_columns(records: list[Record], known: list[tuple[int, int, bytes]]) -> Batch:
    """Turn rows into columns; not by `zip(*rows)`, whose iterator for each row has the garbage collector run."""
    return Batch(
        keys=[each[0] for each in known],
        rests=[each[1] for each in known],
        inputs=[each[2] for each in known],
        values=[record[2] for record in records],
        attempts=[record[6] for record in records],
        started=[record[4] for record in records],
        took=[record[5] for record in records],
    )


def _broken(path: str, error: Exception, spill: Spill) -> JournalError:
    full = "full" in str(error) or "No space" in str(error)
    said = f"SQLite says: {error}" if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
    saved = f"{spill.written:,} outcomes that were not in it yet are in {spill.path}, which the next run reads"
    lost = f"{spill.failed:,} outcomes could not be saved anywhere; their inputs will be called again"
    return JournalError(
        f"{path} cannot be written any more: {'the disk is full' if full else 'writing failed'}",
        said,
        *((saved,) if spill.written else ()),
        *((lost,) if spill.failed else ()),
        "what is in flight is finished and goes the same way; nothing new was started",
        remedy="make room, then run it again: it goes on where it was",
    )


def _nobody(count: int, error: JournalError | None) -> None:
    pass


def _nothing() -> None:
    pass
