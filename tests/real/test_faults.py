"""Whatever the other side does becomes the right outcome, in time: promise 5, with a blocking and an async client."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faultserver import FaultServer
from selfsigned import self_signed

import whilst
from whilst.core.diagnosis import Kind, diagnose
from whilst.core.pushback import pushback_of

requests = pytest.importorskip("requests")
aiohttp = pytest.importorskip("aiohttp")

CALLS = 500 * int(os.environ.get("WHILST_SOAK", "1"))
GRACE = 5.0  # seconds past its timeout that no call may last: some 0.05 on a quiet machine; without a timeout, for ever
ROOM = 8  # times its own patience that a blocking call may take, so that a busy machine leaves no threads behind
SILENT = {"silence", "drip"}

EXPECTED = {
    "reset": {Kind.LOST},
    "closed": {Kind.LOST},
    "truncated": {Kind.LOST},
    "500": {Kind.FAILED},
    "at-once": {Kind.THROTTLED},  # a 429 that asks for no wait, which the run would keep
    "json": {Kind.FINAL},
    "silence": {Kind.TIMEOUT},
    "drip": {Kind.TIMEOUT},
    "tls": {Kind.FINAL},
    "certificate": {Kind.FINAL},
    "dns": {Kind.FINAL, Kind.UNREACHABLE},  # no such name; or, without a network, a resolver that says "later"
}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path_factory.mktemp("tls") / "server.pem"))
    with FaultServer(context) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def few_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let requests trust one authority instead of a hundred, which it would load again for every connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(self_signed(tmp_path_factory.mktemp("tls") / "authority.pem")))
        yield


@pytest.fixture(scope="module", autouse=True)
def resolver_asked_once() -> Iterator[None]:
    """Ask the real resolver once for a name that does not exist; a thousand questions would wait for its goodwill."""
    ask = socket.getaddrinfo
    known: dict[object, tuple[Any, ...]] = {}

    def remembered(host: object, *args: Any, **keywords: Any) -> Any:
        if host not in known:
            try:
                return ask(host, *args, **keywords)  # type: ignore[arg-type, unused-ignore]
            except socket.gaierror as error:
                known[host] = error.args
        raise socket.gaierror(*known[host])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", remembered)
        yield


def url_of(fault: str, server: FaultServer, stranger: FaultServer) -> str:
    elsewhere = {
        "tls": server.url("200").replace("http:", "https:"),
        "certificate": stranger.url("200"),
        "dns": "http://nothing.invalid/x",
    }
    return elsewhere.get(fault) or server.url(fault)


def by_requests(url: str, timeout: float, concurrency: int) -> list[whilst.Outcome[str, object]]:
    """Call a blocking function that ends by itself, long before the run would leave a thread in it."""
    patience = timeout / ROOM

    def fetch(url: str, session: requests.Session) -> object:
        ends = time.monotonic() + patience
        with session.get(url, timeout=patience, stream=True) as answer:
            answer.raise_for_status()
            for _ in answer.iter_content(1):  # requests' own timeout begins anew with every byte
                if time.monotonic() > ends:
                    raise requests.ReadTimeout
        return answer.json()

    session = whilst.resource(requests.Session, per="thread")
    run = whilst.map(fetch, [url] * CALLS, use={"session": session}, timeout=timeout, concurrency=concurrency)
    return list(run.outcomes())


def by_aiohttp(url: str, timeout: float, concurrency: int) -> list[whilst.Outcome[str, object]]:
    async def main() -> list[whilst.Outcome[str, object]]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:

            async def fetch(url: str) -> object:
                async with session.get(url) as answer:
                    return await answer.json()

            run = whilst.map(fetch, [url] * CALLS, timeout=timeout, concurrency=concurrency)
            return [outcome async for outcome in run.outcomes()]

    return asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("library", [by_requests, by_aiohttp])
@pytest.mark.parametrize("fault", EXPECTED)
def test_every_call_fails_as_what_it_is_and_in_time(
    library: Callable[[str, float, int], list[whilst.Outcome[str, object]]],
    fault: str,
    server: FaultServer,
    stranger: FaultServer,
) -> None:
    # More at once than a hundred would measure how long a busy machine takes to begin them.
    patience, concurrency = (0.5, 100) if fault in SILENT else (10.0, 16)
    timeout = ROOM * patience if library is by_requests else patience
    outcomes = library(url_of(fault, server, stranger), timeout, concurrency)
    assert len(outcomes) == CALLS
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len(errors) == CALLS, "an answer that is none was taken for one"
    assert max(outcome.took for outcome in outcomes) <= timeout + GRACE

    kinds = Counter(diagnose(error).kind for error in errors)
    assert len(kinds) == 1, Counter(map(repr, errors))
    assert kinds.keys() <= EXPECTED[fault]
    again = kinds.keys() != {Kind.FINAL}
    assert {whilst.transient(error) for error in errors} == {again}
    pushed = {pushback_of(error, now=0.0) for error in errors}
    if fault == "at-once":
        assert {(it.reason, it.retry_after) for it in pushed if it} == {("429 Too Many Requests", 0.0)}
    elif fault in SILENT:
        assert {it.timeout for it in pushed if it} == {True}
    else:
        assert pushed == {None}
