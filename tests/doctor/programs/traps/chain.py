import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    user = await fetch("ann")
    orders = await fetch(f"orders of {user}")
    last = await fetch(f"order {orders}")
    assert last


async def fetch(name):
    await asyncio.sleep(0.1)
    return len(name)


asyncio.run(main())
