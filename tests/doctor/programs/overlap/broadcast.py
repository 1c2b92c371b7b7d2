"""Each turn has a connection of its own."""

import asyncio


class Socket:
    def __init__(self):
        self.got = []

    async def send(self, text):
        await asyncio.sleep(0.05)
        self.got.append(text)


async def notify(ws, text):
    await ws.send(text)


async def main():
    clients = [Socket() for _ in range(6)]
    for ws in clients:
        await notify(ws, "hello")  # HERE
    assert all(client.got == ["hello"] for client in clients)


asyncio.run(main())
