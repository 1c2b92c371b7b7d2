import asyncio
import time
from concurrent.futures import ThreadPoolExecutor


async def main():
    await asyncio.sleep(0.02)
    with ThreadPoolExecutor(2) as pool:  # HOLDS
        for _ in range(2):
            pool.submit(time.sleep, 0.15)
    await asyncio.sleep(0)


asyncio.run(main())
