import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    gate = asyncio.Semaphore(3)

    async def one(name):
        async with gate:
            return await fetch(name)

    for batch in [NAMES, NAMES[:4], NAMES[4:]]:
        await asyncio.gather(*[one(name) for name in batch])


asyncio.run(main())
