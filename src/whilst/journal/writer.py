"""When are outcomes written? By one thread, many in a commit: at 4,096 or 50 ms, or as soon as it is free.

The loop appends to a queue and rings when it has reached `ring_at`: 1 while the writer rests, a commit's worth while
it waits for more, never while it is busy. So an outcome costs the loop an append and a comparison.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import JournalError
from .frame import OUTCOMES, Last, framed, packed
from .spill import Spill
from .status import Snapshots
from .store import Store
from .tail import Tail

COMMIT = 4096  # outcomes; a commit of fewer costs more each, one of more loses more when the process is killed
COMMIT_BYTES = 8 * 1024 * 1024
WITHIN = 0.050  # seconds that an outcome waits for others
_NEVER = sys.maxsize

Told = Callable[[int, JournalError | None], None]


class Writer:
    """Writes outcomes on a thread of its own, in the order in which they were put."""

    def __init__(self, store: Store, tail: Tail, spill: Spill, snapshots: Snapshots, *, strict: bool) -> None:
        self.queue: deque[tuple[Any, ...] | None] = deque()
        """Outcomes as `frame.Item`; None stands for one that is in the journal already."""
        self.ring_at = 1
        self.error: JournalError | None = None
        self.snapshots = snapshots
        self._store = store
        self._tail = tail
        self._spill = spill
        self._strict = strict
        self._journal = b""
        self._last = Last()
        self._stopping = False
        self._told = self._wanted = 0
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
                items = self._taken()
                if items:
                    self._commit(items)
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

    def _taken(self) -> list[tuple[Any, ...] | None]:
        """Take a commit's worth from the queue."""
        take = self.queue.popleft
        items = [take() for _ in range(min(COMMIT, len(self.queue)))]
        size = 0
        for place, item in enumerate(items):
            if item is None:
                continue
            size += len(item[2]) + (len(item[3]) if type(item[3]) in (bytes, str) else 8)
            if size > COMMIT_BYTES:
                self.queue.extendleft(reversed(items[place + 1 :]))
                return items[: place + 1]
        return items

    def _commit(self, items: Sequence[tuple[Any, ...] | None]) -> None:
        new = [item for item in items if item is not None]
        if new and self.error is None:
            try:
                self._write(new)
            except Exception as error:  # disk, SQLite, memory: whatever it is, nothing more can be written
                self._broke(error, items)
                return
        elif new:
            self._spill.write(new)
        self._done(len(items))

    def _write(self, items: list[tuple[Any, ...]]) -> None:
        frame, last = framed(self._journal, self._last, OUTCOMES, len(items), packed(items))
        self._store.append(last.n, frame)
        self._last = last
        try:
            self._tail.write(self._journal, last)
        except OSError:  # told at the next commit, or that one fails as well
            pass

    def _broke(self, error: Exception, items: Sequence[tuple[Any, ...] | None]) -> None:
        """Save what was not written, and say so once."""
        waiting = list(items)
        while self.queue:
            waiting += self._taken()
        self._spill.write([item for item in waiting if item is not None])
        self.error = _broken(self._store.path, error, self._spill)
        self._done(len(waiting))

    def _done(self, count: int) -> None:
        self._told += count
        self._tell(count, self.error)

    def _close(self) -> None:
        try:
            self.snapshots.write(0, running=False, problem=str(self.error or ""))
            self._store.close()
            self._tail.close()
        finally:
            self._ended()


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
