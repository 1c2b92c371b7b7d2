"""`concurrency="adaptive"` against nginx, which has a limit that nobody told: most of it is used, little is refused.

What is permitted and what was refused is counted from nginx's own log, after the first five seconds. Rates are modest,
so that neither this process nor a busy machine is the limit; what a machine was too busy for is measured again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from nginx import Nginx, logging_nginx
from slowserver import slow_server

import whilst

aiohttp = pytest.importorskip("aiohttp")
urllib3 = pytest.importorskip("urllib3")

SETTLED = 5.0  # seconds after which the limit should be known
LASTS = 9.0
LEAST_USED, MOST_REFUSED = 0.93, 0.03
TRIES = 5
RETRY = whilst.Retry(attempts=50, budget=None, breaker=False)
FOREVER = range(10**9)

pytestmark = [pytest.mark.slow, pytest.mark.clocked, pytest.mark.once, pytest.mark.timeout(180)]

Client = Callable[[str], None]


class Seen(NamedTuple):
    """What nginx did between the fifth second and the last."""

    per_second: float
    """Requests that were served."""
    refused: float
    """Which part of all requests was not."""
    at_once: float
    """How many requests were being served, on average."""
    took: float
    """Seconds that a request was being served, on average."""


def async_client(url: str) -> None:
    async def calls() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:

            async def fetch(_: int) -> bytes:
                async with session.get(url) as answer:
                    return await answer.read()

            ends = time.monotonic() + LASTS
            async with whilst.map(fetch, FOREVER, concurrency="adaptive", retry=RETRY) as run:
                async for value in run:
                    assert value == b"{}"
                    if time.monotonic() > ends:
                        break

    asyncio.run(calls())


def blocking_client(url: str) -> None:
    with urllib3.PoolManager(maxsize=512, retries=False) as pool:

        def fetch(_: int) -> bytes:
            answer = pool.request("GET", url)
            if answer.status != 200:
                raise whilst.Throttled(f"status {answer.status}")
            return answer.data

        ends = time.monotonic() + LASTS
        with whilst.map(fetch, FOREVER, concurrency="adaptive", retry=RETRY) as run:
            for value in run:
                assert value == b"{}"
                if time.monotonic() > ends:
                    break


def measured(server: Nginx, client: Client) -> Seen:
    begins = time.time()
    client(f"{server.url}/answer")
    since, until = begins + SETTLED, begins + LASTS
    served = [it for it in server.served() if since <= it.at < until]
    taken = [it.took for it in served if it.status == 200]
    assert taken, "nothing was served"
    return Seen(
        len(taken) / (until - since),
        1 - len(taken) / len(served),
        sum(taken) / (until - since),
        sum(taken) / len(taken),
    )


def meets(server: Nginx, client: Client, used: Callable[[Seen], float]) -> Seen:
    """Return what was seen once it is good enough; give a machine that was busy with something else another chance."""
    missed: list[str] = []
    for _ in range(TRIES):
        seen = measured(server, client)
        if used(seen) >= LEAST_USED and seen.refused <= MOST_REFUSED:
            return seen
        missed.append(f"{used(seen):.1%} used, {seen.refused:.1%} refused: {seen}")
    pytest.fail("\n".join(missed), pytrace=False)


@pytest.mark.parametrize(
    ("rate", "burst", "status", "client"),
    [(200, 10, 429, async_client), (400, 20, 503, async_client), (200, 5, 429, blocking_client)],
    ids=["200 a second", "400 a second", "200 a second, blocking"],
)
def test_a_rate_that_nobody_told_is_found(rate: int, burst: int, status: int, client: Client) -> None:
    zone = f"limit_req_zone $server_port zone=calls:1m rate={rate}r/s;"
    limit = f"limit_req zone=calls burst={burst} nodelay; limit_req_status {status};"
    with logging_nginx(limit, zone) as server:
        (server.root / "answer").write_text("{}")
        meets(server, client, lambda seen: seen.per_second / rate)


@pytest.mark.parametrize(
    ("slots", "client"), [(20, async_client), (10, blocking_client)], ids=["20 at once", "10 at once, blocking"]
)
def test_so_many_slots_that_refuse_what_is_more_are_found(slots: int, client: Client) -> None:
    """What is permitted is that all slots are busy, however long a busy machine makes a request take."""
    with slow_server(0.05) as port:
        zone = f"limit_conn_zone $server_port zone=slots:1m; {upstream(port)}"
        with logging_nginx(f"limit_conn slots {slots}; limit_conn_status 503; {PROXY}", zone) as server:
            meets(server, client, lambda seen: seen.at_once / slots)


def test_so_many_slots_with_a_queue_before_them_are_found() -> None:
    """There is no refusal to learn from, and more than needed at once would be served as fast: it only waits longer."""
    slots, service = 20, 0.05
    with slow_server(service, slots) as port, logging_nginx(PROXY, upstream(port)) as server:
        seen = meets(server, async_client, lambda seen: seen.per_second * service / slots)
        assert seen.took < 10 * service


PROXY = "location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ''; }"


def upstream(port: int) -> str:
    return f"upstream backend {{ server 127.0.0.1:{port}; keepalive 512; }}"
