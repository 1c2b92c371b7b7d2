import asyncio


def crunch():
    total = 0
    for number in range(6_000_000):
        total += number
    return total


async def ticks(stop):
    while not stop.done():
        await asyncio.sleep(0.002)


async def main():
    stop = asyncio.get_running_loop().run_in_executor(None, crunch)
    await ticks(stop)


asyncio.run(main())
