import asyncio


async def fetch(year, month):
    await asyncio.sleep(0.04)
    return year * 12 + month


async def main():
    pages = []
    for year in range(3):
        for month in range(4):
            pages.append(await fetch(year, month))  # HERE
    assert pages == [*range(4), *range(12, 16), *range(24, 28)]


asyncio.run(main())
