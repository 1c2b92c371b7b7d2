"""What can go wrong with a run as a whole; what goes wrong with one input is that input's own exception."""

from __future__ import annotations

from typing import Any


class WhilstError(Exception):
    """The base class of all errors about a run (wrong arguments raise TypeError and ValueError)."""


class Stopped(WhilstError):
    """The run stopped because too many calls failed; calls in flight have been finished.

    Attributes:
        remedy: what to correct, if all calls failed in the same way; else empty.
    """

    def __init__(self, message: str = "", *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy: str = remedy


class DeadlineExceeded(WhilstError, TimeoutError):
    """The run's `deadline` passed: what was in flight was cancelled, what had finished was delivered."""


class RunCancelled(WhilstError):
    """`run.cancel()` was called, or the event loop of the run was closed."""


class TooManyAbandoned(WhilstError):
    """The run has left more blocking calls behind than its concurrency; more would only collect threads."""


class WorkerDied(WhilstError):
    """The worker process (or cluster node) that made this call died during the call.

    Only this call fails; another worker makes the calls that waited. It is retried only if `Retry(on=…)` says so,
    because the call may kill the worker every time.

    Attributes:
        signal: what killed it, as in "SIGSEGV"; empty if nothing did.
        code: its exit code; None if it was killed, or if that is not known.
        pid: its process id; 0 if it was on another machine.
    """

    def __init__(self, message: str = "", *, signal: str = "", code: int | None = None, pid: int = 0) -> None:
        super().__init__(message)
        self.signal: str = signal
        self.code: int | None = code
        self.pid: int = pid

    @classmethod
    def _of(cls, name: str, returncode: int, pid: int, *, ready: bool) -> WorkerDied:
        """Return the error for the exit code of a process; a negative code is a signal."""
        doing = f"{name}(): the worker process that made this call" if ready else f"{name}: a worker process"
        when = "" if ready else " before it was ready to make calls"
        if returncode >= 0:
            text = f"{doing} ended by itself{when}, with exit code {returncode}"
            hint = "os._exit, or a library that ends the process" if ready else "an import that ends the process"
            return cls(f"{text}\n  it may be {hint}", code=returncode, pid=pid)
        killed = _signal_name(-returncode)
        why = _OF_SIGNALS.get(killed, "")
        text = f"{doing} was killed by {killed}{when}"
        return cls(f"{text}{why and chr(10) + '  ' + why}", signal=killed, pid=pid)

    def __reduce__(self) -> tuple[Any, ...]:
        return _worker_died, (str(self), self.signal, self.code, self.pid)


class Throttled(WhilstError):
    """Raise this in your own function if the other side asks to slow down.

    Use it for clients whose exceptions do not say it (see `whilst.transient` for those that do). It pauses every call
    under the same limit, not only the one that raised it, and `retry=` makes the call again.

    Args:
        message: the text for the summary.
        retry_after: how many seconds the other side asks to wait; None if it did not say.

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


class UnwantedValue(WhilstError):
    """A call returned a value that `Retry(on_value=…)` refused, and had no attempt left (or `on_value` raised).

    Attributes:
        value: what the call returned.

    >>> import whilst
    >>> waits = whilst.Retry(attempts=2, base=0.0, on_value=lambda job: job["state"] == "running")
    >>> [outcome] = whilst.map(dict, [{"state": "running"}], retry=waits).outcomes()
    >>> outcome.attempts, outcome.error.value
    (2, {'state': 'running'})
    """

    def __init__(self, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.value: Any = value
        self._verdict: tuple[object, float | bool] | None = None  # who said so, and when to try again

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out who said so."""
        notes: list[str] = getattr(self, "__notes__", [])
        return type(self), (*self.args, self.value), {"__notes__": notes} if notes else {}


class SizeExceeded(WhilstError):
    """An answer is larger than allowed in memory; it is not retried.

    `whilst.http` raises it (there it is an `HTTPError` too): `max_size=` says how large answers may be.
    """


class RowRejected(WhilstError, ValueError):
    """A row that cannot be read: a failed outcome in a run; raised if you iterate over the rows yourself.

    Attributes:
        line: the number of the row, from 1; in a text file, the line on which it begins.
        reason: what is wrong with it.
        excerpt: its first bytes, as text.
    """

    def __init__(self, message: str, line: int = 0, reason: str = "", excerpt: str = "") -> None:
        super().__init__(message, line, reason, excerpt)
        self.line = line
        self.reason = reason
        self.excerpt = excerpt

    def __str__(self) -> str:
        return str(self.args[0])


class JournalError(WhilstError):
    """A journal cannot be used. The message says what happened, the evidence, and what to do.

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
        pid, host, since: which run, and its start in seconds since the epoch. 0 or empty if that cannot be read.
    """

    def __init__(
        self, fact: str, *evidence: str, remedy: str = "", pid: int = 0, host: str = "", since: float = 0.0
    ) -> None:
        super().__init__(fact, *evidence, remedy=remedy)
        self.pid = pid
        self.host = host
        self.since = since


class JournalChanged(JournalError):
    """The journal was written by another function, an older version of it, or with other bound arguments.

    Attributes:
        results: how many outcomes the journal has. `Journal(path, accept="old")` keeps them; `accept="fresh"` puts the
            file aside and starts a new one.
        changed: the names of what has changed (`jobs.MODEL`, `self.temperature`, `argument by of scaled()`), never a
            value; empty if the journal does not say it (version 0.1).
    """

    def __init__(
        self, fact: str, *evidence: str, remedy: str = "", results: int = 0, changed: tuple[str, ...] = ()
    ) -> None:
        super().__init__(fact, *evidence, remedy=remedy)
        self.results = results
        self.changed = changed


class JournalDamaged(JournalError):
    """A part of the file that SQLite itself needs is damaged; `whilst.journal.rescue` copies what is whole.

    Attributes:
        path: the file that can be rescued; else empty.
    """

    def __init__(self, fact: str, *evidence: str, remedy: str = "", path: str = "") -> None:
        super().__init__(fact, *evidence, remedy=remedy)
        self.path = path


class Unstorable(JournalError):
    """A value cannot be stored exactly in the journal, or an input cannot be told from others."""


class Recorded(WhilstError):
    """A failure from the journal: the text of the exception that a call raised in an earlier run.

    Attributes:
        kind: its name in summaries: the HTTP status, else the class of the exception.
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
        hint = f"\n  try: retry_after={value.strip()}" if isinstance(value, str) and value.strip().isdigit() else hint
        raise TypeError(f"retry_after must be a number of seconds, got {value!r}{hint}")
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(
            f"retry_after must be at least 0 seconds and finite, got {value!r}\n"
            "  try: leave it out if the other side does not say how long"
        )
    return seconds


_OF_SIGNALS = {
    "SIGKILL": "somebody killed it: the system does when memory runs out (dmesg tells)",
    "SIGSEGV": "compiled code touched memory that is not its own\n  try: python -X faulthandler, which shows the line",
    "SIGABRT": "compiled code gave up; what it said stands on stderr",
    "SIGBUS": "a file in memory was cut, or the disk behind shared memory is full",
}


def _signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _worker_died(message: str, signal: str, code: int | None, pid: int) -> WorkerDied:
    return WorkerDied(message, signal=signal, code=code, pid=pid)
