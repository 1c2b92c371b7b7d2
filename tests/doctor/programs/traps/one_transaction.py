import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Database:
    def transaction(self):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def change(self, name):
        await asyncio.sleep(0.04)


async def main():
    database = Database()
    async with database.transaction():
        for name in NAMES:
            await database.change(name)


asyncio.run(main())
