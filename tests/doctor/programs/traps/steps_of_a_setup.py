import asyncio


async def migrate(database):
    await asyncio.sleep(0.1)
    return database


async def create_tables(name):
    await asyncio.sleep(0.1)
    return name


async def main():
    migrated = await migrate("shop")
    tables = await create_tables("shop")
    token = await login("ann")
    answer = await account(token)
    assert (migrated, tables, answer) == ("shop", "shop", 3)


async def login(name):
    await asyncio.sleep(0.1)
    return name


async def account(token):
    await asyncio.sleep(0.1)
    return len(token)


asyncio.run(main())
