import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    for name in NAMES:
        if await fetch(name) > 3 or name == "gus":
            break


asyncio.run(main())
