"""A handler of a web application asks a database as if it were alone."""

import asyncio
import socket
import sqlite3
import threading
import urllib.request

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000) select sum(i) from n"


class Store:
    def __init__(self):
        self.connection = sqlite3.connect(":memory:")

    def total(self):
        return self.connection.execute(NUMBERS).fetchone()[0]  # HOLDS


async def report(request):
    return JSONResponse({"total": Store().total()})


app = Starlette(routes=[Route("/", report)])
listening = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))


def ask():
    with urllib.request.urlopen(f"http://127.0.0.1:{listening.getsockname()[1]}/") as answer:
        assert answer.read().startswith(b'{"total"')
    server.should_exit = True


threading.Thread(target=ask).start()
asyncio.run(server.serve([listening]))
