"""Learn: a web server that calls a blocking driver for 50 clients at once; its loop never stands still.

The handler answers with a row for each of forty ids, and the driver that finds a row is blocking code, unmodified. The
usual handler calls it in a loop: then the whole server stands still while the driver waits, for every client. With
whilst the calls of all clients share forty permits, rows are streamed as they are found, and a client that leaves ends
its own run.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import whilst

CLIENTS, ROWS = 50, 40

asked: Counter[str] = Counter()  # how many rows were looked up for each client
guard = threading.Lock()


def find(key: tuple[str, int]) -> dict[str, int]:
    """Find a row, as a driver of a database does: it blocks."""
    client, id = key
    with guard:
        asked[client] += 1
    time.sleep(0.02)
    return {"id": id, "square": id * id}


# -- the usual way --------------------------------------------------------------------------------------------------


async def usual(request: Request) -> Response:
    client = request.query_params["client"]
    return JSONResponse([find((client, id)) for id in range(ROWS)])


# -- with whilst ----------------------------------------------------------------------------------------------------

database = whilst.Limit(concurrency=40)  # all that the database bears, over all clients


async def rows(request: Request) -> Response:
    client = request.query_params["client"]

    async def lines() -> AsyncIterator[bytes]:
        async for row in whilst.map(find, [(client, id) for id in range(ROWS)], limit=database, concurrency=10):
            yield json.dumps(row).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


# -- the server, whose loop is watched ------------------------------------------------------------------------------


class Pulse:
    """How long the loop stood still, at most, and how long of that it was computing: the rest it waited."""

    still = computed = 0.0

    async def beat(self) -> None:
        while True:
            began, busy = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            self.still = max(self.still, time.perf_counter() - began - 0.001)
            self.computed = max(self.computed, time.thread_time() - busy)


pulse = Pulse()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(pulse.beat())
    yield
    task.cancel()


@contextmanager
def serve() -> Iterator[str]:
    app = Starlette(routes=[Route("/usual", usual), Route("/rows", rows)], lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


async def ask(base: str, path: str, clients: int) -> int:
    """Have many clients ask at once; return how many rows they got."""

    async def one(client: int) -> int:
        async with session.get(f"{base}{path}?client={path}{client}") as answer:
            text = await answer.text()
        return text.count('"id"')

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return sum(await asyncio.gather(*(one(client) for client in range(clients))))


async def leave(base: str) -> None:
    """Take one row, and go."""
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{base}/rows?client=leaver")
        await answer.content.readline()
        answer.close()


def main() -> None:
    with serve() as base:
        asyncio.run(ask(base, "/rows", 2))  # loads what is loaded once
        for path, clients in (("/usual", 5), ("/rows", CLIENTS)):
            pulse.still = pulse.computed = 0.0
            began = time.perf_counter()
            got = asyncio.run(ask(base, path, clients))
            took = time.perf_counter() - began
            still, computed = pulse.still * 1000, pulse.computed * 1000
            print(f"{path}: {clients} clients got {got} rows in {took:.2f} s")
            print(f"  the loop stood still for {still:.0f} ms at most, computing for {computed:.0f} ms")
        asyncio.run(leave(base))
        time.sleep(0.5)
        print(f"of {ROWS} rows for a client that left after one, {asked['leaver']} were looked up")


if __name__ == "__main__":
    main()
