"""A server that does not accept, and whose queue is full."""

import asyncio
import socket

full = socket.socket()
full.bind(("127.0.0.1", 0))
full.listen(0)
waiting = [socket.socket() for _ in range(3)]
for one in waiting:
    one.setblocking(False)
    one.connect_ex(full.getsockname())


class Client:
    @classmethod
    def opened(cls, address):
        try:
            return socket.create_connection(address, timeout=0.15)  # HOLDS
        except TimeoutError:
            return None


async def main():
    await asyncio.sleep(0.02)
    Client.opened(full.getsockname())
    await asyncio.sleep(0)


asyncio.run(main())
