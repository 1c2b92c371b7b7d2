"""May a request have gone out on a connection that the server had closed meanwhile?

A server that closes a kept connection without having said so (no `Connection: close`) meets requests on their way.
The client does not tell whether a connection was a kept one, but no more can be than answers came whole before.
"""

from __future__ import annotations

from typing import Any

from pyreqwest import exceptions as raw

MOST_HOSTS = 10_000
SAFE = frozenset({"GET", "HEAD"})
_CLOSED = ("connection closed before message completed", "Connection reset", "Broken pipe", "connection was forcibly")


class Kept:
    """How many connections may lie in a client's pool, by scheme and host: those that there are, or more.

    Threads may lose one to each other; then a request is sent once less, or once more, than it might be.
    """

    def __init__(self) -> None:
        self._idle: dict[str, int] = {}
        self._given: dict[str, int] = {}

    def take(self, origin: str) -> int:
        """Begin a request; return what `may_have_been` wants to know of that moment."""
        idle = self._idle.get(origin, 0)
        if idle:
            self._idle[origin] = idle - 1
            return -1
        return self._given.get(origin, 0)

    def give(self, origin: str) -> None:
        """Take note of an answer that was read whole, whose connection is kept."""
        if len(self._idle) >= MOST_HOSTS:
            self._idle.clear()
            self._given.clear()
        self._idle[origin] = self._idle.get(origin, 0) + 1
        self._given[origin] = self._given.get(origin, 0) + 1

    def may_have_been(self, origin: str, taken: int) -> bool:
        """Whether a request may have gone out on a kept connection.

        One was there when it began, or came while it waited for its own: the client takes whichever is first.
        """
        return taken != self._given.get(origin, 0)


def origin_of(url: str) -> str:
    """Return what of a URL says where to connect; of an odd one more than that, which is then no other's.

    >>> origin_of("https://example.com:444/a?b"), origin_of("http://example.com")
    ('https://example.com:444', 'http://example.com')
    """
    end = url.find("/", 8)
    return url if end < 0 else url[:end]


def was_closed(error: Exception) -> bool:
    """Whether a connection turned out closed before anything of the answer came."""
    if not isinstance(error, raw.DetailedPyreqwestError):
        return False
    causes: list[Any] = [it["message"] for it in (error.details and error.details["causes"]) or []]
    return "client error (SendRequest)" in causes and any(word in causes[-1] for word in _CLOSED)
