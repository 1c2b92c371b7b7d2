import asyncio


async def fetch(year, month):
    await asyncio.sleep(0.04)
    return year * 12 + month


async def main():
    pages = [await fetch(year, month) for year in range(3) for month in range(4) if month]  # HERE
    assert pages == [*range(1, 4), *range(13, 16), *range(25, 28)]


asyncio.run(main())
