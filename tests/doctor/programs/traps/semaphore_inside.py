"""They run together; a semaphore in each holds them back to two."""

import asyncio


async def fetch(gate, number):
    async with gate:
        await asyncio.sleep(0.05)
    return number


async def main():
    gate = asyncio.Semaphore(2)
    found = await asyncio.gather(*[fetch(gate, number) for number in range(10)])
    for number in found:
        assert number < 10


asyncio.run(main())
