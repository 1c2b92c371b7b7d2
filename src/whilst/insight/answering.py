"""Who is answered, and with what?

A token, good once, gives the browser a cookie; without that nothing is told. The cookie is for a path that nobody can
guess, so that it is not shown to other servers of this machine. A request that names another host (DNS rebinding) or
comes from another page's origin is refused, and nothing can be changed from outside: GET is all there is.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

from ..lanes.clock import monotonic
from .serving import HOST, Server, Shown

PATIENCE: Final = 10.0  # seconds that a request may take to arrive
MOST_AT_ONCE: Final = 32  # connections
LEAST: Final = 0.5  # seconds between two pictures
SHARE: Final = 50.0  # times as long as a picture takes to be made, until the next: at most a fiftieth of one processor
SILENCE: Final = 10.0  # seconds after which a sign of life is sent
COOKIE: Final = "whilst"
HTML: Final = "text/html; charset=utf-8"
# A redirection would come without the cookie where another page (a notebook) has led here; a page's own way does not.
ENTER: Final = (
    b'<!doctype html><link rel="icon" href="data:,">'  # else a browser that is slow to go on asks for one
    b'<meta http-equiv="refresh" content="0;url=./"><a href="./">the run</a>\n'
)
USED: Final = "the token in the address is good once, and was used: start another watch"
NOTHING: Final = "there is nothing here"
FOREIGN: Final = "a page of another origin asks"
COMMON: Final = {  # headers of all answers
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
}


class Listening(ThreadingMixIn, TCPServer):
    """A thread a connection, not too many, none of which keeps the program from ending.

    Attributes:
        shown: what there is to look at.
        closing: whether the end has come.
        path: the one that cannot be guessed.
        hosts: what a request may call this machine.
    """

    daemon_threads = True
    block_on_close = False
    timeout: float | None = 0.2  # seconds until it looks whether the end has come, if nobody asks for anything

    def __init__(self, server: Server, shown: Shown) -> None:
        self.shown: Shown = shown
        self.closing: threading.Event = server.closing
        self.path: str = server.path
        self.hosts: tuple[str, str] = (f"{HOST}:{server.port}", f"localhost:{server.port}")
        self._token: str | None = server.token
        self._cookie = os.urandom(24).hex()
        self._guard = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._many = 0
        self._gone = threading.Condition()
        super().__init__((HOST, server.port), Answer, bind_and_activate=False)
        self.socket.close()
        self.socket: socket.socket = server.socket

    def serve(self) -> None:
        """Answer until the end has come."""
        while not self.closing.is_set():
            self.handle_request()

    def wait(self, within: float) -> None:
        """Wait until all threads have ended."""
        with self._gone:
            self._gone.wait_for(lambda: not self._many, within)

    # -- who is let in ---------------------------------------------------------------------------------------

    def takes(self, token: str) -> bool:
        """Whether the token is right and was not used before; it is used now."""
        with self._guard:
            if self._token is None or not compare_digest(token.encode(), self._token.encode()):
                return False
            self._token = None
            return True

    def knows(self, cookies: str) -> bool:
        """Whether one of a request's cookies is the one that was given."""
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and compare_digest(value.encode(), self._cookie.encode()):
                return True
        return False

    @property
    def set_cookie(self) -> str:
        """What gives the cookie to a browser."""
        return f"{COOKIE}={self._cookie}; Path={self.path}; HttpOnly; SameSite=Strict"

    # -- connections -----------------------------------------------------------------------------------------

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take none after the end."""
        return not self.closing.is_set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread, if there is room for one more."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._gone:
            self._many += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        threading.current_thread().name = "whilst-watch-one"
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()
            with self._gone:
                self._many -= 1
                self._gone.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that went away is no news."""


class Answer(BaseHTTPRequestHandler):
    """The answer to one request."""

    timeout: ClassVar[float | None] = PATIENCE
    server: Listening  # pyright: ignore[reportIncompatibleVariableOverride]  # `Listening` makes it
    server_version = "whilst"
    sys_version = ""

    def setup(self) -> None:
        """Never wait for a browser that does not read."""
        super().setup()
        with suppress(OSError):
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        """Answer it."""
        self.close_connection = True
        refused = self._refusal()
        if refused is not None:
            return self._say(*refused)
        asked, path = urlsplit(self.path), self.server.path
        if not asked.path.startswith(path):
            return self._say(404, NOTHING)
        if asked.path == path and (token := parse_qs(asked.query).get("token")):
            return self._enter(token[0])
        if not self._is_known():
            return self._say(403, USED)
        return self._show(asked.path.removeprefix(path))

    def _refusal(self) -> tuple[int, str] | None:
        """Return why it is refused, if it is; before that nothing of the request is believed."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            return 421, "this page is for the machine that it runs on"
        origin = self.headers.get("Origin")
        if origin is not None and origin not in [f"http://{host}" for host in self.server.hosts]:
            return 403, FOREIGN
        site, mode = (self.headers.get(f"Sec-Fetch-{name}") for name in ("Site", "Mode"))
        goes_there = mode == "navigate" and self.headers.get("Sec-Fetch-Dest") == "document"
        if site not in (None, "none", "same-origin") and not goes_there:  # a click on the address in a notebook does
            return 403, FOREIGN
        return None

    def _is_known(self) -> bool:
        return self.server.knows(self.headers.get("Cookie") or "")

    def _enter(self, token: str) -> None:
        if self.server.takes(token):
            return self._answer(200, HTML, ENTER, self.server.set_cookie)
        return self._answer(200, HTML, ENTER) if self._is_known() else self._say(403, USED)

    def _show(self, place: str) -> None:
        run, _, what = place.rpartition("/")
        if (run and not run.isdecimal()) or len(run) > 9:
            return self._say(404, NOTHING)
        number = int(run) if run else None
        if what == "events":
            return self._stream(number)
        page = self.server.shown.page(number) if not what else None
        return self._answer(200, HTML, page) if page is not None else self._say(404, NOTHING)

    def _stream(self, number: int | None) -> None:
        """Send a picture whenever there is news, but take no more than a small share of a processor for it."""
        self._head(200, "text/event-stream")
        closing, seen, quiet = self.server.closing, None, monotonic()
        with suppress(OSError):
            while True:
                last = closing.is_set()
                began = time.thread_time()
                seen, news = self.server.shown.news(number, seen)
                cost = time.thread_time() - began
                if news is not None:
                    self.wfile.write(b"data: " + news + b"\n\n")
                    quiet = monotonic()
                elif monotonic() - quiet > SILENCE:
                    self.wfile.write(b": still here\n\n")  # and one learns that the browser has gone
                    quiet = monotonic()
                if last:
                    self.wfile.write(b"event: over\ndata: {}\n\n")
                    return
                closing.wait(max(LEAST, SHARE * cost))

    def _say(self, code: int, text: str) -> None:
        self._answer(code, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _answer(self, code: int, kind: str, body: bytes, cookie: str = "") -> None:
        self._head(code, kind, len(body), cookie)
        self.wfile.write(body)

    def _head(self, code: int, kind: str, size: int | None = None, cookie: str = "") -> None:
        self.send_response(code)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        for name, value in COMMON.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        if size is not None:
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""
