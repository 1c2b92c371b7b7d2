import asyncio


async def page(cursor, size):
    await asyncio.sleep(0.04)
    return list(range(cursor, cursor + size)), cursor + size


async def main():
    cursor, items = 0, []
    for size in [5, 5, 5, 5, 5, 5]:
        found, cursor = await page(cursor, size)
        items += found
    assert len(items) == 30


asyncio.run(main())
