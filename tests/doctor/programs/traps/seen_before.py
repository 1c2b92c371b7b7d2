"""What one turn finds decides what the next one asks."""

import asyncio

cache = {}


async def fetch(name):
    if name in cache:
        return cache[name]
    await asyncio.sleep(0.05)
    cache[name] = found = name.upper()
    return found


async def main():
    for name in "abababcdcd":
        await fetch(name)
    assert len(cache) == 4


asyncio.run(main())
