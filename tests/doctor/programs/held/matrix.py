import asyncio

import numpy as np

numbers = np.random.default_rng(1).random(6_000_000)


async def middle():
    return np.sort(numbers)[3_000_000]  # HOLDS


async def main():
    await asyncio.sleep(0.02)
    await middle()
    await asyncio.sleep(0.02)


asyncio.run(main())
