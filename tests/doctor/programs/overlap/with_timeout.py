import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    found = []
    for name in NAMES:
        found.append(await asyncio.wait_for(fetch(name), 5))  # HERE
    assert found == [3] * 7


asyncio.run(main())
