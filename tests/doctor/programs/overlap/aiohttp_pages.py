import asyncio

from aiohttp import ClientSession, web


async def page(request):
    await asyncio.sleep(0.05)
    return web.json_response({"id": request.match_info["id"]})


async def load(base):
    found = []
    async with ClientSession() as session:
        for number in range(6):
            async with session.get(f"{base}/{number}") as answer:  # HERE
                found.append(await answer.json())
    return found


async def main():
    app = web.Application()
    app.router.add_get("/{id}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found = await load(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
    assert [it["id"] for it in found] == list("012345")
    await runner.cleanup()


asyncio.run(main())
