"""How does a command keep a journal? The library's own does it; here rows are told apart and the command is noted."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..io.rows import Rejected, Row
from .call import RowRejected
from .messages import Problem, say
from .options import RunOptions

if TYPE_CHECKING:
    from ..journal import Journal
    from ..journal.ledger import Ledger


class Keeper:
    """The journal of one command, if it has one."""

    def __init__(self, options: RunOptions, subject: Any) -> None:
        self.path: str | None = options.journal
        self.journal: Journal | None = None
        self._quiet = options.quiet
        self._ledger: Ledger | None = None
        if self.path is not None:
            self.journal = self._made(options, subject)

    def rescue(self) -> None:
        """Save what there is before the process is ended by force."""
        if self._ledger is not None:
            self._ledger.close_now(1.0)

    def _made(self, options: RunOptions, subject: Any) -> Journal:
        from ..journal import Journal

        assert self.path is not None
        journal = Journal(
            self.path,
            commit=options.commit,
            key=_field_of(options.journal_key) if options.journal_key is not None else None,
            accept="old" if options.accept_old else "fresh" if options.fresh else None,
            retry_failed=not options.keep_failed,
            codec=_Plain(),
        )
        journal._view = _value_of
        journal._subject = subject
        journal._command = (sys.argv[1:], os.getcwd())
        journal._opened = self._opened
        return journal

    def _opened(self, ledger: Ledger) -> None:
        self._ledger = ledger
        if self._quiet:
            return
        for notice in ledger.notices:
            say(f"journal: {notice}")
        if ledger.done or ledger.failed:
            failed = f", {ledger.failed:,} failed before" if ledger.failed else ""
            say(f"continuing: {ledger.done:,} done{failed}")


class _Plain:
    """Stores objects as what the outputs write of them: objects of classes as dictionaries, the rest as it is."""

    def __init__(self) -> None:
        from datetime import date, datetime, timedelta
        from datetime import time as clock_time
        from decimal import Decimal
        from uuid import UUID

        self._kept = (bytes, bytearray, datetime, date, clock_time, timedelta, Decimal, UUID)

    def encode(self, value: Any, /) -> Any:
        """Return a value without the user's own classes in it."""
        import msgspec

        return msgspec.to_builtins(value, builtin_types=self._kept)

    def decode(self, stored: Any, /) -> Any:
        """Return it as it is."""
        return stored


def check_keeping(options: RunOptions) -> None:
    """Refuse what only makes sense with a journal, without one."""
    given = {
        "--journal-key": options.journal_key is not None,
        "--accept-old": options.accept_old,
        "--fresh": options.fresh,
        "--keep-failed": options.keep_failed,
        "--commit": options.commit != "buffered",
    }
    for flag, is_given in given.items():
        if is_given and options.journal is None:
            raise Problem(f"{flag} is about a journal, and there is none", remedy=f"{flag} … --journal run.db")
    if options.accept_old and options.fresh:
        raise Problem("--accept-old keeps the results there are, --fresh puts them aside", remedy="one of the two")


def owns(options: RunOptions, name: str) -> bool:
    """Whether an output that exists is one that an earlier run with the same journal wrote: it may be replaced.

    The journal gives every outcome again, so the new file has all that the old one has.
    """
    if options.journal is None or options.fresh or not os.path.exists(options.journal):
        return False
    return os.path.realpath(name) in _outputs_of(options.journal)


def _outputs_of(path: str) -> set[str]:
    """Return the files that the command of a journal writes; none if the journal does not tell."""
    from ..errors import JournalError
    from ..journal import read_header

    try:
        command = read_header(path).command
    except JournalError:
        return set()
    if command is None:
        return set()
    found: set[str] = set()
    for flag, following in zip(command.argv, (*command.argv[1:], ""), strict=True):
        for name in ("-o", "--out", "--failed"):
            if flag == name:
                found.add(following)
            elif flag.startswith(f"{name}=" if name.startswith("--") else name):
                found.add(flag.removeprefix(name).removeprefix("="))
    return {os.path.realpath(os.path.join(command.cwd, name)) for name in found}


def _value_of(row: Any) -> Any:
    """Return what of a row is its identity; a rejected row has none and stays a failure."""
    if isinstance(row, Rejected):
        raise RowRejected(row.reason)
    return row.value if isinstance(row, Row) else row


def _field_of(name: str) -> Any:
    def field(value: Any) -> Any:
        if not isinstance(value, dict) or name not in value:
            raise LookupError(f"the row has no {name!r}, which --journal-key wants")
        return value[name]  # pyright: ignore[reportUnknownVariableType]

    return field
