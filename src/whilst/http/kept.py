"""May a request have gone out on a connection that the server had closed meanwhile?

A server that closes a kept connection without having said so (no `Connection: close`) meets requests on their way.
The client does not tell whether a connection was a kept one, but no more can be than answers came whole before.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from pyreqwest import exceptions as raw

MOST_HOSTS = 10_000
SAFE = frozenset({"GET", "HEAD"})
_CLOSED = ("connection closed before message completed", "Connection reset", "Broken pipe", "connection was forcibly")


class _Host:
    """Requests to a host that are under way, its answers that came whole, connections to it that may lie idle."""

    __slots__ = ("answers", "idle", "under_way")

    def __init__(self) -> None:
        self.idle = self.answers = self.under_way = 0


class Kept:
    """How many connections may lie in a client's pool, by scheme and host: those that there are, or more."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._guard = Lock()

    def begin(self, origin: str) -> int:
        """Begin a request; return what `may_have_been` wants to know of that moment."""
        with self._guard:
            if (host := self._hosts.get(origin)) is None:
                if len(self._hosts) >= MOST_HOSTS:
                    self._hosts.clear()
                host = self._hosts[origin] = _Host()
            host.under_way += 1
            if host.idle:
                host.idle -= 1
                return -1
            return host.answers

    def end(self, origin: str, *, keeps: bool) -> None:
        """Take note of a request that has ended; `keeps`: its answer came whole, so its connection may be kept."""
        with self._guard:
            if (host := self._hosts.get(origin)) is not None:
                host.under_way -= 1
                host.idle += keeps
                host.answers += keeps

    def may_have_been(self, origin: str, begun: int) -> bool:
        """Whether a request that has ended may have gone out on a kept connection.

        One was there when it began, or came while it waited for its own: the client takes whichever is first. That of a
        request that is still under way may have come, too: another thread has not told yet that its answer is there.
        """
        host = self._hosts.get(origin)
        return host is not None and (begun != host.answers or host.under_way > 0)


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
