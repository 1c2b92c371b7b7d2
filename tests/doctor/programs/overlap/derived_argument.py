import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main(base="x/"):
    found = []
    for name in NAMES:
        path = base + name
        size = await fetch(path)  # HERE
        found.append(size)
    assert found == [5] * 7


asyncio.run(main())
