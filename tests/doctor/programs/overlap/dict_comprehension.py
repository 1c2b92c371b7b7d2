import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    sizes = {name: await fetch(name) for name in NAMES}  # HERE
    assert sizes == dict.fromkeys(NAMES, 3)


asyncio.run(main())
