import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def login(name):
    await asyncio.sleep(0.1)
    return name


async def main():
    session = await login("ann")
    page = await fetch("page")
    assert session
    assert page


async def fetch(name):
    await asyncio.sleep(0.1)
    return name


asyncio.run(main())
