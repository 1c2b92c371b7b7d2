import asyncio
import json


async def one(reader, writer):
    await reader.readline()
    await asyncio.sleep(0.04)
    writer.write(b'{"price": 3}\n')
    await writer.drain()
    writer.close()


async def price(port, name):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(name.encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer["price"]


async def main():
    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    total = 0
    for name in ["tea", "milk", "bread", "salt", "rice", "oil"]:
        total += await price(port, name)  # HERE
    assert total == 18
    server.close()


asyncio.run(main())
