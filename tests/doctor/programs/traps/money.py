"""All or nothing."""

import asyncio
from contextlib import asynccontextmanager


class Database:
    @asynccontextmanager
    async def begin(self):
        await asyncio.sleep(0)
        yield self

    async def move(self, amount):
        await asyncio.sleep(0.04)


async def main():
    async with Database().begin() as tx:
        for amount in [3, -2, 5, -6, 1, -1]:
            await tx.move(amount)


asyncio.run(main())
