"""A server for one pair of eyes: the page of a run while it goes on, on this machine alone.

It listens on 127.0.0.1. A token, good once, gives the browser a cookie; without that nothing is told. The cookie is for
a path that nobody can guess, so that it is not shown to other servers of this machine. A request that names another
host (DNS rebinding) or comes from another page's origin is refused, and nothing can be changed from outside: GET is
all there is.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from ..lanes.clock import monotonic

HOST: Final = "127.0.0.1"
PATIENCE: Final = 10.0  # seconds that a request may take to arrive
MOST_AT_ONCE: Final = 32  # connections
LEAST: Final = 0.5  # seconds between two pictures
SHARE: Final = 50.0  # times as long as a picture takes to be made, until the next: at most a fiftieth of one processor
SILENCE: Final = 10.0  # seconds after which a sign of life is sent
COOKIE: Final = "whilst"
# A redirection would come without the cookie where another page (a notebook) has led here; a page's own way does not.
ENTER: Final = b'<!doctype html><meta http-equiv="refresh" content="0;url=./"><a href="./">the run</a>\n'


class Shown(Protocol):
    """What is shown, run by run."""

    def page(self, number: int | None) -> bytes | None:
        """Return the page of a run, or of the latest; None if there is none of that number."""
        ...

    def news(self, number: int | None, seen: object) -> tuple[object, bytes | None]:
        """Return what tells states apart, and the picture of now as JSON, or None if it is the one that was seen."""
        ...


class Server:
    """Serves until it is closed.

    Attributes:
        url: where, with the token that is good once.
        port: the one that it listens on.
    """

    def __init__(self, shown: Shown, port: int = 0) -> None:
        self.closing: threading.Event = threading.Event()
        self._path = f"/{secrets.token_urlsafe(16)}/"
        self._token: str | None = secrets.token_urlsafe(24)
        self._cookie = secrets.token_urlsafe(24)
        self._guard = threading.Lock()
        self._server = _Listening((HOST, port), _handler(self, shown))
        self.port: int = self._server.server_address[1]
        self.url: str = f"http://{HOST}:{self.port}{self._path}?token={self._token}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="whilst-watch", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Send the last picture to whoever looks, and serve no more."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)
        self._server.wait(2.0)

    # -- what a request must show ----------------------------------------------------------------------------

    def refusal(self, request: BaseHTTPRequestHandler) -> tuple[int, str] | None:
        """Return why a request is refused, if it is; before that nothing of it is believed."""
        ours = (f"{HOST}:{self.port}", f"localhost:{self.port}")
        hosts = request.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0] not in ours:
            return 421, "this page is for the machine that it runs on"
        origin = request.headers.get("Origin")
        if origin is not None and origin not in [f"http://{host}" for host in ours]:
            return 403, "a page of another origin asks"
        site, mode = (request.headers.get(f"Sec-Fetch-{name}") for name in ("Site", "Mode"))
        goes_there = mode == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
        if site not in (None, "none", "same-origin") and not goes_there:  # a click on the address in a notebook does
            return 403, "a page of another origin asks"
        return None

    def takes(self, token: str) -> bool:
        """Whether the token is right and was not used before; it is used now."""
        with self._guard:
            if self._token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
                return False
            self._token = None
            return True

    def knows(self, request: BaseHTTPRequestHandler) -> bool:
        """Whether the request has the cookie."""
        for part in (request.headers.get("Cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and hmac.compare_digest(value.encode(), self._cookie.encode()):
                return True
        return False

    @property
    def path(self) -> str:
        """The one that cannot be guessed."""
        return self._path

    @property
    def set_cookie(self) -> str:
        """What gives the cookie to a browser."""
        return f"{COOKIE}={self._cookie}; Path={self._path}; HttpOnly; SameSite=Strict"


class _Listening(ThreadingHTTPServer):
    """A thread a connection, not too many, none of which keeps the program from ending."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._many = 0
        self._gone = threading.Condition()
        super().__init__(address, handler)

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

    def wait(self, within: float) -> None:
        """Wait until all threads have ended."""
        with self._gone:
            self._gone.wait_for(lambda: not self._many, within)


def _handler(server: Server, shown: Shown) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE
        server_version = "whilst"
        sys_version = ""

        def do_GET(self) -> None:
            """Answer one request."""
            self.close_connection = True
            refused = server.refusal(self)
            if refused is not None:
                return self._say(*refused)
            asked = urlsplit(self.path)
            if not asked.path.startswith(server.path):
                return self._say(404, "there is nothing here")
            if asked.path == server.path and (token := parse_qs(asked.query).get("token")):
                return self._enter(token[0])
            if not server.knows(self):
                return self._say(403, "the token in the address is good once, and was used: start another watch")
            return self._show(asked.path.removeprefix(server.path))

        def _enter(self, token: str) -> None:
            if not server.takes(token):
                if server.knows(self):
                    return self._answer(200, "text/html; charset=utf-8", ENTER)
                return self._say(403, "the token in the address is good once, and was used: start another watch")
            return self._answer(200, "text/html; charset=utf-8", ENTER, server.set_cookie)

        def _show(self, place: str) -> None:
            run, _, what = place.rpartition("/")
            if (run and not run.isdecimal()) or len(run) > 9:
                return self._say(404, "there is nothing here")
            number = int(run) if run else None
            if what == "events":
                return self._stream(number)
            page = shown.page(number) if not what else None
            if page is None:
                return self._say(404, "there is nothing here")
            return self._answer(200, "text/html; charset=utf-8", page)

        def _stream(self, number: int | None) -> None:
            """Send a picture whenever there is news, but take no more than a small share of a processor for it."""
            self._head(200, "text/event-stream")
            seen: object = None
            quiet = monotonic()
            with suppress(OSError):
                while True:
                    last = server.closing.is_set()
                    began = time.thread_time()
                    seen, news = shown.news(number, seen)
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
                    server.closing.wait(max(LEAST, SHARE * cost))

        def _say(self, code: int, text: str) -> None:
            self._answer(code, "text/plain; charset=utf-8", f"{text}\n".encode())

        def _answer(self, code: int, kind: str, body: bytes, cookie: str = "") -> None:
            self._head(code, kind, len(body), cookie)
            self.wfile.write(body)

        def _head(self, code: int, kind: str, size: int | None = None, cookie: str = "") -> None:
            self.send_response(code)
            if cookie:
                self.send_header("Set-Cookie", cookie)
            self._common()
            self.send_header("Content-Type", kind)
            if size is not None:
                self.send_header("Content-Length", str(size))
            self.end_headers()

        def _common(self) -> None:
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Connection", "close")

        def setup(self) -> None:
            """Never wait for a browser that does not read."""
            super().setup()
            with suppress(OSError):
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing."""

    return Handler
