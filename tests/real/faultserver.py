"""A server on loopback that misbehaves on demand: the first segment of the path says how.

Raw sockets on an event loop of its own in a thread of its own; no task, so that its end is immediate.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate

BODY = b'{"error": {"message": "no", "code": "busy"}}'
SERVER_TIME = 1_000_000_000.0  # what the server's own clock says: September 2001
ANSWERS: dict[str, tuple[int, dict[str, str]]] = {
    **{str(status): (status, {}) for status in (200, 400, 401, 403, 404, 408, 425, 429, 500, 501, 503, 504, 529)},
    "seconds": (429, {"Retry-After": "7"}),
    "at-once": (429, {"Retry-After": "0"}),
    "date": (429, {"Retry-After": formatdate(SERVER_TIME + 90, usegmt=True)}),
    "past": (503, {"Retry-After": formatdate(SERVER_TIME - 90, usegmt=True)}),
    "absurd": (503, {"Retry-After": "99999999"}),
    "garbage": (429, {"Retry-After": "soon"}),
    "draft": (429, {"RateLimit-Policy": '"minute";q=600;w=60', "RateLimit": '"minute";r=50;t=10'}),
    "spent": (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(SERVER_TIME) + 40)}),
}
FAULTS = ("reset", "closed", "truncated", "silence", "drip", "json")
PIECE, PAUSE = b"x", 0.2  # of a body that drips


class FaultServer:
    """A context manager; `url("429")` is where the answer is a 429, `url("reset")` where it is none."""

    def __init__(self, context: ssl.SSLContext | None = None, script: Callable[[bytes], bytes] | None = None) -> None:
        self.context = context
        self.script = script  # answers whatever arrives, for protocols other than HTTP; b"" closes
        self.asked: list[str] = []
        self.transports: set[asyncio.Transport] = set()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def url(self, what: str) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}/{what}"

    def __enter__(self) -> FaultServer:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # handshakes fail here on purpose
        self._loop.run_until_complete(
            self._loop.create_server(lambda: Connection(self), sock=self._listening, ssl=self.context)
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-server")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()
        self._loop.close()

    def _end(self) -> None:
        self._listening.close()
        for transport in self.transports:
            transport.abort()
        self._loop.call_later(0.01, self._loop.stop)  # after the transports have closed their sockets


class Connection(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.transports.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.server.transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.server.script is not None:
            answer = self.server.script(data)
            self.transport.write(answer)
            return None if answer else self.transport.close()
        if data.startswith(b"\x16\x03") and not self.received:  # a TLS handshake, and this speaks none
            return self._send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if found and len(body) >= length_of(head):
            self._answer(head.split()[1].decode().strip("/").partition("/")[0])
        return None

    def _answer(self, what: str) -> None:
        self.server.asked.append(what)
        sock = self.transport.get_extra_info("socket")
        if what == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif what == "closed":
            self.transport.close()
        elif what == "truncated":
            self._send(header(200, {"Content-Length": "100"}) + b'{"ok": [1, ')
        elif what == "json":
            self._send(header(200, {"Content-Length": "8"}) + b'{"ok": 1')
        elif what == "drip":
            self.transport.write(header(200, {"Content-Length": "1000"}))
            self._drip()
        elif what != "silence":
            status, headers = ANSWERS[what]
            self._send(header(status, {**headers, "Content-Length": str(len(BODY))}) + BODY)

    def _drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(PIECE)
            asyncio.get_running_loop().call_later(PAUSE, self._drip)

    def _send(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


def length_of(head: bytes) -> int:
    lines = (line.lower().partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


def header(status: int, headers: dict[str, str]) -> bytes:
    always = {"Content-Type": "application/json", "Connection": "close", "Date": formatdate(SERVER_TIME, usegmt=True)}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in {**always, **headers}.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """Give a port that is taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
