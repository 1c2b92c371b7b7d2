import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Reader:
    async def readexactly(self, size):
        await asyncio.sleep(0.04)
        return b"x" * size


async def main():
    reader = Reader()
    for size in [3, 1, 4, 1, 5]:
        assert len(await reader.readexactly(size)) == size
    head = await reader.readexactly(4)
    body = await reader.readexactly(8)
    assert head + body


asyncio.run(main())
