import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    for host in NAMES:
        assert await fetch(host)
        await asyncio.sleep(0.03)


asyncio.run(main())
