"""How does a command keep a journal? The library's own does it; here rows are told apart and the command is noted."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from ..io.open import is_local, local_path
from ..io.output import sweep
from ..io.rows import Rejected, Row
from .batch import Batch
from .feed import RowRejected
from .given import at_colons
from .messages import DISK, Problem, say, short
from .options import RunOptions
from .pace import no_such_field

if TYPE_CHECKING:
    from ..errors import JournalError
    from ..journal import Header, Journal
    from ..journal.ledger import Ledger

LEFT_OUT = ":…@"  # where the password stood in a URL of a command that a journal remembers

_PASSWORD = r"(?<=://)([^/\s:@]*):[^/\s@]+@"


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise Problem(
            "the directory you are in was removed", "a journal stores the directory of its command", remedy="cd"
        ) from None


class Keeper:
    """The journal of one command, if it has one."""

    def __init__(self, options: RunOptions, subject: Any, *, as_text: bool = False) -> None:
        self.path: str | None = options.journal
        self.journal: Journal | None = None
        self._quiet = options.quiet
        self._outputs = [name for name in (options.out, options.failed) if name is not None]
        self._ledger: Ledger | None = None
        if self.path is not None:
            self.journal = self._made(options, subject, as_text)

    def rescue(self) -> None:
        """Save what there is before the process is ended by force."""
        if self._ledger is not None:
            self._ledger.close_now(1.0)

    def _made(self, options: RunOptions, subject: Any, as_text: bool) -> Journal:
        from ..journal import Journal

        assert self.path is not None
        journal = Journal(
            self.path,
            commit=options.commit,
            key=_field_of(options.journal_key) if options.journal_key is not None else None,
            accept="old" if options.accept_old else "fresh" if options.fresh else None,
            retry_failed=not options.keep_failed,
            codec=_Plain(as_text),
        )
        journal._view = _value_of
        journal._subject = subject
        journal._afresh = options.fresh
        journal._command = ([re.sub(_PASSWORD, rf"\1{LEFT_OUT}", word) for word in sys.argv[1:]], _here())
        journal._opened = self._opened
        return journal

    def _opened(self, ledger: Ledger) -> None:
        self._ledger = ledger
        for name in self._outputs:
            if name != "-" and is_local(name):  # the lock is ours now, so whoever was at it before is gone
                sweep(local_path(name), run_name(self.path) or "")
        if self._quiet:
            return
        for notice in ledger.notices:
            say(f"journal: {notice}")
        if ledger.done or ledger.failed:
            failed = f", {ledger.failed:,} failed before" if ledger.failed else ""
            say(f"continuing: {ledger.done:,} done{failed}")


class _Plain:
    """Stores objects as what the outputs write of them: objects of classes as dictionaries, the rest as it is."""

    def __init__(self, as_text: bool) -> None:
        self.as_text: bool = as_text  # see `codec`
        from datetime import date, datetime, timedelta
        from datetime import time as clock_time
        from decimal import Decimal
        from uuid import UUID

        self._kept = (bytes, bytearray, datetime, date, clock_time, timedelta, Decimal, UUID)

    def encode(self, value: Any, /) -> Any:
        """Return a value without the user's own classes in it."""
        import msgspec

        from ..errors import Unstorable

        try:
            return msgspec.to_builtins(value, builtin_types=self._kept)
        except (TypeError, ValueError, RecursionError) as error:
            raise Unstorable(
                f"a value cannot be stored: {short(repr(value), 60)}",
                str(error),
                remedy="return a type that JSON has, or leave out --journal",
            ) from None

    def decode(self, stored: Any, /) -> Any:
        """Return it as it is."""
        return stored


def check_keeping(options: RunOptions) -> None:
    """Refuse what only makes sense with a journal, without one, and a journal without a name."""
    if options.journal == "":
        raise Problem("--journal names no file", remedy="--journal run.db")
    given = {
        "--journal-key": options.journal_key is not None,
        "--accept-old": options.accept_old,
        "--fresh": options.fresh,
        "--keep-failed": options.keep_failed,
        "--commit": options.commit != "buffered",
    }
    for flag, is_given in given.items():
        if is_given and options.journal is None:
            raise Problem(f"{flag} needs a journal", remedy=f"{flag} … --journal run.db")
    if options.accept_old and options.fresh:
        raise Problem("--accept-old keeps the old results, --fresh puts them aside", remedy="one of the two")


def check_journal_key(options: RunOptions, first: Any, source_name: str) -> None:
    """Refuse a field that the first row has not, before there is a journal that tells rows apart by it."""
    name = options.journal_key
    if name is None or not isinstance(first, Row):  # no row, or a rejected one
        return
    try:
        _field_of(name)(first.value)
    except LookupError:
        raise no_such_field("--journal-key", name, first, source_name) from None


def run_name(journal: str | None) -> str | None:
    """Return what unfinished outputs of the runs of a journal are told by from those of others."""
    return None if journal is None else os.path.basename(journal)


def owns(options: RunOptions, name: str) -> bool:
    """Whether an output is one that an earlier run with the same journal wrote: it may be replaced.

    The journal gives every outcome again, so the new file has all that the old one has. Problem if the journal cannot
    be used: then nothing of the run can be.
    """
    if options.journal is None or not os.path.exists(options.journal) or not os.path.getsize(options.journal):
        return False
    from ..journal.reading import NoHeader

    try:
        command = header_of(options.journal).command
    except NoHeader:
        return False
    if command is None:
        return False
    return _place(name, _here()) in {_place(it, command.cwd) for it in _outputs_in(command.argv)}


@functools.cache
def header_of(path: str) -> Header:
    """Return what a journal says of its run; NoHeader if that is nothing, Problem if it cannot be read."""
    from ..errors import JournalError
    from ..journal import read_header
    from ..journal.reading import NoHeader

    try:
        return read_header(path)
    except NoHeader:
        raise
    except JournalError as error:
        raise problem_of(error) from None


def problem_of(error: JournalError) -> Problem:
    """Say in the command line's way what a journal says."""
    return Problem(error.fact, *error.evidence, remedy=remedy_of(error), code=DISK)


def remedy_of(error: JournalError) -> str:
    """Return what would mend it; a command where the library's own words are Python."""
    path = getattr(error, "path", "")
    if not path:
        return error.remedy
    return f"whilst export {shlex.quote(path)} --rescue rescued.db, then go on with rescued.db"


def _outputs_in(argv: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    head, _ = at_colons(argv)
    for word, following in zip(head, (*head[1:], ""), strict=True):
        for flag in ("-o", "--out", "--failed"):
            if word == flag:
                found.append(following)
            elif word.startswith(f"{flag}=" if flag.startswith("--") else flag):
                found.append(word.removeprefix(flag).removeprefix("="))
    return found


def _place(name: str, directory: str) -> str:
    if not is_local(name):
        return re.sub(_PASSWORD, rf"\1{LEFT_OUT}", name)
    return os.path.realpath(os.path.join(directory, local_path(name)))


def _value_of(row: Any) -> Any:
    """Return what of a row is its identity; a rejected row has none and stays a failure."""
    if isinstance(row, Rejected):
        raise RowRejected(row.reason)
    if type(row) is Batch:
        return row.values
    return getattr(row.value, "known_by", row.value) if isinstance(row, Row) else row


def _field_of(name: str) -> Any:
    def field(value: Any) -> Any:
        if not isinstance(value, dict) or name not in value:
            raise LookupError(f"the row has no {name!r}, which --journal-key names")
        return value[name]  # pyright: ignore[reportUnknownVariableType]

    return field
