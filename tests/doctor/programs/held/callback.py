import asyncio
import time


def refresh():
    time.sleep(0.12)  # HOLDS


async def main():
    asyncio.get_running_loop().call_later(0.02, refresh)
    await asyncio.sleep(0.05)
    await asyncio.sleep(0)


asyncio.run(main())
