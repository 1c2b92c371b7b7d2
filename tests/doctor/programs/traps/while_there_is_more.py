import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    cursor = "0"
    while len(cursor) < 7:
        cursor += str(await fetch(cursor))


asyncio.run(main())
