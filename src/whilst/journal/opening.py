"""How is a journal opened? Place, lock, file, what is in it, whether it is of this function; undone if one fails.

All of that is a matter of the disk and of the size of the file, so for a run on a caller's loop a thread does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from ..errors import JournalError
from .beside import GoingOn
from .changes import changed, listed, same_function, unknown, unseen_notice
from .codec import Values
from .counts import Counts, Kind
from .fingerprint import fingerprint
from .frame import HEADER, OUTCOMES, Batch, Last, checked, framed, packed
from .header import Command, Header, header_bytes
from .identity import Identity
from .index import Index
from .ledger import Ledger
from .lock import Lock
from .lookup import Blocks
from .names import in_text
from .overflow import Overflow
from .parts import Parts
from .place import checked_place
from .recovery import Found, recover
from .status import Snapshots, snapshot
from .store import Store, told
from .tail import Tail
from .writer import COMMIT, Writer

_began = attrgetter("began")


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a journal is opened; see `Journal`."""

    path: str
    given: str
    fn: Any
    name: str
    place: str
    strict: bool
    key: Callable[[Any], Any] | None
    view: Callable[[Any], Any] | None
    command: tuple[Sequence[str], str] | None
    accept: str | None
    afresh: bool
    ignore: tuple[str, ...]
    retry_failed: bool
    codec: Any


def open_ledger(terms: Terms, loop: asyncio.AbstractEventLoop, going_on: GoingOn | None = None) -> Ledger:
    """Open a journal for one run; JournalError, with everything let go of, if that cannot be."""
    __tracebackhide__ = True
    going_on = going_on or GoingOn()
    values = Values(terms.codec, terms.fn, terms.name)
    exists = checked_place(terms.path, terms.given)
    with contextlib.ExitStack() as undo:
        lock = Lock(terms.path, terms.given)
        undo.callback(lock.release)
        lock.take()
        exists = exists and os.path.exists(terms.path)  # whoever held the lock may have moved it
        store, index, found = _opened(terms, exists, going_on)
        undo.callback(lambda: store.close())
        parts = Parts(terms.fn, terms.ignore)
        header = _header(terms, found, parts)
        if _is_to_be_put_aside(terms, found, header, parts, index):
            store.close()
            _put_aside(terms.path)
            store, index, found = _opened(terms, exists=False, going_on=going_on)
            header = _header(terms, found, parts)
        _say_what_is_unseen(terms, found, header, parts)
        tail, overflow = Tail(terms.path), Overflow(terms.path, found.journal)
        _begin(store, tail, found, header)
        _take_in(store, tail, overflow, index, found)
        counts = Counts(len(index) - len(index.failed), index.failed, _kinds_before(terms.path, index))
        if terms.retry_failed:
            index.forget_failed()
        snapshots = Snapshots(terms.path, header, counts, counts.done, tuple(found.notices))
        ledger = Ledger(
            loop=loop,
            lock=lock,
            writer=Writer(
                store, Blocks(index, store, found.journal), tail, overflow, snapshots, counts, strict=terms.strict
            ),
            index=index,
            counts=counts,
            identity=Identity(terms.key, terms.view),
            values=values,
            journal=found.journal,
            last=found.last,
            strict=terms.strict,
            notices=tuple(found.notices),
        )
        snapshots.write(0)  # so that there is one for as long as the lock is held
        undo.pop_all()
    return ledger


def _kinds_before(path: str, index: Index) -> Mapping[str, Kind]:
    """Return the failures that the last snapshot tells of; none if that is of another state, or of another journal."""
    before, failed = snapshot(path), len(index.failed)
    if before is None or not before.ended or (before.done, before.failed) != (len(index) - failed, failed):
        return {}
    return before.kinds


