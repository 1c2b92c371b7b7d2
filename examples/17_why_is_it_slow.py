"""Learn: why does the counter stand still? Ask the doctor, and do what it says.

A counter ticks every 10 ms; meanwhile the weight of a Pokémon is asked for. As a learner writes it, the request holds
the loop and the counter starves. `whilst.doctor()` names the line of the request and writes the one that works, which
is the line of the second version. For a program of one's own it is `whilst doctor slow.py`, without any change to it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import requests

import whilst
from whilst.demo import pokeapi


async def starving(url: str) -> int:
    answer = requests.get(url, timeout=30)
    return int(answer.json()["weight"])


async def beside(url: str) -> int:
    answer = await whilst.unblock(requests.get)(url, timeout=30)
    return int(answer.json()["weight"])


async def with_a_counter(weigh: Callable[[str], Coroutine[Any, Any, int]], url: str) -> str:
    ticks = [time.perf_counter()]

    async def count() -> None:
        while True:
            await asyncio.sleep(0.01)
            ticks.append(time.perf_counter())

    counter = asyncio.create_task(count())
    await asyncio.sleep(0.03)
    weight = await weigh(url)
    counter.cancel()
    ticks.append(time.perf_counter())
    still = max(later - earlier for earlier, later in pairwise(ticks))
    return f"weight {weight}; the counter ticked {len(ticks) - 2} times and stood still for {still:.2f} s"


def main(url: str) -> None:
    with whilst.doctor(quiet=True) as seen:
        print("before:", asyncio.run(with_a_counter(starving, url)))
    print()
    for finding in seen.findings:
        print(finding)
    print()
    with whilst.doctor(quiet=True) as seen:
        print("after: ", asyncio.run(with_a_counter(beside, url)))
    print("found: ", [finding.line for finding in seen.findings])


if __name__ == "__main__":
    with pokeapi.serve(latency=0.3) as api:
        main(f"{api.url}/pokemon/snorlax")
