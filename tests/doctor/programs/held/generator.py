import asyncio
import time


def rows():
    for number in range(4):
        time.sleep(0.05)  # HOLDS
        yield number


async def main():
    await asyncio.sleep(0.02)
    total = 0
    for row in rows():
        total += row
    await asyncio.sleep(0)
    assert total == 6


asyncio.run(main())
