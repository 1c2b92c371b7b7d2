"""How an ASGI application is served on a thread of this process, and how it is left at once.

uvicorn does the serving. Added here: a start that returns when requests are answered, a stop that does not
wait for open connections, and an ASGI extension through which an application may break its own connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Generator
from concurrent.futures import Future

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

BACKLOG = 4096  # connections the kernel keeps until they are accepted: a thousand at once must not be refused
KEEP_ALIVE = 75  # seconds; uvicorn's own 5 would close idle pooled connections just as a test uses them again

_EXTENSION = "whilst.transport"


@contextlib.contextmanager
def running(app: ASGIApp, port: int = 0) -> Generator[str]:
    """Serve `app` on a loopback port (0: a free one) in a daemon thread; yield its `http://127.0.0.1:…`.

    At the end, open connections are dropped and requests in flight cancelled; about 0.1 s later the thread
    has ended and the port is free. Raises OSError when the port is taken.
    """
    with _listening(port) as listener:
        server = _Server(app)
        thread = threading.Thread(target=server.drive, args=(listener,), name="whilst-demo-server", daemon=True)
        thread.start()
        try:
            server.ready.result()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.leave()
            thread.join()


def reset(scope: Scope) -> None:
    """Break the connection of this request with a TCP reset, dropping what was not sent yet."""
    if transport := _transport(scope):
        # Lingering for 0 seconds turns the close into a RST.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()


def close(scope: Scope) -> None:
    """Close the connection of this request in good order, once what was sent has left."""
    if transport := _transport(scope):
        transport.close()


def _transport(scope: Scope) -> asyncio.Transport | None:
    server: _Server = scope["extensions"][_EXTENSION]
    return server.transport(scope["client"])


def _listening(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only where the protocol is spelled out; without it each answer on a kept connection
    # takes 40 ms more (head and body are two writes, and the second waits for a delayed ACK).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except BaseException:  # whatever it was, the socket is closed
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is ready and leaves when it is told."""

    def __init__(self, app: ASGIApp) -> None:
        self.ready: Future[asyncio.AbstractEventLoop] = Future()
        self._app = app
        self._leave = asyncio.Event()
        config = uvicorn.Config(
            self._extended,
            interface="asgi3",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # they would hide the address that names the connection
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)

    def drive(self, listener: socket.socket) -> None:
        """Serve until told to leave (the body of the thread)."""
        try:
            with asyncio.Runner() as runner:
                runner.run(self.serve(sockets=[listener]))
        except BaseException as error:  # a start that fails is raised to the caller who waits for it
            if self.ready.done():
                raise
            self.ready.set_exception(error)

    def leave(self) -> None:
        """Tell the server to leave (from any thread)."""
        if self.ready.exception() is None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has left already
                self.ready.result().call_soon_threadsafe(self._leave.set)

    def transport(self, client: tuple[str, int]) -> asyncio.Transport | None:
        """Return the open connection from this address; None when the client has gone."""
        for connection in self.server_state.connections:
            # Not every protocol of uvicorn names its client; those that Config(http="auto") takes do.
            if getattr(connection, "client", None) == client:
                return connection.transport
        return None

    async def main_loop(self) -> None:
        # uvicorn's own polls ten times a second; a tick a second is enough for the Date header.
        await self.on_tick(0)
        self.ready.set_result(asyncio.get_running_loop())
        while not self._leave.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), timeout=1.0)
            await self.on_tick(0)
        await self._drop()

    async def _drop(self) -> None:
        self._accept_no_more()
        for _ in range(3):  # an accepted socket needs some turns of the loop to become a connection
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)  # the connections learn that they are lost before their requests are cancelled
            for task in list(self.server_state.tasks):
                task.cancel()
            await asyncio.sleep(0)

    def _accept_no_more(self) -> None:
        # Not server.close(), which uvicorn calls later: a socket that is accepted but not yet a connection then
        # leaks, with an AssertionError (python/cpython#109564).
        with contextlib.suppress(NotImplementedError):  # Windows' own loop has no readers
            for server in self.servers:
                for listener in server.sockets:
                    asyncio.get_running_loop().remove_reader(listener)

    async def _extended(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[_EXTENSION] = self
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Ours, the client was dropped: nothing is left to answer, and uvicorn would log an error.
            if not self._leave.is_set():
                raise
