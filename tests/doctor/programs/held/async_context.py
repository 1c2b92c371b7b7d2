import asyncio
import os


class Tunnel:
    async def __aenter__(self):
        os.system("sleep 0.12")  # HOLDS
        return self

    async def __aexit__(self, *_):
        pass


async def main():
    await asyncio.sleep(0.02)
    async with Tunnel():
        await asyncio.sleep(0)


asyncio.run(main())
