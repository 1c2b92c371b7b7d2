import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Answer:
    def __init__(self, name):
        self.name = name

    async def json(self):
        await asyncio.sleep(0.01)
        return self.name


async def get(name):
    await asyncio.sleep(0.04)
    return Answer(name)


async def main():
    found = []
    for name in NAMES:
        answer = await get(name)  # HERE
        found.append(await answer.json())
    assert found == NAMES


asyncio.run(main())
