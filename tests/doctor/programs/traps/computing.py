import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    for number in range(5):
        assert await count(number) > 0
        await asyncio.sleep(0)


async def count(number):
    for _ in range(4):
        sum(range(100_000 + number))
        await asyncio.sleep(0)
    return 1


asyncio.run(main())
