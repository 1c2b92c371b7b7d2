import asyncio


async def fetch(name):
    await asyncio.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Client:
    cursor = ""

    async def page(self, number):
        await asyncio.sleep(0.04)
        self.cursor = f"{self.cursor}{number}"


async def main():
    client = Client()
    for number in range(6):
        await client.page(number)
    assert client.cursor == "012345"


asyncio.run(main())
