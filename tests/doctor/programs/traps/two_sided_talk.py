import asyncio


class Socket:
    def __init__(self):
        self.last = ""

    async def send(self, text):
        await asyncio.sleep(0.02)
        self.last = text

    async def recv(self):
        await asyncio.sleep(0.02)
        return self.last


async def request(ws, text):
    await ws.send(text)
    return await ws.recv()


async def main():
    ws = Socket()
    answers = [await request(ws, text) for text in "abcdef"]
    assert answers == list("abcdef")


asyncio.run(main())
