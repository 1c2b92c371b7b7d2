"""What can go wrong with a run as a whole; what goes wrong with one input is that input's own exception."""

from __future__ import annotations

from typing import Any


class WhilstError(Exception):
    """The parent of every error that this library raises about a run (argument errors are TypeError and ValueError)."""


class Stopped(WhilstError):
    """The failure policy ended the run: `stop_after` was reached; what was in flight has been finished."""


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
