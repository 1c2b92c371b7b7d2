import asyncio


async def ask(server):
    await asyncio.sleep(0.04)
    if server < 5:
        raise ConnectionError(server)
    return server


async def main():
    for server in range(8):
        try:
            found = await ask(server)
        except ConnectionError:
            continue
        break
    else:
        found = None
    assert found == 5


asyncio.run(main())
