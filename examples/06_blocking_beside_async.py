"""Learn: a blocking request beside an async counter, and why a task alone does not help.

A counter ticks every 10 ms while `weigh` waits for its answer. `asyncio.create_task` says that the request may run
beside the counter, but a blocking call never gives the loop back, so nothing else runs until it returns.
`whilst.unblock(weigh)` is an async function that has the same `weigh` wait on a thread.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import requests

import whilst
from whilst.demo import pokeapi


def weigh(url: str) -> int:
    """An ordinary blocking function; nobody touches it."""
    return int(requests.get(url, timeout=30).json()["weight"])


async def beside_a_counter(request: Callable[[str], Coroutine[Any, Any, int]], url: str) -> str:
    ticks = [time.perf_counter()]

    async def count() -> None:
        while True:
            await asyncio.sleep(0.01)
            ticks.append(time.perf_counter())

    counter = asyncio.create_task(count())
    weight = await asyncio.create_task(request(url))
    counter.cancel()
    ticks.append(time.perf_counter())
    still = max(later - earlier for earlier, later in pairwise(ticks))
    return f"weight {weight}; the counter ticked {len(ticks) - 2} times and stood still for {still:.2f} s"


async def weigh_in_a_task(url: str) -> int:
    return weigh(url)  # `async def` around it changes nothing: this line holds the loop


async def weigh_on_a_thread(url: str) -> int:
    return await asyncio.to_thread(weigh, url)  # plain Python's way; at most cpus + 4 (and 32) at once


async def main(url: str) -> None:
    print("a task:    ", await beside_a_counter(weigh_in_a_task, url))
    print("to_thread: ", await beside_a_counter(weigh_on_a_thread, url))
    print("unblock:   ", await beside_a_counter(whilst.unblock(weigh), url))

    weigh_async = whilst.unblock(weigh)  # signature and docstring are those of weigh
    start = time.perf_counter()
    await asyncio.gather(*[weigh_async(url) for _ in range(20)])
    print(f"unblock:    20 requests at once after {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    with pokeapi.serve(latency=0.3) as api:
        asyncio.run(main(f"{api.url}/pokemon/snorlax"))
