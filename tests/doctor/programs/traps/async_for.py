import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def rows():
    number = 0
    while number < 6:
        await asyncio.sleep(0.04)
        number += 1
        yield number


async def main():
    async for row in rows():
        assert row


asyncio.run(main())
