"""`whilst.Journal`: the file that remembers outcomes, so that a run goes on after any crash."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..core.check import answered, flag
from ..core.colour import name_of, place_of
from ..core.judge import check_judge
from ..core.outcome import short
from .beside import GoingOn, opened_beside

if TYPE_CHECKING:
    from .ledger import Ledger

Commit = Literal["buffered", "strict"]
Accept = Literal["old", "fresh"]


class Journal:
    """A file that keeps the outcomes of a run. Nothing is opened before a run begins.

    A run over the same inputs continues where an earlier one ended, even after a kill: finished results come from the
    file, at their position; failed inputs are tried again. Inputs are recognised by their content, so they may come in
    another order, and there may be more or fewer. If the function has changed, the run stops and says so.

    The file contains values, inputs and the text of failures. Only its owner can read it.

    Args:
        path: the file, an SQLite database. Beside it are its lock, its status, and a count that shows lost rows.
        commit: "buffered": outcomes are given to you at once, and written every 50 ms or 2,048 outcomes. After a kill,
            at most 4,096 calls and those in flight are made again. "strict": an outcome is given to you only when it is
            on the disk, and at most `concurrency` calls are made again.
        key: a function that returns what identifies an input (`lambda row: row["id"]`): a string, a number, or another
            type of JSON. None: the whole content of the input. Equal inputs are numbered in their order.
        accept: "old" keeps the old results if the function has changed. "fresh" moves the file to `path.old-1` and
            starts a new one, even if nothing has changed. None: a change raises `JournalChanged`.
        ignore: names of parts that may change: an attribute (`"started_at"`), an argument, a constant, a helper.
        retry_failed: whether inputs that failed in an earlier run are called again. If not, they fail with a `Recorded`
            exception, which has the text of the first failure.
        codec: the type of the values (a dataclass, a msgspec Struct, `list[Place]`), if the function has no return
            annotation; or an object with `encode`, which turns a value into something storable, and `decode`, which
            turns it back. Without a codec, values must be of JSON's types, or tuples, sets, bytes, dates, times,
            Decimals, UUIDs, complex numbers: these come back as they were.

    Raises:
        TypeError, ValueError: if an argument is wrong.
        JournalError: from the run, if the file cannot be used.

    >>> import tempfile, whilst
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     journal = whilst.Journal(f"{directory}/run.db", commit="strict")
    ...     whilst.map(len, ["a", "bc"], journal=journal).list()
    [1, 2]
    """

    @answered
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        commit: Commit = "buffered",
        key: Callable[[Any], Any] | None = None,
        accept: Accept | None = None,
        ignore: Iterable[str] = (),
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
        if key is not None:
            check_judge("key", key, of="item")
        self.path: str = given
        self.commit: Commit = commit
        self.key: Callable[[Any], Any] | None = key
        self.accept: Accept | None = accept
        self.ignore: tuple[str, ...] = _names("ignore", ignore)
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
        if codec is not None:
            from .codec import Values

            Values(codec, None, "fn")

    def _ledger(self, fn: Any, *, name: str, loop: asyncio.AbstractEventLoop) -> Ledger:
        """Open the file for one run of `fn` on `loop`, from any thread; JournalError if that is not possible.

        For the run itself. It loads what is done, which takes 1 s for a million outcomes; async code uses `_aledger`.
        """
        __tracebackhide__ = True
        return self._open(fn, name, loop, None)

    async def _aledger(self, fn: Any, *, name: str) -> Ledger:
        """Do the same on a thread, for a run on the running loop. If it is cancelled, nothing is left open."""
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        return await opened_beside(partial(self._open, fn, name, loop), loop)

    def _open(self, fn: Any, name: str, loop: asyncio.AbstractEventLoop, going_on: GoingOn | None) -> Ledger:
        __tracebackhide__ = True
        from .opening import Terms, open_ledger  # here, so that a thread loads it where a loop would wait

        fn = fn if self._subject is None else self._subject
        terms = Terms(
            path=os.path.realpath(self.path),
            given=self.path,
            fn=fn,
            name=name,
            place="" if not callable(fn) or hasattr(fn, "node") else place_of(fn),
            strict=self.commit == "strict",
            key=self.key,
            view=self._view,
            command=self._command,
            accept=self.accept,
            afresh=self._afresh or self.accept == "fresh",
            ignore=self.ignore,
            retry_failed=self.retry_failed,
            codec=self.codec,
        )
        ledger = open_ledger(terms, loop, going_on)
        if self._opened is not None:
            self._opened(ledger)
        return ledger

    def __repr__(self) -> str:
        more = "".join(
            f", {text}"
            for given, text in (
                (self.key, f"key={name_of(self.key) if self.key else ''}"),
                (self.accept, f'accept="{self.accept}"'),
                (self.ignore, f"ignore={self.ignore}"),
                (not self.retry_failed, "retry_failed=False"),
            )
            if given
        )
        return f"<Journal {shlex.quote(self.path)}, {self.commit}{more}>"


def _names(parameter: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        raise TypeError(f"{parameter} must be names, got one text\n  try: {parameter}=({given!r},)")
    names = tuple(given)
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f'{parameter} must be names such as "started_at", got {short(name)}')
    return names
