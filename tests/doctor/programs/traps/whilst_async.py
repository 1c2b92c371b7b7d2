import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]

import whilst  # noqa: E402


async def main():
    for batch in [NAMES, NAMES, NAMES, NAMES]:
        assert await whilst.map(fetch, batch, concurrency=4) == [3] * 7


asyncio.run(main())
