import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    sizes = [await fetch(name) + 1 for name in NAMES if name != "gus"]  # HERE
    assert sizes == [4] * 6


asyncio.run(main())
