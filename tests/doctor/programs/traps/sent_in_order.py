import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Socket:
    async def send(self, text):
        await asyncio.sleep(0.04)


async def main():
    ws = Socket()
    for name in NAMES:
        await ws.send(name)


asyncio.run(main())
