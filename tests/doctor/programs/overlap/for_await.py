import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    total = 0
    for name in NAMES:
        size = await fetch(name)  # HERE
        total += size
    assert total == 21


asyncio.run(main())
