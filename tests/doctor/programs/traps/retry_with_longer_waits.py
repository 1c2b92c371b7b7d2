import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def main():
    answer = None
    for timeout in [1, 2, 4, 8, 16]:
        answer = await flaky("ann", timeout)
        if answer:
            break
    assert answer


async def flaky(name, timeout):
    await asyncio.sleep(0.05)
    return timeout > 8


asyncio.run(main())
