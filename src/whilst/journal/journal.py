"""`whilst.Journal`: the file that remembers outcomes, so that a run goes on after any crash."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from ..core.check import flag
from ..core.colour import name_of, place_of
from ..core.outcome import short
from .codec import Values
from .ledger import Ledger
from .opening import Terms, open_ledger

Commit = Literal["buffered", "strict"]
Accept = Literal["old", "fresh"]


class Journal:
    """Where outcomes are kept; cheap to make, and nothing is opened before a run begins.

    A run over the same inputs goes on where an earlier one ended, however that ended: what is done comes from the
    file, in its place; failures are tried again. Inputs are recognised by their content, so they may come in another
    order, with more of them or fewer. A function that has changed since is noticed.

    Values, inputs and the words of failures are in the file, because that is its job; it can be read by its owner only.

    Args:
        path: the file, an SQLite database; beside it are its lock, its status and the count that shows losses.
        commit: "buffered": outcomes are given at once and written at 2,048 or every 50 ms, so a killed process calls
            at most as many again as that and its concurrency. "strict": each outcome is given only once it is on the
            disk, and at most `concurrency` calls are made again.
        key: what an input is known by (`lambda row: row["id"]`); a string, a number, or anything of JSON's types.
            None: its whole content. Inputs that are equal are told apart by their order.
        accept: what to do if the function has changed: "old" keeps the results there are, "fresh" moves the file to
            `path.old-1` and starts a new one. None: `JournalChanged` is raised.
        retry_failed: whether inputs that failed in an earlier run are called again; if not, they fail with a
            `Recorded` exception that has the words of the first.
        codec: the type of the values (a dataclass, a msgspec Struct, `list[Place]`), if the function has no
            annotation that says it; or an object whose `encode` makes something storable of a value, and whose
            `decode` makes the value of it again. Without one, values must be of JSON's types, tuples, sets, bytes,
            dates, times, Decimals, UUIDs, complex numbers: those come back as what they were.

    Raises:
        TypeError, ValueError: when an argument cannot be meant.
        JournalError: by the run, when the file cannot be used.

    >>> import tempfile, whilst
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     journal = whilst.Journal(f"{directory}/run.db", commit="strict")
    ...     whilst.map(len, ["a", "bc"], journal=journal).list()
    [1, 2]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        commit: Commit = "buffered",
        key: Callable[[Any], Any] | None = None,
        accept: Accept | None = None,
        retry_failed: bool = True,
        codec: Any = None,
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f'path must be the name of a file, got {short(path)}\n  try: Journal("run.db")')
        given = os.fspath(path)
        if not isinstance(given, str) or not given or "\0" in given or given == ":memory:":
            raise ValueError(f'path must be the name of a file, got {given!r}\n  try: Journal("run.db")')
        if commit not in get_args(Commit):
            raise ValueError(f'commit must be "buffered" or "strict", got {commit!r}')
        if accept is not None and accept not in get_args(Accept):
            raise ValueError(f'accept must be "old", "fresh" or None, got {accept!r}')
        if key is not None and not callable(key):
            raise TypeError(f"key must be callable, got {short(key)}\n  try: key=lambda item: item[{short(key)}]")
        self.path: str = given
        self.commit: Commit = commit
        self.key: Callable[[Any], Any] | None = key
        self.accept: Accept | None = accept
        self.retry_failed: bool = flag("retry_failed", retry_failed)
        self.codec: Any = codec
        self._view: Callable[[Any], Any] | None = None
        """What of an input is identified and stored; the command line's rows know more than their value."""
        self._command: tuple[Sequence[str], str] | None = None
        """The command line (arguments, working directory) that `whilst resume` runs again."""
        self._subject: Any = None
        """The function to be known again, where the run calls a wrapper of it."""
        self._afresh = False
        """Whether the file is put aside even if the function is the same."""
        self._opened: Callable[[Ledger], None] | None = None
        """Told of each ledger that was opened."""
        Values(codec, None, "fn")

    @property
    def strict(self) -> bool:
        """Whether an outcome is given only once it is on the disk."""
        return self.commit == "strict"

    def open(self, fn: Any, *, name: str, loop: asyncio.AbstractEventLoop) -> Ledger:
        """Open the file for one run of `fn` on `loop`, from any thread; JournalError if that cannot be.

        For the run. What is done is loaded here: 1 s for a million outcomes.
        """
        fn = fn if self._subject is None else self._subject
        terms = Terms(
            path=os.path.realpath(self.path),
            given=self.path,
            fn=fn,
            name=name,
            place="" if not callable(fn) or hasattr(fn, "node") else place_of(fn),
            strict=self.strict,
            key=self.key,
            view=self._view,
            command=self._command,
            accept=self.accept,
            afresh=self._afresh,
            retry_failed=self.retry_failed,
            codec=self.codec,
        )
        ledger = open_ledger(terms, loop)
        if self._opened is not None:
            self._opened(ledger)
        return ledger

    def __repr__(self) -> str:
        more = "".join(
            f", {text}"
            for given, text in (
                (self.key, f"key={name_of(self.key) if self.key else ''}"),
                (self.accept, f'accept="{self.accept}"'),
                (not self.retry_failed, "retry_failed=False"),
            )
            if given
        )
        return f"<Journal {shlex.quote(self.path)}, {self.commit}{more}>"
