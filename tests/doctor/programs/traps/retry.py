import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    for attempt in range(5):
        try:
            return await flaky("ann", attempt)
        except OSError:
            pass


async def flaky(name, attempt):
    await asyncio.sleep(0.05)
    if attempt < 4:
        raise OSError(name)


asyncio.run(main())
