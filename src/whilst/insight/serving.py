"""A server for one pair of eyes: where is the page of a run while it goes on, who begins to serve it and ends that?

It listens on 127.0.0.1 alone. Who begins or ends it may be on a loop, which waits for neither: the server's thread
loads what answers requests (`answering`: a web server takes 40 ms), and at the end the last pictures go out on their
own threads, for which the program waits when it ends.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from ..lanes.interrupted import start

if TYPE_CHECKING:
    from .answering import Listening

HOST: Final = "127.0.0.1"
BACKLOG: Final = 16  # connections that nobody has accepted yet
WAITS: Final = 2.0  # seconds that an end waits for whoever looks, twice


class Shown(Protocol):
    """What is shown, run by run."""

    def page(self, number: int | None) -> bytes | None:
        """Return the page of a run, or of the latest; None if there is none of that number."""
        ...

    def news(self, number: int | None, seen: object) -> tuple[object, bytes | None]:
        """Return what tells states apart, and the picture of now as JSON, or None if it is the one that was seen."""
        ...


class Server:
    """Serves until it is closed; `shown` is called on its thread.

    Attributes:
        path: what nobody can guess.
        token: what lets a browser in, once.
        url: where, with the token.
        port: the one that it listens on.
        closing: whether it is to end.
    """

    def __init__(self, shown: Callable[[], Shown], port: int = 0) -> None:
        self.closing: threading.Event = threading.Event()
        self.socket: socket.socket = socket.create_server((HOST, port), backlog=BACKLOG)
        self.port: int = self.socket.getsockname()[1]
        self.path: str = f"/{os.urandom(16).hex()}/"
        self.token: str = os.urandom(24).hex()
        self.url: str = f"http://{HOST}:{self.port}{self.path}?token={self.token}"
        self._listening: Listening | None = None
        self._thread = threading.Thread(target=self._serve, args=(shown,), name="whilst-watch", daemon=True)
        start(self._thread)

    def close(self) -> None:
        """Send the last picture to whoever looks, and serve no more; on a loop without waiting for that."""
        self.closing.set()
        with suppress(OSError), socket.socket() as one_more:  # ends the wait for the next connection
            one_more.setblocking(False)
            one_more.connect((HOST, self.port))
        if asyncio._get_running_loop() is None:  # as `asyncio.timeout` and others ask; None is no error here
            self._wait()
        else:
            atexit.register(self._wait)

    def _serve(self, shown: Callable[[], Shown]) -> None:
        with self.socket:
            from .answering import Listening

            self._listening = Listening(self, shown())
            self._listening.serve()

    def _wait(self) -> None:
        atexit.unregister(self._wait)
        self._thread.join(WAITS)
        if self._listening is not None:
            self._listening.wait(WAITS)

    def __repr__(self) -> str:
        return f"<Server on port {self.port}>"  # the token is for who was told it
