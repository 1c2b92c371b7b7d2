import asyncio


async def fetch(url):
    await asyncio.sleep(0.05)
    return len(url)


async def main():
    urls = ["a", "bb", "ccc", "dddd", "eeeee"]
    results = [None] * len(urls)
    for i in range(len(urls)):
        results[i] = await fetch(urls[i])  # HERE
    assert results == [1, 2, 3, 4, 5]


asyncio.run(main())
