"""A task is made, and awaited at once: nothing runs beside it."""

import asyncio


async def fetch(name):
    await asyncio.sleep(0.05)
    return len(name)


async def main():
    found = []
    for name in ["ann", "ben", "cat", "dan", "eve", "fay"]:
        task = asyncio.create_task(fetch(name))
        found.append(await task)  # HERE
    assert found == [3] * 6


asyncio.run(main())
