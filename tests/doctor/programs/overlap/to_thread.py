import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    import time

    for seconds in [0.04, 0.05, 0.03, 0.04, 0.05]:
        await asyncio.to_thread(time.sleep, seconds)  # HERE


asyncio.run(main())
