import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def sizes():
    for name in NAMES:
        yield await fetch(name)  # HERE


async def main():
    assert [size async for size in sizes()] == [3] * 7


asyncio.run(main())
