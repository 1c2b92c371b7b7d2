"""The functions of `whilst.http` for async code: `whilst.map(whilst.http.aio.get_json, urls)`.

They work on any event loop, and share one pool of connections in the process. If a call is cancelled, its request ends.
"""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from asyncio import timeout as asyncio_timeout
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .body import Data, encoded, method_of
from .clients import TIMEOUT, async_client, ended, made
from .errors import RequestTimeout
from .exchange import FAILURES, Exchange
from .reading import FIRST, MAX_SIZE, NEXT, largest

if TYPE_CHECKING:
    from pyreqwest.client import Client

    from .response import Response

__all__ = ["get_bytes", "get_json", "get_text", "request"]

STALLED = 60.0  # seconds without a byte, after which a body that is saved is given up


async def request(
    method: str,
    url: str,
    *,
    json: Any = None,
    data: Data | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> Response:
    """Send a request and return the whole answer. Arguments and errors are those of `whilst.http.request`."""
    body, headers = encoded(json, data, headers)
    client = made() or await _making()
    return await completed(Exchange(client, method_of(method), url, headers, body, timeout, largest(max_size)))


async def _making(*, afresh: bool = False) -> Client:
    """Return a client, made on a thread: that takes 10 ms."""
    loop = get_running_loop()
    if hasattr(loop, "virtual_clock"):  # whose time stands still meanwhile
        return async_client(afresh=afresh)
    return await loop.run_in_executor(None, partial(async_client, afresh=afresh))


Grow = Callable[[int], Awaitable[None]]


async def completed(
    exchange: Exchange, grow: Grow | None = None, save: Callable[[bytes], None] | None = None
) -> Response:
    """Send what an exchange asks for until it has its answer.

    `grow` is asked before a large answer takes that many bytes in all. With `save` it gets the body, as it comes, and
    the answer has none.
    """
    while True:
        try:
            async with exchange.builder().build_streamed() as raw:
                headers = raw.headers
                if save is not None:
                    content = await _saved(raw, exchange, save)
                else:
                    chunk = await raw.body_reader.read(FIRST)
                    if exchange.is_whole(chunk, headers):  # most are
                        content = chunk.to_bytes() if chunk is not None else b""
                    else:
                        content = await _read(raw, exchange, chunk, grow)
        except FAILURES as error:
            failure = None if exchange.is_stale(error) else exchange.failure(error)
        else:
            if (answer := exchange.take(raw.status, headers, content)) is not None:
                return answer
            continue
        finally:
            exchange.end()
            ended()
        if failure is None:
            exchange.send_afresh(await _making(afresh=True))
            continue
        raise failure  # out here, so that the client's own error, which has the whole URL, is no part of it


async def _read(raw: Any, exchange: Exchange, chunk: Any, grow: Grow | None) -> bytes:
    """Read the rest of a body that is large, packed, or of a failure; return all of it."""
    body, amount = exchange.body(raw.status, raw.headers), FIRST
    while chunk is not None and body.take(chunk.to_bytes()) and len(chunk) == amount:
        if body.is_packed:
            await sleep(0)  # to unpack takes its time
        amount = NEXT
        if grow is not None:
            await grow(body.size + amount)
        chunk = await raw.body_reader.read(amount)
    return body.whole()


async def _saved(raw: Any, exchange: Exchange, save: Callable[[bytes], None]) -> bytes:
    """Give the body of a success to `save` as it comes; return that of a failure."""
    if not 200 <= raw.status < 300:
        return await _read(raw, exchange, await raw.body_reader.read(FIRST), None)
    body = exchange.body(raw.status, raw.headers)
    while True:
        try:
            async with asyncio_timeout(STALLED):
                chunk = await raw.body_reader.read_chunk()
        except TimeoutError:
            raise RequestTimeout(f"nothing came for {STALLED:g} s: {body.asked}") from None
        if chunk is None:
            body.end()
            return b""
        body.take(chunk.to_bytes())
        save(body.taken())


async def get_json(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> Any:
    """GET a URL and return its JSON, decoded. The errors are those of `whilst.http.request`.

    >>> import asyncio
    >>> from whilst.demo.pokeapi import serve
    >>> with serve(latency=0.01) as api:
    ...     asyncio.run(get_json(f"{api.url}/pokemon/pikachu"))["id"]
    25
    """
    return (await request("GET", url, headers=headers, timeout=timeout, max_size=max_size)).json()


async def get_text(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> str:
    """GET a URL and return its text, decoded by its charset, or as UTF-8. Errors as of `whilst.http.request`."""
    return (await request("GET", url, headers=headers, timeout=timeout, max_size=max_size)).text


async def get_bytes(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = TIMEOUT,
    max_size: int | None = MAX_SIZE,
) -> bytes:
    """GET a URL and return its bytes, decompressed. The errors are those of `whilst.http.request`."""
    return (await request("GET", url, headers=headers, timeout=timeout, max_size=max_size)).body
