import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


async def handle(request):
    found = []
    for name in NAMES[:4]:
        found.append(await fetch(name + request))  # HERE
    return found


async def main():
    for_ever = iter("abc")
    while (request := next(for_ever, None)) is not None:
        assert await handle(request) == [4] * 4


asyncio.run(main())
