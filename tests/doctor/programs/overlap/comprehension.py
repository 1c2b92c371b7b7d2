import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    sizes = [await fetch(name) for name in NAMES]  # HERE
    assert sizes == [3] * 7


asyncio.run(main())
