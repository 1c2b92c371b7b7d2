import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    sizes = []
    for name in NAMES:
        sizes.append(await fetch(name))  # HERE
    assert sizes == [3] * 7


asyncio.run(main())
