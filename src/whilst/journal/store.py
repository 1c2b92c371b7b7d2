"""How do frames get into an SQLite file and out again? One connection, one row a commit, synced."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import JournalError
from ..files import open_regular
from .frame import FORMAT, LARGE
from .place import cannot_beside, damaged

PAGE = 4096  # fixed, so that `scan` need not ask a damaged file
APPLICATION = int.from_bytes(b"whil", "big")
PIECE = 256 * 1024  # bytes of a large row that are written at once
CHECKPOINT = 4000  # pages in the write-ahead log before they move to the file: each move syncs twice more

# What sqlite3 raises over a damaged file: also text that is no text, numbers that are none, sizes that cannot be.
DAMAGE = (sqlite3.Error, ValueError, OverflowError, TypeError, MemoryError)

_open: weakref.WeakSet[Store] = weakref.WeakSet()


class Store:
    """The table `log(n, frame)`; used by one thread at a time, closed once."""

    def __init__(self, path: str, *, exists: bool) -> None:
        self.path = path
        _check_beside(path)
        try:
            _make_private(path, create=not exists)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        except (OSError, *DAMAGE) as error:
            raise told(error, path) from None
        try:
            self._prepare()
            _open.add(self)
        except BaseException as error:  # also an interrupt: what stays open keeps the next run from it
            self._connection.close()
            if isinstance(error, JournalError) or not isinstance(error, DAMAGE):
                raise
            if not exists and isinstance(error, sqlite3.OperationalError):  # in what is new nothing can be damaged
                raise _unwritable(path, str(error)) from None
            raise told(error, path) from None

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Give every row, in order; JournalDamaged where SQLite cannot go on."""
        try:
            for n, frame in self._connection.execute("SELECT n, frame FROM log ORDER BY n"):
                if type(n) is not int:  # a flip in the row of the schema: what was the key is a column like others
                    raise damaged(self.path, f"a row of it has no number: {n!r}")
                yield n, frame if type(frame) is bytes else b""  # a flip can change the type of a column
        except DAMAGE as error:
            raise told(error, self.path) from None

    def between(self, first: int, last: int) -> list[bytes]:
        """Return the frames of some rows."""
        rows = self._connection.execute("SELECT frame FROM log WHERE n BETWEEN ? AND ? ORDER BY n", (first, last))
        return [frame for (frame,) in rows.fetchall() if type(frame) is bytes]

    def append(self, n: int, frame: Sequence[bytes]) -> None:
        """Add a row and return when it is durable; sqlite3.Error if that fails, and then there is no such row.

        What is large is written piece by piece, for SQLite copies twice what it is given at once.
        """
        if (size := sum(map(len, frame))) > LARGE:
            self._append_large(n, frame, size)
        else:
            self._connection.execute("INSERT INTO log(n, frame) VALUES (?, ?)", (n, b"".join(frame)))

    def _append_large(self, n: int, frame: Sequence[bytes], size: int) -> None:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            run("INSERT INTO log(n, frame) VALUES (?, zeroblob(?))", (n, size))
            with self._connection.blobopen("log", "frame", n) as blob:
                for piece in frame:
                    for at in range(0, len(piece), PIECE):
                        blob.write(memoryview(piece)[at : at + PIECE])
            run("COMMIT")
        except BaseException:  # whatever it is, there is no half of a row
            with contextlib.suppress(sqlite3.Error):  # SQLite has done so itself, when the disk is full
                run("ROLLBACK")
            raise

    def is_sound(self) -> bool:
        """Whether SQLite finds its own structures whole."""
        try:
            return bool(self._connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except DAMAGE:
            return False

    def close(self) -> None:
        """Move everything into the one file, and close it; idempotent."""
        _open.discard(self)
        with contextlib.suppress(sqlite3.Error):  # a full disk: the write-ahead log stays and is read the next time
            self._connection.close()

    def leak(self) -> None:
        """See to it that a forked child never closes the connection: that would remove the parent's log."""
        with contextlib.suppress(Exception):  # an interpreter without ctypes; its children end by os._exit mostly
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode = EXCLUSIVE")  # before anything is read, or that would make and map a file `-shm`
        made_by, version, tables = (
            run(question).fetchone()[0]
            for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        )
        is_new = tables == 0 and made_by in (0, APPLICATION)
        if is_new:
            run(f"PRAGMA page_size = {PAGE}")
        elif made_by != APPLICATION:
            raise JournalError(
                f"{self.path} is not a journal, and is not changed",
                f"it is another SQLite database, with {tables} tables and indexes",
                remedy="another path",
            )
        elif version > FORMAT:
            raise JournalError(
                f"{self.path} was written by a newer whilst",
                f"its format is {version}, this one knows {FORMAT}",
                remedy="pip install --upgrade whilst",
            )
        elif version != FORMAT or run("SELECT count(*) FROM sqlite_master WHERE name = 'log'").fetchone()[0] != 1:
            raise damaged(self.path, "the table with its outcomes cannot be found")
        if run("PRAGMA freelist_count").fetchone()[0] or run("PRAGMA auto_vacuum").fetchone()[0]:
            raise damaged(self.path, "its head tells of free pages, and a journal never has one")
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise damaged(self.path, "SQLite cannot open its write-ahead log")
        run("PRAGMA synchronous = FULL")
        run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        if is_new:
            self._create()

    def _create(self) -> None:
        """Make the table, all or nothing, so that a crash in between leaves a file that counts as empty.

        It goes into the write-ahead log, as a rollback journal would cost 10 ms more, and at once from there into the
        file: what is damaged in the log later must not make an empty file of this.
        """
        run: Any = self._connection.execute
        run("BEGIN EXCLUSIVE")
        run(f"PRAGMA application_id = {APPLICATION}")
        run(f"PRAGMA user_version = {FORMAT}")
        run("CREATE TABLE log(n INTEGER PRIMARY KEY, frame BLOB NOT NULL)")
        run("COMMIT")
        run("PRAGMA wal_checkpoint(PASSIVE)")
        sync_directory(os.path.dirname(self.path))


def _check_beside(path: str) -> None:
    """JournalError where something is planted that SQLite would follow, or wait for in the kernel, past all signals."""
    for beside in (f"{path}-wal", f"{path}-journal"):
        if os.path.lexists(beside):
            try:
                os.close(open_regular(beside))
            except OSError as error:
                cannot_beside(path, beside, error)


def _make_private(path: str, *, create: bool) -> None:
    """See to it that the file is readable by its owner only, whoever made it; its log takes that over.

    The lock is held, so no connection of this process is open, whose locks would go with this descriptor.
    """
    fd = open_regular(path, os.O_RDONLY | (os.O_CREAT if create else 0))
    try:
        if os.name == "posix" and os.fstat(fd).st_mode & 0o077:
            with contextlib.suppress(PermissionError):  # another's file
                os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def told(error: Exception, path: str) -> JournalError:
    """Return the journal's error for what SQLite or the system said."""
    if isinstance(error, OSError):
        try:
            cannot_beside(path, error.filename if isinstance(error.filename, str) else path, error)
        except JournalError as made:
            return made
    text = str(error)
    if "locked" in text or "busy" in text:
        return JournalError(f"{path} is in use by another program", f"SQLite says: {text}", remedy="close that program")
    if "full" in text or "readonly" in text or "unable to open" in text:
        return _unwritable(path, text)
    return damaged(path, f"SQLite says: {text}")


def _unwritable(path: str, text: str) -> JournalError:
    return JournalError(
        f"{path} cannot be written", f"SQLite says: {text}", remedy="free some space, or use another path"
    )


def sync_directory(directory: str) -> None:
    """Make the name of a new file durable, where that is possible."""
    with contextlib.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _after_fork() -> None:
    for store in list(_open):
        store.leak()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
