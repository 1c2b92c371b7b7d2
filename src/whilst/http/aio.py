"""The functions of `whilst.http` in the async colour: `whilst.map(whilst.http.aio.get_json, urls)`.

They work on any loop, and share one pool of connections in the process. Cancelling one ends its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .body import Data, encoded
from .clients import TIMEOUT, async_client, ended
from .exchange import FAILURES, Exchange, Response


async def request(
    method: str,
    url: str,
    *,
    json: Any = None,
    data: Data | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
) -> Response:
    """Send a request and return the whole answer; arguments and errors are those of `whilst.http.request`."""
    body, headers = encoded(json, data, headers)
    return await completed(Exchange(async_client(), method, url, headers, body, timeout))


async def completed(exchange: Exchange) -> Response:
    """Send what an exchange asks for until it has its answer."""
    while True:
        try:
            raw = await exchange.builder().build().send()
            content = (await raw.bytes()).to_bytes()
        except FAILURES as error:
            failure = exchange.failure(error)
        else:
            if (answer := exchange.take(raw.status, raw.headers, content)) is not None:
                return answer
            continue
        finally:
            ended()
        raise failure  # out here, so that the client's own error, which has the whole URL, is no part of it


async def get_json(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = TIMEOUT) -> Any:
    """GET a URL and return its JSON, decoded; the errors are those of `whilst.http.request`.

    >>> import asyncio
    >>> from whilst.demo.pokeapi import serve
    >>> with serve(latency=0.01) as api:
    ...     asyncio.run(get_json(f"{api.url}/pokemon/pikachu"))["id"]
    25
    """
    return (await request("GET", url, headers=headers, timeout=timeout)).json()


async def get_text(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = TIMEOUT) -> str:
    """GET a URL and return its text, by the charset it says it has; the errors are those of `whilst.http.request`."""
    return (await request("GET", url, headers=headers, timeout=timeout)).text


async def get_bytes(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = TIMEOUT) -> bytes:
    """GET a URL and return its bytes, decompressed; the errors are those of `whilst.http.request`."""
    return (await request("GET", url, headers=headers, timeout=timeout)).body
