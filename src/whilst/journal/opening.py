"""How is a journal opened? Place, lock, file, what is in it, whether it is of this function; undone if one fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import JournalChanged, JournalError
from .codec import Values
from .fingerprint import fingerprint
from .frame import HEADER, OUTCOMES, Batch, Last, checked, framed, packed
from .header import Header, command_of
from .identity import Identity
from .index import Index
from .ledger import Ledger
from .lock import Lock
from .place import checked_place
from .recovery import Found, recover
from .spill import Spill
from .status import Snapshots, snapshot
from .store import Store
from .tail import Tail
from .tally import Tally
from .writer import COMMIT, Writer


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
    retry_failed: bool
    codec: Any


def open_ledger(terms: Terms, loop: asyncio.AbstractEventLoop) -> Ledger:
    """Open a journal for one run; JournalError, with everything let go of, if that cannot be."""
    values = Values(terms.codec, terms.fn, terms.name)
    exists = checked_place(terms.path)
    with contextlib.ExitStack() as undo:
        lock = Lock(terms.path)
        lock.take()
        undo.callback(lock.release)
        exists = exists and os.path.exists(terms.path)  # whoever held the lock may have moved it
        store, index, found = _opened(terms, exists)
        undo.callback(lambda: store.close())
        header = _header(terms, found)
        if _is_to_be_put_aside(terms, found, header, index):
            store.close()
            _put_aside(terms.path)
            store, index, found = _opened(terms, exists=False)
            header = _header(terms, found)
        tail, spill = Tail(terms.path), Spill(terms.path, found.journal)
        _begin(store, tail, found, header)
        _take_in(store, tail, spill, index, found)
        before = snapshot(terms.path)
        tally = Tally(len(index) - len(index.failed), index.failed, before.kinds if before is not None else {})
        if terms.retry_failed:
            index.forget_failed()
        snapshots = Snapshots(terms.path, header, tally, tally.done, tuple(found.notices))
        ledger = Ledger(
            loop=loop,
            lock=lock,
            store=store,
            writer=Writer(store, tail, spill, snapshots, tally, strict=terms.strict),
            index=index,
            tally=tally,
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


def _opened(terms: Terms, exists: bool) -> tuple[Store, Index, Found]:
    store = Store(terms.path, exists=exists)
    tail, index = Tail(terms.path), Index()
    if not exists:
        tail.forget()
    try:
        found = recover(store, tail, index)
    except BaseException:  # an interrupt while a large file is read; it goes on
        store.close()
        raise
    if not found.journal:
        found.journal = os.urandom(8)
    return store, index, found


def _header(terms: Terms, found: Found) -> Header:
    key = None if terms.key is None else fingerprint(terms.key)
    return Header(
        name=terms.name,
        place=terms.place,
        fingerprint=fingerprint(terms.fn),
        key="" if key is None else f"{key.code}{key.bound}",
        command=None if terms.command is None else command_of(*terms.command),
        created=time.time(),
        lost=found.lost,
        broken=found.broken,
    )


def _is_to_be_put_aside(terms: Terms, found: Found, now: Header, index: Index) -> bool:
    """Whether to start anew; JournalChanged if that is for the user to say."""
    before = found.header
    if terms.afresh or (before is None and not len(index)) or (before is not None and _is_same(before, now)):
        return terms.afresh and (before is not None or len(index) > 0)
    if terms.accept is None:
        raise _unknown(terms, len(index)) if before is None else _changed(terms, before, now, len(index))
    return terms.accept == "fresh"


def _is_same(before: Header, now: Header) -> bool:
    return before.fingerprint == now.fingerprint and before.key == now.key


def _changed(terms: Terms, before: Header, now: Header, results: int) -> JournalChanged:
    """Return the error that says what has changed, what is at stake, and the two ways on."""
    name = os.path.basename(terms.path)
    where = f" ({now.place})" if now.place else ""
    if before.fingerprint == now.fingerprint:
        what = "with a key" if before.key else "by their content"
        fact = f"{name} tells inputs apart {what}, this run does it otherwise (key=)"
    elif before.name != now.name:
        fact = f"{name} is the journal of {before.name}(), this run is of {now.name}(){where}"
    elif before.fingerprint.code == now.fingerprint.code:
        fact = f"{now.name}() is bound to other arguments than when {name} was written{where}"
    else:
        fact = f"{now.name}() changed since {name} was written{where}"
    count = f"{results:,} results are" if results != 1 else "1 result is"
    whose = "from the old version" if before.name == now.name else f"of {before.name}()"
    return JournalChanged(fact, f"{count} {whose}", remedy=_ways(terms, before.name != now.name), results=results)


def _unknown(terms: Terms, results: int) -> JournalChanged:
    return JournalChanged(
        f"{os.path.basename(terms.path)} does not say any more which function its {results:,} results are from",
        "the row that said it is damaged",
        remedy=_ways(terms),
        results=results,
    )


def _ways(terms: Terms, another: bool = False) -> str:
    return (
        ("another path; or " if another else "") + f'Journal({terms.given!r}, accept="old") keeps them, '
        f'Journal({terms.given!r}, accept="fresh") puts them aside and starts afresh'
    )


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
    if found.header is not None and header.same_run(found.header):
        return
    _append(store, tail, found, HEADER, 0, msgspec.json.encode(header))
    found.header = header


def _take_in(store: Store, tail: Tail, spill: Spill, index: Index, found: Found) -> None:
    """Write what earlier runs could only save beside the journal."""
    items = list(spill.read())
    for place in range(0, len(items), COMMIT):
        part = items[place : place + COMMIT]
        frame = _append(store, tail, found, OUTCOMES, len(part), packed(Batch.of(part)))
        head = checked(frame)
        assert head is not None
        index.load(found.last.n, frame, head)
    if items:
        spill.remove()
        found.notices.append(f"{len(items):,} outcomes came from a rescue file into {store.path}")


def _append(store: Store, tail: Tail, found: Found, kind: int, count: int, body: bytes) -> bytes:
    frame, last = framed(found.journal, found.last, kind, count, body)
    try:
        store.append(last.n, frame)
        tail.write(found.journal, last)
        tail.close()
    except Exception as error:  # SQLite's or the system's
        raise JournalError(
            f"{store.path} cannot be written: {error}", remedy="make room on the disk, or another path"
        ) from None
    found.last = Last(*last)
    return frame
