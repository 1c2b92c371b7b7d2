"""The blocking functions of `whilst.http`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .body import Data, encoded, method_of
from .clients import TIMEOUT, blocking_client
from .exchange import FAILURES, Exchange
from .reading import FIRST, MAX_SIZE, NEXT, largest

if TYPE_CHECKING:
    from .response import Response


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
    """Send a request and return the whole answer.

    Args:
        method: `"GET"`, `"POST"` and so on.
        url: http or https. A user and password in it are sent as basic authorization.
        json: the body, as a value that can be written as JSON.
        data: the body as bytes, text, or a mapping of form fields. Give `json` or `data`, not both.
        headers: more headers. Those that may be credentials are not sent to another host after a redirect.
        timeout: seconds for the whole answer, for each redirect anew; None waits for ever.
        max_size: how many bytes the answer may have in memory, decompressed: 64 MiB by default, None for any size.

    At most ten redirects are followed. All threads of the process share one pool of connections. A GET or HEAD whose
    kept connection turns out closed, before anything of the answer came, is sent once more, on a new connection.

    Raises:
        StatusError: the status is not 2xx.
        ConnectError: nobody answers, or the connection broke; a `TruncatedError` if that was in the middle of the body.
        UnknownHost: there is no host with that name.
        RequestTimeout: the answer was not there in time.
        SizeExceeded: the answer is larger than `max_size`. The rest of it is not read.
        CertificateError, BadAnswer, InvalidURL, TooManyRedirects: as their names say. All of these are `HTTPError`.

    >>> from whilst.demo.pokeapi import serve
    >>> with serve(latency=0.01) as api:
    ...     answer = request("GET", f"{api.url}/pokemon/pikachu")
    >>> answer.status, answer.json()["id"]
    (200, 25)
    """
    body, headers = encoded(json, data, headers)
    return _completed(Exchange(blocking_client(), method_of(method), url, headers, body, timeout, largest(max_size)))


def get_json(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> Any:
    """GET a URL and return its JSON, decoded. The errors are those of `request`.

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
    """GET a URL and return its text, decoded by its charset, or as UTF-8. The errors are those of `request`."""
    return request("GET", url, headers=headers, timeout=timeout, max_size=max_size).text


def get_bytes(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> bytes:
    """GET a URL and return its bytes, decompressed. The errors are those of `request`."""
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
            failure = None if exchange.is_stale(error) else exchange.failure(error)
        else:
            if (answer := exchange.take(raw.status, raw.headers, content)) is not None:
                return answer
            continue
        finally:
            exchange.end()
        if failure is None:
            exchange.send_afresh(blocking_client(afresh=True))
            continue
        raise failure  # out here, so that the client's own error, which has the whole URL, is no part of it


def _rest(raw: Any, exchange: Exchange, chunk: Any) -> bytes:
    """Read the rest of a body that is large, packed, or of a failure; return all of it."""
    body, amount = exchange.body(raw.status, raw.headers), FIRST
    while chunk is not None and body.take(chunk.to_bytes()) and len(chunk) == amount:
        amount = NEXT
        chunk = raw.body_reader.read(amount)
    return body.whole()
