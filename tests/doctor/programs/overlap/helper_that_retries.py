import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def surely(name):
    for attempt in range(3):
        try:
            return await fetch(name)
        except OSError:
            await asyncio.sleep(attempt)


async def main():
    found = []
    for name in NAMES:
        found.append(await surely(name))  # HERE
    assert found == [3] * 7


asyncio.run(main())
