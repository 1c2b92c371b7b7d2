import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    user = await fetch("ann's long page")  # HERE
    orders = await fetch("orders")
    place = await fetch("somewhere")
    assert (user, orders, place) == (15, 6, 9)


async def fetch(name):
    await asyncio.sleep(0.12)
    return len(name)


asyncio.run(main())
