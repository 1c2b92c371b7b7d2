import asyncio

BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def answer(reader, writer):
    while await reader.readline():
        while await reader.readline() != b"\r\n":
            pass
        await asyncio.sleep(0.05)
        writer.write(BODY)
    writer.close()


async def main():
    import httpx

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, httpx.AsyncClient(verify=False) as client:
        for number in range(8):
            response = await client.get(f"{url}{number}", timeout=9)  # HERE
            assert response.text == "ok"
    await server.wait_closed()


asyncio.run(main())
