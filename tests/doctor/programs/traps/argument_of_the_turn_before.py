import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    before = ""
    for name in NAMES:
        before = await follow(name, before)


async def follow(name, before):
    await asyncio.sleep(0.04)
    return name + before


asyncio.run(main())
