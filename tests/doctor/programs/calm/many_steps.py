import asyncio


async def step():
    for _ in range(400):
        sum(range(200))
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(*[step() for _ in range(50)])


asyncio.run(main())
