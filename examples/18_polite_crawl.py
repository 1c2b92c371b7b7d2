"""Learn: a polite crawl of thirty hosts in ten lines, beside the fifty that it takes by hand.

Each page names others, on its own host and on the next one. Every page is to be visited once, each host asked twice at
once at most and no more than forty times a second, and all hosts together. By hand that is a queue, a set of what was
seen, workers, a semaphore and a clock for each host, and knowing when it is over. With whilst a run takes what is added
while it goes on, and a limit has `by=`.
"""

import asyncio
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp

import whilst

HOSTS, PAGES = 30, 8


def host_of(url: str) -> str:
    return url.split("/")[3]  # one server plays all of them: http://127.0.0.1:8000/host7/page/3


async def fetch(url: str, session: aiohttp.ClientSession) -> list[str]:
    async with session.get(url) as answer:
        links: list[str] = (await answer.json())["links"]
        return links


# -- in ten lines ---------------------------------------------------------------------------------------------------


async def crawl(start: str) -> list[str]:
    polite, pages = whilst.Limit(by=host_of, concurrency=2, rate="40/s"), list[str]()
    async with aiohttp.ClientSession() as session:
        visit = partial(fetch, session=session)
        run = whilst.map(visit, list[str](), limit=polite, retry=3, concurrency=200, ordered=False)
        run.add(start, key=start)
        async for page in run.outcomes():
            pages.append(page.input)
            for link in page.value or ():
                run.add(link, key=link)
    return pages


# -- the usual way --------------------------------------------------------------------------------------------------


class Crawler:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.seen: set[str] = set()
        self.done: list[str] = []
        self.places: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(2))
        self.next_at: dict[str, float] = defaultdict(float)

    def add(self, url: str) -> None:
        if url not in self.seen:
            self.seen.add(url)
            self.queue.put_nowait(url)

    async def turn(self, host: str) -> None:
        now = time.monotonic()
        at = max(now, self.next_at[host])
        self.next_at[host] = at + 1 / 40
        await asyncio.sleep(at - now)

    async def visit(self, url: str) -> None:
        host = host_of(url)
        async with self.places[host]:
            for attempt in range(3):
                await self.turn(host)
                try:
                    links = await fetch(url, self.session)
                    break
                except aiohttp.ClientError:
                    if attempt == 2:
                        raise
                    await asyncio.sleep(0.1 * 2**attempt)
        self.done.append(url)
        for link in links:
            self.add(link)

    async def work(self) -> None:
        while True:
            url = await self.queue.get()
            try:
                await self.visit(url)
            finally:
                self.queue.task_done()

    async def crawl(self, start: str) -> list[str]:
        self.add(start)
        workers = [asyncio.create_task(self.work()) for _ in range(200)]
        await self.queue.join()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return self.done


async def by_hand(start: str) -> list[str]:
    async with aiohttp.ClientSession() as session:
        return await Crawler(session).crawl(start)


# -- thirty hosts, played by one server -----------------------------------------------------------------------------


class Web:
    """Counts how often each page is asked for, and how many calls a host has at once."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()
        self.most_of_a_host = self.most = 0
        self._guard = threading.Lock()

    def page(self, path: str, base: str) -> dict[str, Any]:
        _, host, _, number = path.split("/")
        with self._guard:
            self.asked[path] += 1
            self.inside[host] += 1
            self.most_of_a_host = max(self.most_of_a_host, self.inside[host])
            self.most = max(self.most, self.inside.total())
        time.sleep(0.05)
        with self._guard:
            self.inside[host] -= 1
        page, next_host = int(number), int(host.removeprefix("host")) + 1
        links = [f"{base}/{host}/page/{other % PAGES}" for other in (page + 1, page + 2, page - 1)]
        links += [f"{base}/host{(next_host + jump) % HOSTS}/page/{page}" for jump in (0, 5, 11)]
        return {"links": links}


@contextmanager
def serve(web: Web) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps(web.page(self.path, base)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield base
        server.shutdown()


def main() -> None:
    whilst.map(abs, [1]).list()  # loads what is loaded once
    found: dict[str, set[str]] = {}
    for name, crawler in (("by hand", by_hand), ("in ten lines", crawl)):
        web = Web()
        with serve(web) as base:
            began = time.perf_counter()
            pages = asyncio.run(crawler(f"{base}/host0/page/0"))
            took = time.perf_counter() - began
        found[name] = {page.removeprefix(base) for page in pages}
        print(f"{name}: {len(pages)} pages of {len({host_of(page) for page in pages})} hosts in {took:.2f} s")
        print(f"  each asked once: {set(web.asked.values()) == {1}}")
        print(f"  at once: {web.most_of_a_host} of a host, {web.most} in all")
    print("same pages:", len(set(map(frozenset, found.values()))) == 1)


if __name__ == "__main__":
    main()
