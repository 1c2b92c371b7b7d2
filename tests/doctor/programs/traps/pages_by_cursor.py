import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    cursor = "0"
    for page in range(6):
        size = await fetch(f"{page} after {cursor}")
        cursor = str(size)


asyncio.run(main())
