import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    tasks = [asyncio.create_task(fetch(name)) for name in NAMES]
    for task in tasks:
        assert await task == 3
    for done in asyncio.as_completed([slow(number) for number in range(4)]):
        await done


async def slow(number):
    await asyncio.sleep(0.1 * number)


asyncio.run(main())
