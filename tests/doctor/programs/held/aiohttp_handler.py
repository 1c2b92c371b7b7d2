import asyncio
import time

from aiohttp import ClientSession, web


class Orders(web.View):
    async def get(self):
        self.lookup()
        return web.json_response([])

    def lookup(self):
        time.sleep(0.15)  # HOLDS


async def main():
    app = web.Application()
    app.router.add_view("/orders", Orders)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/orders") as answer:
        assert await answer.json() == []
    await runner.cleanup()


asyncio.run(main())
