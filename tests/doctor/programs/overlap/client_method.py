import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Client:
    async def get(self, name):
        return await fetch(name)


async def main():
    client = Client()
    total = 0
    for name in sorted(NAMES):
        total += await client.get(name)  # HERE
    assert total == 21


asyncio.run(main())
