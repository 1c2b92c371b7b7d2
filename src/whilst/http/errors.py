"""What can go wrong with a request? Each kind is a class; no message holds a secret.

Messages name the method, the host and the path. They hide the user and password of the URL, the values of its query,
and the values of the request's headers, also if the server repeats them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.evidence import described_status
from ..errors import SizeExceeded as TooLarge

EXCERPT = 500  # characters of a body that an error keeps
SHOWN = 160  # characters of it that its message shows
LEAST_SECRET = 4  # characters; to mask shorter ones would blacken ordinary text


class HTTPError(Exception):
    """The parent of every error of a request. `url` is the URL without its secrets."""

    url: str = ""


class InvalidURL(HTTPError, ValueError):
    """No request was sent: it is not a URL, not http or https, or has no host."""


class ConnectError(HTTPError, ConnectionError):
    """Nobody answers, or the connection broke before the answer was complete."""


class UnknownHost(HTTPError, LookupError):
    """There is no host with that name. Another attempt would not help."""


class TruncatedError(ConnectError):
    """The connection broke in the middle of the body."""


class CertificateError(HTTPError):
    """The server's certificate is not trusted. Another attempt would not help."""


class RequestTimeout(HTTPError, TimeoutError):
    """The whole answer was not there within `timeout` seconds."""


class BadAnswer(HTTPError, ValueError):
    """The answer is complete, but not HTTP, or not what its headers say."""


class NotJSON(BadAnswer):
    """The answer is complete, but not the JSON that you asked for."""


class SizeExceeded(HTTPError, TooLarge):
    """The answer is larger than `max_size`, decompressed. Another attempt would not help."""


class TooManyRedirects(HTTPError):
    """There were more than ten redirects."""


class StatusError(HTTPError):
    """The status is not 2xx. `status` is the number, `headers` came with it, `body` is the beginning of its text.

    >>> error = StatusError.of(404, {"Server": "x"}, "GET https://example.com/a", "https://example.com/a", "")
    >>> str(error), error.status, error.headers["server"]
    ('404 Not Found: GET https://example.com/a', 404, 'x')
    """

    status: int = 0
    headers: Headers
    body: str = ""

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], asked: str, url: str, body: str) -> StatusError:
        """Make one; `asked` and `body` must be masked."""
        excerpt = " ".join(body[:SHOWN].split())
        error = cls(f"{described_status(status)}: {asked}" + (f": {excerpt}" if excerpt else ""))
        error.status, error.headers, error.url, error.body = status, Headers(headers), url, body
        return error


class Headers(Mapping[str, str]):
    """Headers by name, in upper or lower case. If a header comes several times, its values are joined by commas.

    A value with a byte above 127, which the client cannot read, is left out.

    >>> Headers({"Retry-After": "7"})["retry-after"]
    '7'
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._values: dict[str, str] = {}
        for name, value in readable(given):
            name = name.lower()
            self._values[name] = f"{self._values[name]}, {value}" if name in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self._values)}>"  # a value may be a secret, as of Set-Cookie


def readable(given: Any) -> Iterator[tuple[str, str]]:
    """Give the headers of an answer that can be read; one that cannot is no reason to do without the others."""
    try:
        yield from list(given.items())
        return
    except ValueError:  # one of them has a byte above 127
        pass
    for name in dict.fromkeys(given):
        try:
            values = given.getall(name)
        except ValueError:
            continue
        yield from ((name, value) for value in values)


class Received(Mapping[str, str]):
    """The headers of an answer, read when they are asked for; as `Headers` otherwise."""

    __slots__ = ("_given", "_read")

    def __init__(self, given: Any) -> None:
        self._given = given
        self._read: Headers | None = None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return str(value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        if name not in self._given:
            return default
        try:
            values = self._given.getall(name)  # which costs a tenth of reading them all
        except ValueError:
            return default
        return values[0] if len(values) == 1 else ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        if self._read is None:
            self._read = Headers(self._given)
        return iter(self._read)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"


def masked(text: str, secrets: list[str]) -> str:
    """Return `text` without any of the secrets.

    >>> masked("token 'abcdef' is unknown", ["abcdef", "x"])
    "token '…' is unknown"
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, "…")
    return text
