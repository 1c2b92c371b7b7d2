import asyncio


async def fetch(name):
    await asyncio.sleep(0.05)
    return len(name)


loop = asyncio.new_event_loop()
found = [loop.run_until_complete(fetch(name)) for name in ["ann", "ben", "cat", "dan", "eve", "fay"]]  # HERE
assert found == [3] * 6
loop.close()
