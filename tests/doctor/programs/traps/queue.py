import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    queue = asyncio.Queue()

    async def produce():
        for name in NAMES:
            await fetch_slowly(queue, name)

    task = asyncio.create_task(produce())
    for _ in NAMES:
        await queue.get()
    await task


async def fetch_slowly(queue, name):
    await queue.put(name)
    await asyncio.sleep(0)


asyncio.run(main())
