"""The blocking functions of `whilst.http`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .body import Data, encoded
from .clients import TIMEOUT, blocking_client
from .exchange import FAILURES, Exchange, Response
from .reading import FIRST, MAX_SIZE, NEXT, largest


def request(
    method: str,
    url: str,
    *,
    json: Any = None,
    data: Data | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> Response:
    """Send a request and return the answer, read to its end.

    Args:
        method: `"GET"`, `"POST"` and so on.
        url: http or https. User-info in it is sent as basic authorization.
        json: the body, as anything that JSON has words for.
        data: the body instead: bytes, text, or a mapping of form fields.
        headers: more headers. Those that may be credentials do not follow a redirect to another host.
        timeout: seconds until the answer must be there whole, redirects apart; None waits for ever.
        max_size: bytes that the answer may have in memory, unpacked, 64 MiB unless told otherwise; None: any number.

    Redirects are followed, at most ten. Connections are pooled: one pool for all threads of the process.

    Raises:
        StatusError: the status is not 2xx.
        ConnectError: no connection, or it broke; `TruncatedError` when it was in the middle of the body.
        RequestTimeout: not there in time.
        SizeExceeded: larger than `max_size`; it is not read any further.
        CertificateError, BadAnswer, InvalidURL, TooManyRedirects: as their names say. All are `HTTPError`.
    """
    body, headers = encoded(json, data, headers)
    return _completed(Exchange(blocking_client(), method, url, headers, body, timeout, largest(max_size)))


def get_json(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> Any:
    """GET a URL and return its JSON, decoded; the errors are those of `request`.

    >>> from whilst.demo.pokeapi import serve
    >>> with serve(latency=0.01) as api:
    ...     get_json(f"{api.url}/pokemon/pikachu")["id"]
    25
    """
    return request("GET", url, headers=headers, timeout=timeout, max_size=max_size).json()


def get_text(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> str:
    """GET a URL and return its text, by the charset it says it has; the errors are those of `request`."""
    return request("GET", url, headers=headers, timeout=timeout, max_size=max_size).text


def get_bytes(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> bytes:
    """GET a URL and return its bytes, decompressed; the errors are those of `request`."""
    return request("GET", url, headers=headers, timeout=timeout, max_size=max_size).body


def _completed(exchange: Exchange) -> Response:
    while True:
        try:
            with exchange.builder().build_streamed() as raw:
                chunk = raw.body_reader.read(FIRST)
                if exchange.is_whole(chunk, raw.headers):  # most are
                    content = chunk.to_bytes() if chunk is not None else b""
                else:
                    content = _rest(raw, exchange, chunk)
        except FAILURES as error:
            failure = exchange.failure(error)
        else:
            if (answer := exchange.take(raw.status, raw.headers, content)) is not None:
                return answer
            continue
        raise failure  # out here, so that the client's own error, which has the whole URL, is no part of it


def _rest(raw: Any, exchange: Exchange, chunk: Any) -> bytes:
    """Read the rest of a body that is large, packed, or of a failure; return all of it."""
    body, amount = exchange.body(raw.status, raw.headers), FIRST
    while chunk is not None and body.take(chunk.to_bytes()) and len(chunk) == amount:
        amount = NEXT
        chunk = raw.body_reader.read(amount)
    return body.whole()