def _opened(terms: Terms, exists: bool, going_on: GoingOn) -> tuple[Store, Index, Found]:
    store = Store(terms.path, exists=exists)
    try:
        tail, index = Tail(terms.path), Index()
        if not exists:
            tail.forget()
        found = recover(store, tail, index, going_on.check)
        if not found.journal:
            found.journal = os.urandom(8)
    except BaseException:  # an interrupt while a large file is read; it goes on
        store.close()
        raise
    return store, index, found


def _header(terms: Terms, found: Found, parts: Parts, *, as_0_1: bool = False) -> Header:
    key = None if terms.key is None else fingerprint(terms.key, as_0_1=as_0_1)
    return Header(
        name=in_text(terms.name),
        place=in_text(terms.place),
        fingerprint=fingerprint(terms.fn, parts, as_0_1=as_0_1),
        key="" if key is None else f"{key.code}{key.bound}",
        command=None if terms.command is None else Command(tuple(terms.command[0]), terms.command[1]),
        created=time.time(),
        lost=found.lost,
        broken=found.broken,
    )


def _is_to_be_put_aside(terms: Terms, found: Found, now: Header, parts: Parts, index: Index) -> bool:
    """Whether to start anew; JournalChanged if that is for the user to say."""
    __tracebackhide__ = True
    before = found.header
    if terms.afresh or (before is None and not len(index)):
        return terms.afresh and (before is not None or len(index) > 0)
    if before is not None and (
        same_function(before, now, parts.ignore)
        or same_function(before, _header(terms, found, parts, as_0_1=True), parts.ignore)
    ):
        return False
    if terms.accept is None:
        if before is None:
            raise unknown(terms.path, terms.given, len(index))
        raise changed(terms.path, terms.given, before, now, parts, len(index))
    return False


def _say_what_is_unseen(terms: Terms, found: Found, header: Header, parts: Parts) -> None:
    notice = unseen_notice(found.header, header)
    if notice:
        found.notices.append(notice)
    if more := [name for name in terms.ignore if name not in parts.ignored]:
        found.notices.append(f"ignore= names nothing that {terms.name}() depends on: {listed(more)}")


def _put_aside(path: str) -> str:
    """Move a journal that is closed to the first free name; nothing is ever deleted."""
    number = 1
    while os.path.lexists(f"{path}.old-{number}"):
        number += 1
    aside = f"{path}.old-{number}"
    try:
        for more in ("-wal", "-journal", ".tail", ".rescue.jsonl"):
            if os.path.exists(path + more):
                os.rename(path + more, aside + more)
        os.rename(path, aside)
    except OSError as error:
        raise JournalError(f"{path} cannot be moved to {aside}: {error.strerror}", remedy="another path") from None
    return aside


def _begin(store: Store, tail: Tail, found: Found, header: Header) -> None:
    """Write the header, if this run differs from the one before."""
    if found.header is not None and header._same_run(found.header):
        return
    _append(store, tail, found, HEADER, 0, [header_bytes(header)])
    found.header = header


def _take_in(store: Store, tail: Tail, overflow: Overflow, index: Index, found: Found) -> None:
    """Write what earlier runs could only save beside the journal."""
    items = list(overflow.read())
    for _, of_a_run in groupby(items, _began):
        run = list(of_a_run)
        for place in range(0, len(run), COMMIT):
            part = run[place : place + COMMIT]
            frame = _append(store, tail, found, OUTCOMES, len(part), packed(Batch.of(part)))
            head = checked(frame)
            assert head is not None
            index.load(found.last.n, frame, head)
    if items:
        overflow.remove()
        found.notices.append(f"{len(items):,} outcomes came from a rescue file into {store.path}")


def _append(store: Store, tail: Tail, found: Found, kind: int, count: int, body: Sequence[bytes]) -> bytes:
    frame, last = framed(found.journal, found.last, kind, count, body)
    try:
        store.append(last.n, frame)
        tail.write(found.journal, last)
        tail.close()
    except Exception as error:  # SQLite's or the system's
        raise told(error, store.path) from None
    found.last = Last(*last)
    return b"".join(frame)
