import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    pages = ["a"]
    for page in pages:
        size = await fetch(page)
        if size < 6:
            pages.append(page * 2 if size > 2 else page + "b")


asyncio.run(main())
