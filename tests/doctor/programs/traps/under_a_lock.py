import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    lock = asyncio.Lock()
    for name in NAMES:
        async with lock:
            assert await fetch(name)


asyncio.run(main())
