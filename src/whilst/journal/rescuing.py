"""What of a damaged journal is whole? It goes into a new one, row by row, whatever SQLite makes of the old one."""

from __future__ import annotations

import os

from ..errors import JournalError
from .frame import HEAD_SIZE, HEADER, OUTCOMES, Head, Last, framed
from .lock import Lock
from .place import checked_place
from .scan import frames_in
from .store import Store


def rescue(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> int:
    """Write every outcome that is whole in a damaged journal into a new one, and return how many that are.

    Args:
        path: the damaged journal; its write-ahead log beside it is read too. Neither is changed.
        out: the new journal, which must not exist yet.

    Raises:
        JournalError: `out` exists, or there is nothing of a journal in `path`.
        JournalLocked: a run uses one of them.

    >>> import tempfile, whilst, whilst.journal
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     values = whilst.map(abs, [-1, -2], journal=f"{directory}/run.db").list()
    ...     whilst.journal.rescue(f"{directory}/run.db", f"{directory}/rescued.db")
    2
    """
    source, target = os.path.realpath(path), os.path.realpath(out)
    if os.path.exists(target):
        raise JournalError(f"{target} exists, and is not replaced", remedy="another name for what is rescued")
    checked_place(target)
    lock = Lock(source, os.fspath(path))
    lock.take()
    try:
        found = _distinct(source)
        if not found:
            raise JournalError(f"nothing can be rescued from {source}", "it contains no whole row of a journal")
        return _write(target, found)
    finally:
        lock.release()


def _distinct(source: str) -> list[tuple[Head, bytes]]:
    files = [file for file in (source, f"{source}-wal") if os.path.exists(file)]
    try:
        found = {(head.n, head.crc): (head, frame) for head, frame in frames_in(*files)}
    except OSError as error:
        raise JournalError(f"{source} cannot be read: {error.strerror}") from None
    return [found[place] for place in sorted(found)]


def _write(target: str, found: list[tuple[Head, bytes]]) -> int:
    lock = Lock(target)
    lock.take()
    try:
        store, last = Store(target, exists=False), Last()
        journal = found[0][0].journal
        try:
            for head, frame in found:
                if head.kind in (HEADER, OUTCOMES):
                    again, last = framed(journal, last, head.kind, head.count, [frame[HEAD_SIZE:]])
                    store.append(last.n, again)
        finally:
            store.close()
    finally:
        lock.release()
    return last.total
