"""Learn: one call for blocking and for async functions, and one for plain and for async code.

`whilst.map` finds out by itself whether a function blocks or is async. What calls it may be plain code, which
iterates with `for`, or async code, which iterates with `async for`. So there are four ways, and one line for all.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import whilst

WORDS = ["do", "something", "else", "whilst", "you", "wait"]


def count_blocking(word: str) -> int:
    time.sleep(0.1)  # a query, a request, a file on a slow disk
    return len(word)


async def count_async(word: str) -> int:
    await asyncio.sleep(0.1)
    return len(word)


@contextmanager
def timed(what: str) -> Iterator[list[int]]:
    values: list[int] = []
    start = time.perf_counter()
    yield values
    print(f"{what:<36} {values} {time.perf_counter() - start:.2f} s")


def plain_code() -> None:
    with timed("plain Python, one by one") as values:
        for word in WORDS:
            values.append(count_blocking(word))
    with timed("plain code, blocking function") as values:
        for value in whilst.map(count_blocking, WORDS):
            values.append(value)
    with timed("plain code, async function") as values:
        for value in whilst.map(count_async, WORDS):
            values.append(value)


async def async_code() -> None:
    with timed("plain asyncio, all at once") as values:
        values += await asyncio.gather(*[count_async(word) for word in WORDS])
    with timed("async code, async function") as values:
        async for value in whilst.map(count_async, WORDS):
            values.append(value)
    with timed("async code, blocking function") as values:  # gather cannot do this one
        async for value in whilst.map(count_blocking, WORDS):
            values.append(value)


if __name__ == "__main__":
    plain_code()
    asyncio.run(async_code())
