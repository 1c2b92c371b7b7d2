import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    spent = 0
    for name in NAMES:
        if spent > 1000:
            continue
        spent += await fetch(name)


asyncio.run(main())
