"""Learn: read a stream with `async for` or a comprehension, then have its results fetched ahead.

The names come from an async generator that reads the list of the API page by page. `async for` takes one name,
waits for its weight, takes the next. `whilst.map` over the same generator fetches many weights at once, gives them
in the same order, and reads the pages no further ahead than it needs.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp

import whilst
from whilst.demo import pokeapi


async def read_names(session: aiohttp.ClientSession, api: str) -> AsyncIterator[str]:
    """Three pages of four names."""
    for offset in range(0, 12, 4):
        async with session.get(f"{api}/pokemon", params={"limit": 4, "offset": offset}) as answer:
            for entry in (await answer.json())["results"]:
                yield entry["name"]


async def main(api: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def weigh(name: str) -> int:
            async with session.get(f"{api}/pokemon/{name}") as answer:
                return int((await answer.json())["weight"])

        print("one at a time: async for")
        async for name in read_names(session, api):
            if name.startswith("c"):
                print(f"  {name} weighs {await weigh(name)}")

        start = time.perf_counter()
        alone = [await weigh(name) async for name in read_names(session, api)]
        one_at_a_time = time.perf_counter() - start
        print(f"one at a time: a comprehension, {one_at_a_time:.2f} s\n  {alone}")

        start = time.perf_counter()
        ahead = [weight async for weight in whilst.map(weigh, read_names(session, api))]
        seconds = time.perf_counter() - start
        print(f"fetched ahead: the same comprehension, {seconds:.2f} s\n  {ahead}")
        print(f"same: {ahead == alone}, ratio: {one_at_a_time / seconds:.1f}")


if __name__ == "__main__":
    with pokeapi.serve() as api:
        asyncio.run(main(api.url))  # or asyncio.run(main("https://pokeapi.co/api/v2"))
