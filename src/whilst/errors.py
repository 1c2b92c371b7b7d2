"""What can go wrong with a run as a whole; what goes wrong with one input is that input's own exception."""

from __future__ import annotations

from typing import Any


class WhilstError(Exception):
    """The parent of every error that this library raises about a run (argument errors are TypeError and ValueError)."""


class Stopped(WhilstError):
    """The failure policy ended the run; what was in flight has been finished.

    Attributes:
        remedy: what to mend, when the calls failed in one way that no other input would change; else empty.
    """

    def __init__(self, message: str = "", *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy: str = remedy


class DeadlineExceeded(WhilstError, TimeoutError):
    """The run's `deadline` passed: what was in flight was cancelled, what had finished was delivered."""


class RunCancelled(WhilstError):
    """`run.cancel()` was called, or the loop that drove the run was shut down under it."""


class TooManyAbandoned(WhilstError):
    """More blocking calls outlived their `timeout` than the run may have at once; more would only pile up threads."""


class Throttled(WhilstError):
    """Raised by a function of your own to say that the other side asks to slow down.

    For clients whose exceptions do not tell (see `whilst.transient` for those that are understood by themselves). It
    pauses every call under the same limit, not just the one that raised it, and a retry treats it as transient.

    Args:
        message: what the summary says of it.
        retry_after: seconds that the other side wants to be left alone; None when it did not say.

    Raises:
        TypeError, ValueError: when `retry_after` is not a number of seconds from 0 up.

    >>> import whilst
    >>> def ask(answer):
    ...     if answer["busy"]:
    ...         raise whilst.Throttled("the queue is full", retry_after=2.0)
    >>> outcome = next(iter(whilst.map(ask, [{"busy": True}]).outcomes()))
    >>> outcome.error, outcome.error.retry_after
    (Throttled('the queue is full'), 2.0)
    """

    def __init__(self, message: str = "the other side asks to slow down", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after: float | None = _seconds(retry_after)


class JournalError(WhilstError):
    """A journal cannot be used, or no longer: what is the case, how that is known, and what would mend it.

    Attributes:
        fact, evidence, remedy: the parts of the message.
    """

    def __init__(self, fact: str, *evidence: str, remedy: str = "") -> None:
        super().__init__("\n  ".join((fact, *evidence, *((f"try: {remedy}",) if remedy else ()))))
        self.fact = fact
        self.evidence = evidence
        self.remedy = remedy


class JournalLocked(JournalError):
    """Another run uses the journal now.

    Attributes:
        pid, host, since: who; `since` in seconds since the epoch. All 0 or empty if that cannot be read.
    """

    def __init__(
        self, fact: str, *evidence: str, remedy: str = "", pid: int = 0, host: str = "", since: float = 0.0
    ) -> None:
        super().__init__(fact, *evidence, remedy=remedy)
        self.pid = pid
        self.host = host
        self.since = since


class JournalChanged(JournalError):
    """The journal is of another function, of an older version of it, or of other arguments bound to it.

    Attributes:
        results: how many outcomes it has; `Journal(path, accept="old")` keeps them, `accept="fresh"` puts the file
            aside and starts a new one.
    """

    def __init__(self, fact: str, *evidence: str, remedy: str = "", results: int = 0) -> None:
        super().__init__(fact, *evidence, remedy=remedy)
        self.results = results


class JournalDamaged(JournalError):
    """The file of a journal is damaged where SQLite itself needs it; `whilst.journal.rescue` gets out what is whole.

    Attributes:
        path: the file that can be rescued, else empty.
    """

    def __init__(self, fact: str, *evidence: str, remedy: str = "", path: str = "") -> None:
        super().__init__(fact, *evidence, remedy=remedy)
        self.path = path


class Unstorable(JournalError):
    """A value that would not come back from the journal as what it is, or an input that cannot be told from others."""


class Recorded(WhilstError):
    """A failure as the journal remembers it: the words of the exception that a call raised in an earlier run.

    Attributes:
        kind: how summaries name it: the HTTP status it carried, else its class.
        class_name: the class of that exception, with its module.
        message: its text.
        traceback: the calls it came through, innermost last; its notes are this exception's notes.
    """

    def __init__(self, kind: str, class_name: str, message: str, traceback: str = "") -> None:
        super().__init__(kind, class_name, message, traceback)
        self.kind = kind
        self.class_name = class_name
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        name = self.class_name.removeprefix("builtins.")
        return f"{name}: {self.message}" if self.message else name


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        hint = "\n  try: retry_after=….total_seconds()" if hasattr(value, "total_seconds") else ""
        raise TypeError(f"retry_after must be a number of seconds, got {value!r}{hint}")
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(
            f"retry_after must be at least 0 seconds and finite, got {value!r}\n"
            "  try: leave it out where the other side does not say how long"
        )
    return seconds
