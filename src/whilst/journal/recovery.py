"""What does the journal hold, what is missing, and what can be got back?

Rows whose CRC does not hold are not used. Numbers and totals of the chain tell what should be between them, the tail
what should be behind them; what a damaged write-ahead log hides from SQLite is looked for in its bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from .frame import HEAD_SIZE, HEADER, OUTCOMES, Head, Last, checked, framed
from .header import Header, header_of
from .index import Index
from .place import damaged
from .scan import frames_in
from .store import DAMAGE, Store
from .tail import Tail


@dataclass(slots=True)
class Found:
    """What a journal holds."""

    journal: bytes = b""
    header: Header | None = None
    last: Last = field(default_factory=Last)
    lost: int = 0
    """Outcomes that once were here and are not any more."""
    broken: int = 0
    """Rows that do not hold what was written."""
    notices: list[str] = field(default_factory=list[str])


def recover(store: Store, tail: Tail, index: Index, check: Callable[[], None] = lambda: None) -> Found:
    """Load the index; report losses that no earlier run has reported. `check` may end it between two rows.

    Raises:
        JournalDamaged: SQLite cannot read the file on.
    """
    found = Found()
    highest = 0
    for n, frame in store.frames():
        check()
        highest = max(highest, n)
        head = checked(frame, found.journal or None)
        if head is None or head.n != n:  # a number that was hit makes the row unreachable, whole as it is
            found.broken += 1
            continue
        if not found.journal and (told := tail.read(head.journal)) is not None:
            index.expect(told[1].total)
        found.journal = head.journal
        found.lost += max(0, head.total - head.count - found.last.total)
        found.last = max(found.last, head.last)
        if head.kind == OUTCOMES:
            index.load(n, frame, head)
        elif head.kind == HEADER:
            found.header = _header(frame) or found.header
    end = tail.read(found.journal)
    is_short = end is not None and end[1].n > found.last.n
    if (found.broken or found.lost or is_short) and not store.is_sound():  # before anything is written to it
        raise damaged(store.path, "SQLite's own check of it fails, and rows of it do not hold what was written")
    if end is not None and is_short:
        found.journal = end[0]
        _look_behind(found, store, end[1], index, highest)
    found.last = found.last._replace(n=max(found.last.n, highest))
    _report(found, store.path)
    return found


def _look_behind(found: Found, store: Store, told: Last, index: Index, highest: int) -> None:
    """Get what is missing before the end that was told from the bytes of the log, if it is there."""
    log = f"{store.path}-wal"
    if highest <= found.last.n and os.path.exists(log):
        behind = {head.n: frame for head, frame in frames_in(log) if _is_between(head, found, told)}
        for _, frame in sorted(behind.items()):
            _append_again(found, store, index, frame)
    missing = max(0, told.total - found.last.total)
    if missing:  # the chain goes on behind the gap, so that it is seen by whoever counts
        found.lost += missing
        found.last = Last(max(told.n, found.last.n), told.total, found.last.crc)


def _append_again(found: Found, store: Store, index: Index, frame: bytes) -> None:
    old = checked(frame)
    assert old is not None
    pieces, last = framed(found.journal, found.last, old.kind, old.count, [frame[HEAD_SIZE:]])
    again = b"".join(pieces)
    head = checked(again)
    assert head is not None
    try:
        store.append(last.n, pieces)
    except DAMAGE as error:
        raise damaged(store.path, f"SQLite says: {error}") from None
    if head.kind == OUTCOMES:
        index.load(last.n, again, head)
    elif head.kind == HEADER:
        found.header = _header(again) or found.header
    found.last = last


def _is_between(head: Head, found: Found, told: Last) -> bool:
    return head.journal == found.journal and found.last.n < head.n <= told.n and head.total <= told.total


def _header(frame: bytes) -> Header | None:
    try:
        return header_of(frame[HEAD_SIZE:])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _report(found: Found, path: str) -> None:
    """Tell of losses that no earlier run has told of."""
    before, rows_before = (0, 0) if found.header is None else (found.header.lost, found.header.broken)
    if found.lost > before:
        found.notices.append(
            f"{path} was damaged: {found.lost - before:,} outcomes of it are lost; their inputs will be called again"
        )
    elif found.broken > rows_before:
        found.notices.append(f"{path} was damaged: {found.broken - rows_before:,} rows of it are not used")
