import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    queue = asyncio.Queue()

    async def work():
        for _ in NAMES:
            name = await queue.get()
            assert name

    task = asyncio.create_task(work())
    names = iter(NAMES)
    while (name := next(names, None)) is not None:
        await asyncio.sleep(0.04)
        queue.put_nowait(name)
    await task


asyncio.run(main())
