"""Questions and answers over one connection: who asks while another waits gets the other's answer."""

import asyncio


async def echo(reader, writer):
    while line := await reader.readline():
        await asyncio.sleep(0.04)
        writer.write(line.upper())
    writer.close()


class Client:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def ask(self, text):
        self.writer.write(text.encode() + b"\n")
        await self.writer.drain()
        return (await self.reader.readline()).decode().strip()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))
    answers = []
    for text in ["a", "b", "c", "d", "e", "f"]:
        answers.append(await client.ask(text))
    assert answers == list("ABCDEF")
    client.writer.close()
    server.close()


asyncio.run(main())
