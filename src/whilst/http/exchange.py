"""How does a request become an answer? Redirects, statuses and failures; the same for both colours, which only send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pyreqwest import exceptions as raw
from pyreqwest.bytes import Bytes
from pyreqwest.client import Client, SyncClient
from pyreqwest.http import HeaderMap, Url
from pyreqwest.request import RequestBuilder, SyncRequestBuilder

from ..core.evidence import described_status
from ..core.secrets import bounded
from .address import host_of, parts_of, secrets_of, shown_url
from .clients import TIMEOUT, proxy_for
from .errors import (
    EXCERPT,
    BadAnswer,
    CertificateError,
    ConnectError,
    HTTPError,
    InvalidURL,
    Received,
    RequestTimeout,
    StatusError,
    TooManyRedirects,
    TruncatedError,
    UnknownHost,
    masked,
)
from .kept import SAFE, Kept, origin_of, was_closed
from .pace import pass_on
from .reading import FIRST, Body, Largest

if TYPE_CHECKING:
    from .response import Response

NO_TIMEOUT = 10 * 365 * 86400.0  # seconds; a client has no word for "none" once it has a default
MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Headers that may follow a redirect to another host; any other may be a credential.
HARMLESS = frozenset({"accept", "accept-language", "user-agent", "content-type"})
_KEPT = {Client: Kept(), SyncClient: Kept()}  # of the one client of each colour
# What sending and reading raise; ValueError: a URL or a header that is none.
FAILURES = (raw.PyreqwestError, HTTPError, ValueError)

# How the resolvers of Linux, macOS and Windows say that a name does not exist; a resolver that fails says other things.
# Patterns, which `re` compiles at their first use.
NO_SUCH_NAME = r"Name or service not known|No address associated|nodename nor servname|No such host"
CUT_BROTLI = "reached unexpected EOF"  # what unpacks brotli says, where an answer came to its end and the body did not
OS_ERROR = r"\(os error (\d+)\)"


class Exchange:
    """One request and the redirects it meets: ask `builder` for what to send, give `take` what came."""

    __slots__ = (
        *("_afresh", "_body", "_client", "_headers", "_is_again", "_kept", "_largest", "_least", "_begun"),
        *("_method", "_redirects", "_timeout", "_url"),
    )

    def __init__(
        self,
        client: Client | SyncClient,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = TIMEOUT,
        largest: Largest = Largest(),  # noqa: B008 - it is frozen
    ) -> None:
        if type(url) is not str:
            raise TypeError(f"url must be a string, got {type(url).__name__}")
        self._client = client
        self._kept = _KEPT[type(client)]
        self._begun: int | None = None  # of a request under way, by the client that keeps connections
        self._afresh: Client | SyncClient | None = None
        self._is_again = False
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._timeout = _USUAL if timeout == TIMEOUT else _seconds(timeout)
        self._redirects = 0
        self._largest = largest
        size = largest.size
        self._least = FIRST if size is None or size > FIRST else size

    def builder(self) -> Any:
        """Return what to send next; ValueError if it cannot be sent."""
        made: RequestBuilder | SyncRequestBuilder
        if (afresh := self._afresh) is None:
            self._begun = self._kept.begin(origin_of(self._url))
            made = self._client.request(self._method, self._url)
        else:
            self._afresh = self._begun = None
            made = afresh.request(self._method, self._url)
        if self._timeout is not _USUAL:  # which the client has by itself; each call into it costs
            made = made.timeout(self._timeout)
        if self._headers:
            made = made.headers(self._headers)
        return made.body_bytes(self._body) if self._body is not None else made

    def is_whole(self, chunk: Bytes | None, headers: HeaderMap) -> bool:
        """Whether the first chunk is all of the body, and as it should be."""
        return (chunk is None or len(chunk) < self._least) and "content-encoding" not in headers

    def body(self, status: int, headers: HeaderMap) -> Body:
        """Return what takes the body of an answer; SizeExceeded if it says that it is too large."""
        try:
            return Body(Received(headers), status, self._method, self._largest, self.asked)
        except HTTPError as error:
            raise self._named(error) from None

    def is_stale(self, error: Exception) -> bool:
        """Whether to send the same once more, `afresh`: a kept connection had been closed before anything came.

        Once, and what may be asked twice: GET and HEAD.
        """
        begun = self._begun
        self.end()
        if (
            begun is None
            or self._is_again
            or self._method not in SAFE
            or self._body is not None
            or not was_closed(error)
        ):
            return False
        return self._kept.may_have_been(origin_of(self._url), begun)

    def end(self, *, keeps: bool = False) -> None:
        """Take note that a request is over, however it ended; `keeps`: its connection may be kept."""
        if self._begun is not None:
            self._kept.end(origin_of(self._url), keeps=keeps)
            self._begun = None

    def send_afresh(self, client: Client | SyncClient) -> None:
        """Have the next request sent by a client that keeps no connections."""
        self._afresh, self._is_again = client, True

    def take(self, status: int, given: HeaderMap, body: bytes) -> Response | None:
        """Return the answer, or None when it is a redirect and `builder` has the next request."""
        pass_on(given)
        headers = Received(given)
        self.end(keeps=headers.get("connection", "").lower() != "close")
        if 200 <= status < 300:
            from .response import Response  # loaded with the client, beside a caller's loop

            return Response(status, headers, self._url, body, self._method)
        if status in REDIRECTS and "location" in given:
            target = headers.get("location")
            if target is None:
                bad = BadAnswer(f"{described_status(status)}, but the location has bytes above 127: {self.asked}")
                raise self._named(bad)
            self._redirect(status, target)
            return None
        # A page for people says nothing that the status does not.
        page = "html" in headers.get("content-type", "")
        text = "" if page else masked(body[: EXCERPT * 8].decode("utf-8", "replace"), self._secrets())
        raise StatusError.of(status, headers, self.asked, shown_url(self._url), bounded(text, EXCERPT))

    @property
    def asked(self) -> str:
        """What is being asked, without secrets."""
        return f"{self._method} {shown_url(self._url)}"

    def _redirect(self, status: int, target: str) -> None:
        self._redirects += 1
        if self._redirects > MOST_REDIRECTS:
            raise self._named(TooManyRedirects(f"{MOST_REDIRECTS} redirects, one after the other: {self.asked}"))
        before = Url(self._url)
        try:
            after = before.join(target)
        except ValueError:
            raise self._named(
                BadAnswer(f"{described_status(status)}, but the location is not a URL: {self.asked}")
            ) from None
        if after.scheme not in ("http", "https"):
            raise self._named(BadAnswer(f"{described_status(status)} to a {after.scheme} URL: {self.asked}"))
        if self._headers and after.origin_ascii != before.origin_ascii:
            self._headers = {name: it for name, it in self._headers.items() if name.lower() in HARMLESS}
        if status == 303 or (status in (301, 302) and self._method == "POST"):
            self._method, self._body = "HEAD" if self._method == "HEAD" else "GET", None
        self._url = str(after)

    def _secrets(self) -> list[str]:
        given = self._headers or {}
        values = [value for name, value in given.items() if name.lower() not in HARMLESS]
        parts = [part for value in values for part in parts_of(value)]
        return [*secrets_of(self._url), *parts]

    def _named(self, error: HTTPError) -> HTTPError:
        error.url = shown_url(self._url)
        return error

    def failure(self, error: Exception) -> Exception:
        """Turn what the client raised, or reading the body, into an error of ours."""
        if isinstance(error, HTTPError):
            return self._named(error)
        if isinstance(error, raw.PyreqwestError):
            return self._named(self._translated(error))
        if not Url.is_valid(self._url):
            shown = shown_url(self._url)
            better = f"\n  try: https://{shown}" if shown and "://" not in shown else ""
            return self._named(InvalidURL(f"not a URL: {error} ({shown or 'it is empty'}){better}"))
        return _unsendable(error)

    def _translated(self, error: raw.PyreqwestError) -> HTTPError:
        details = error.details if isinstance(error, raw.DetailedPyreqwestError) else None
        causes = [it["message"] for it in (details and details["causes"]) or []]
        host = host_of(self._url)
        if isinstance(error, raw.RequestTimeoutError):
            return RequestTimeout(
                f"no whole answer from {host} within {self._timeout.total_seconds():g} s: {self.asked}"
            )
        if isinstance(error, raw.BuilderError):
            return InvalidURL(f"only http and https URLs can be asked, got {shown_url(self._url)}")
        cause = causes[-1] if causes else error.message
        last = _plain(cause)
        if "certificate" in last:
            return CertificateError(f"the certificate of {host} is not trusted: {_certificate(last)}: {self.asked}")
        if "error reading a body from connection" in causes:
            return TruncatedError(f"the connection to {host} broke in the middle of the body: {last}: {self.asked}")
        if cause == CUT_BROTLI:
            return BadAnswer(f"the packed body ends too early: {self.asked}")
        if isinstance(error, raw.NetworkError):
            return _unconnected(host, causes, cause, self.asked, proxy_for(self._url))
        if isinstance(error, raw.DecodeError):
            return BadAnswer(f"{host} does not answer as it should: {last}: {self.asked}")
        return HTTPError(f"{last}: {self.asked}")


def _unsendable(error: Exception) -> ValueError:
    """Say what of a request cannot be sent; the client would repeat the value of a header, which may be a secret."""
    text = str(error)
    if "header value" in text:
        return ValueError(
            "a header cannot be sent: its value contains something that is not allowed, such as a line end"
        )
    return ValueError(f"the request cannot be sent: {text[:1].lower()}{text[1:]}")


def _seconds(timeout: float | None) -> timedelta:
    if timeout is None:
        return _delta(NO_TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        from ..core.meant import try_seconds

        raise TypeError(f"timeout must be seconds, got {timeout!r}{try_seconds('timeout', timeout)}")
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, got {timeout!r}")
    return _delta(float(min(timeout, NO_TIMEOUT)))


@lru_cache(16)
def _delta(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


_USUAL = _delta(TIMEOUT)


def _unconnected(host: str, causes: list[str], cause: str, asked: str, proxy: str) -> HTTPError:
    if proxy and "client error (Connect)" in causes:
        host = f"the proxy {proxy}"
    if "dns error" in causes and re.search(NO_SUCH_NAME, cause):
        return UnknownHost(f"there is no host {host}: {asked}" if not proxy else f"{host} is not a host: {asked}")
    what = "cannot be reached" if "client error (Connect)" in causes else "broke the connection"
    error = ConnectError(f"{host} {what}: {_plain(cause)}: {asked}")
    if number := re.search(OS_ERROR, cause):
        error.errno = int(number[1])  # tells a refused connection, which means "slower", from others
    return error


def _plain(cause: str) -> str:
    """Return a cause without the number the system has for it, and without a URL (it has secrets)."""
    plain = cause.partition(" for url (")[0].partition(" (os error")[0]
    if plain.endswith("type InvalidContentType"):
        return "it does not speak TLS (try http://)"
    if plain.endswith("Too many open files"):
        return f"{plain} in this process (fewer calls at once need fewer, or a higher limit: ulimit -n)"
    return plain


def _certificate(cause: str) -> str:
    """Say what is wrong with a certificate, and what to do about it."""
    fact = cause.removeprefix("invalid peer certificate: ")
    if "CaUsedAsEndEntity" in fact:
        return (
            "it is that of an authority, which must not be a server's own, even where it is trusted "
            "(make the server's with: openssl req -x509 … -addext basicConstraints=critical,CA:FALSE)"
        )
    if "UnsupportedCertVersion" in fact:
        return (
            "it is of version 1 of X.509, which names no hosts "
            "(sign it again with: openssl x509 -req … -extfile FILE, where FILE has subjectAltName=DNS:HOST)"
        )
    if fact == "UnknownIssuer":
        return "nobody known here signed it (if you trust who did: SSL_CERT_FILE=their-ca.pem)"
    if "not valid for name" in fact:
        others = ", ".join(part.partition('"')[0] for part in fact.split('DnsName("')[1:])
        return f"it is for {others or 'another name'} (ask for that host, or mend the certificate)"
    if "expired" in fact.lower():
        return "it has expired (renew it; or is the clock of this machine right?)"
    return fact
