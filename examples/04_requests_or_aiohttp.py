"""Learn: code that uses a client need not know whether the client blocks.

Two clients, one by `requests`, which blocks, one by `aiohttp`, which is awaited. In plain asyncio whoever calls them
must know which is which, and bring the threads. `whilst.map` takes either, so one Protocol covers both.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
import requests

import whilst
from whilst.demo import pokeapi


class Client(Protocol):
    @property
    def weigh(self) -> Callable[[str], int] | Callable[[str], Awaitable[int]]: ...


class Blocking:
    def __init__(self, api: str) -> None:
        self.api = api

    def weigh(self, name: str) -> int:
        return int(requests.get(f"{self.api}/pokemon/{name}", timeout=30).json()["weight"])


class Native:
    def __init__(self, api: str, session: aiohttp.ClientSession) -> None:
        self.api, self.session = api, session

    async def weigh(self, name: str) -> int:
        async with self.session.get(f"{self.api}/pokemon/{name}") as answer:
            return int((await answer.json())["weight"])


async def total_weight(client: Client, names: list[str]) -> int:
    """The code of the application: the same for both."""
    return sum(await whilst.map(client.weigh, names))


async def main(api: str) -> None:
    names = pokeapi.sample(20, seed=4)
    async with aiohttp.ClientSession() as session:
        blocking, native = Blocking(api), Native(api, session)

        # Plain asyncio: two ways, and to_thread has few threads on a small machine and shares them with everyone.
        print("by hand:", sum(await asyncio.gather(*[asyncio.to_thread(blocking.weigh, name) for name in names])))
        print("by hand:", sum(await asyncio.gather(*[native.weigh(name) for name in names])))

        clients: list[Client] = [blocking, native]
        for client in clients:
            start = time.perf_counter()
            total = await total_weight(client, names)
            print(f"{type(client).__name__}: {total} in {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    with pokeapi.serve() as api:
        asyncio.run(main(api.url))  # or asyncio.run(main("https://pokeapi.co/api/v2"))
