import asyncio


class Api:
    def __init__(self):
        self.calls = 0

    async def page(self, number):
        self.calls += 1
        await asyncio.sleep(0.05)
        return [number * 10 + i for i in range(10)]


async def main():
    api, items = Api(), []
    for number in range(1, 7):
        items.extend(await api.page(number))  # HERE
    assert len(items) == 60


asyncio.run(main())
