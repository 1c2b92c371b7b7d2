import asyncio
import time


def load(name):
    time.sleep(0.012)  # HOLDS
    return len(name)


async def main():
    await asyncio.sleep(0.02)
    sizes = [load(name) for name in "abcdefghijkl"]
    await asyncio.sleep(0)
    assert sum(sizes) == 12


asyncio.run(main())
