import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    sizes = {}
    for number, name in enumerate(NAMES):
        sizes[number] = await fetch(name)  # HERE
    assert sizes == dict.fromkeys(range(7), 3)


asyncio.run(main())
