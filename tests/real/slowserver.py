"""A backend that takes its time: `python slowserver.py SECONDS SLOTS` answers each request after SECONDS, SLOTS at once.

The rest queue, in order of arrival; 0 slots are as many as there are requests. It prints its port, and ends when its
standard input does. A process of its own, and a bare protocol (70 µs a request), so that it is not what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Backend:
    """The slots, and who waits for one."""

    def __init__(self, seconds: float, slots: int) -> None:
        self._seconds = seconds
        self._free = slots or sys.maxsize
        self._queue: deque[asyncio.WriteTransport] = deque()

    def asked(self, transport: asyncio.WriteTransport) -> None:
        """Serve a request, or let it queue."""
        if self._free:
            self._free -= 1
            asyncio.get_running_loop().call_later(self._seconds, self._answer, transport)
        else:
            self._queue.append(transport)

    def _answer(self, transport: asyncio.WriteTransport) -> None:
        self._free += 1
        if self._queue:
            self.asked(self._queue.popleft())
        if not transport.is_closing():
            transport.write(ANSWER)


class Connection(asyncio.Protocol):
    """Requests without bodies, one after the other."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._seen = (self._seen + data).split(b"\r\n\r\n")
        for _ in requests:
            self._backend.asked(self._transport)


@contextlib.contextmanager
def slow_server(seconds: float, slots: int = 0) -> Iterator[int]:
    """Give the port of a backend in a process of its own."""
    command = [sys.executable, __file__, str(seconds), str(slots)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


async def main(seconds: float, slots: int) -> None:
    loop = asyncio.get_running_loop()
    backend = Backend(seconds, slots)
    server = await loop.create_server(lambda: Connection(backend), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2])))
