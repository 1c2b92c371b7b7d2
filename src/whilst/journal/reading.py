"""What is in a journal? Its state, its outcomes, and the command that made it, for who looks at it from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from ..errors import JournalError, JournalLocked
from .counts import Counts
from .failure import Failure
from .frame import HEADER, OUTCOMES, Columns, Head, checked
from .header import Header
from .index import Index
from .lock import Lock
from .place import checked_place
from .recovery import recover
from .status import Status, no_journal, snapshot
from .store import Store
from .tagged import natural
from .tail import Tail


class Stored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One outcome of a journal.

    Attributes:
        input, value: JSON as other programs expect it; `value` is None for a failure.
        error: the failure in words (`kind`, `class_name`, `message`, `notes`, `traceback`), or None.
        attempts: how many times the function was called for it.
        began: when its run began, in seconds since the epoch; None in journals of whilst 0.1, which do not say.
        started: seconds from there to the last call; None likewise.
        took: seconds that call took.
    """

    input: bytes
    value: bytes | None
    error: Failure | None
    attempts: int
    began: float | None
    started: float | None
    took: float

    @property
    def started_at(self) -> datetime | None:
        """When the last call started, in UTC, by the machine's clock as it was when the run began; None if unknown."""
        if self.began is None or self.started is None:
            return None
        return datetime.fromtimestamp(self.began + self.started, UTC)


class NoHeader(JournalError):
    """A journal whose first run was ended before it could say anything, or whose header is damaged."""


def read_status(path: str | os.PathLike[str]) -> Status:
    """Return the state of a journal, also while a run uses it; the file is not opened then.

    Raises:
        JournalError: there is no journal.
    """
    real = os.path.realpath(path)
    found = snapshot(real)
    if not os.path.exists(real):
        raise no_journal(real)
    if found is not None and (
        found.running or (found.ended and found.updated >= _last_change(real) and _has_its_size(real))
    ):
        return found
    try:
        return _counted(real, found)
    except JournalLocked as locked:  # a run that has just begun: its first snapshot is yet to come
        return _beginning(real, locked, found)


def read_outcomes(path: str | os.PathLike[str]) -> Iterator[Stored]:
    """Give the last outcome of each input, in the order in which they were written.

    Raises:
        JournalError: there is no journal, or it cannot be read.
        JournalLocked: a run uses it.
    """
    with _Reader(path) as reader:
        last: dict[int, tuple[int, int]] = {}
        for n, columns in reader.outcomes():
            last.update((key, (n, place)) for place, key in enumerate(columns.keys))
        for n, columns in reader.outcomes():
            for place, (key, took) in enumerate(zip(columns.keys, columns.took(), strict=True)):
                if last[key] == (n, place):
                    yield _stored(columns, place, took)


def read_all_outcomes(path: str | os.PathLike[str]) -> Iterator[Stored]:
    """Give every outcome in the order in which they were written, those as well that a later one has replaced.

    Raises:
        JournalError: there is no journal, or it cannot be read.
        JournalLocked: a run uses it.
    """
    with _Reader(path) as reader:
        for _, columns in reader.outcomes():
            for place, took in enumerate(columns.took()):
                yield _stored(columns, place, took)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return what the journal says of the run that wrote it last: function, place, command.

    Raises:
        JournalError: there is no journal, or it does not say.
        JournalLocked: a run uses it.
    """
    with _Reader(path) as reader:
        header = recover(reader.store, Tail(reader.path), _NoIndex()).header
    if header is None:
        raise NoHeader(
            f"{reader.path} does not say which run it is of", remedy="the program or command that made it, once more"
        )
    return header


class _NoIndex(Index):
    """Takes nothing in: who asks for the header need not wait for a million digests."""

    def expect(self, count: int) -> None:
        """Make no room."""

    def load(self, n: int, frame: bytes, head: Head) -> None:
        """Leave it."""


class _Reader:
    """A journal that is held open and locked, so that no run changes it meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(path)
        if not checked_place(self.path):
            raise no_journal(self.path)
        self._lock = Lock(self.path, os.fspath(path))

    def __enter__(self) -> _Reader:
        self._lock.take()
        try:
            self.store = Store(self.path, exists=True)
        except BaseException:  # whatever it is, the lock goes
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self._lock.release()

    def outcomes(self) -> Iterator[tuple[int, Columns]]:
        journal = None
        for n, frame in self.store.frames():
            head = checked(frame, journal)
            if head is not None and head.kind in (HEADER, OUTCOMES):
                journal = head.journal
                if head.kind == OUTCOMES:
                    yield n, Columns(frame, head)


def _stored(columns: Columns, place: int, took: float) -> Stored:
    failure = columns.failures.get(place)
    return Stored(
        input=natural(columns.input(place)),
        value=None if failure is not None else natural(columns.value(place)),
        error=failure,
        attempts=columns.attempts.get(place, 1),
        began=columns.began or None,
        started=columns.started(place),
        took=took,
    )


def _beginning(path: str, locked: JournalLocked, before: Status | None) -> Status:
    """Return what is known of a run of which there is no snapshot yet."""
    run = {"pid": locked.pid, "host": locked.host, "started": locked.since, "updated": locked.since}
    if before is None:
        return Status(path=path, name="", place="", done=0, failed=0, **run)  # type: ignore[arg-type]
    return msgspec.structs.replace(before, running=True, ended=False, rate=0.0, **run)


def _last_change(path: str) -> float:
    """Return when the journal was written last; its log is gone when it was closed well."""
    return max(os.stat(file).st_mtime for file in (path, f"{path}-wal") if os.path.exists(file)) - 2.0


def _has_its_size(path: str) -> bool:
    """Whether a journal has the pages that its head says it has; one that was cut has fewer."""
    with open(path, "rb") as file:
        head = file.read(100)
    size = int.from_bytes(head[16:18])
    return len(head) == 100 and os.stat(path).st_size >= (65536 if size == 1 else size) * int.from_bytes(head[28:32])


def _counted(path: str, before: Status | None) -> Status:
    """Count what is in the file: the run was killed, and its last snapshot may be a second old."""
    with _Reader(path) as reader:
        index = Index()
        found = recover(reader.store, Tail(path), index)
        counts = Counts(len(index) - len(index.failed), index.failed)
        for _, columns in reader.outcomes():
            for place, failure in columns.failures.items():
                if index.failed.get(columns.keys[place]) == failure.kind:  # else there is another outcome of it
                    counts.show(columns.input(place), failure)
    header = found.header
    return Status(
        path=path,
        name="" if header is None else header.name,
        place="" if header is None else header.place,
        command=None if header is None else header.command,
        pid=0 if before is None else before.pid,
        host="" if before is None else before.host,
        started=0.0 if before is None else before.started,
        updated=os.stat(path).st_mtime,
        running=False,
        ended=before is None or before.ended,
        done=counts.done,
        failed=counts.failed,
        found=counts.done,
        kinds=counts.kinds(),
        total=None if before is None else before.total,
        notices=tuple(found.notices),
    )
