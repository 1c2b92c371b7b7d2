"""Which client sends? One a process and colour, made when it is first needed; its connections are shared by all."""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from threading import Lock, Thread
from typing import TypeVar, cast

from pyreqwest.client import Client, ClientBuilder, SyncClient, SyncClientBuilder
from pyreqwest.proxy import ProxyBuilder

from ..core.frozen import NamedTuple
from ..lanes.clock import monotonic

TIMEOUT = 60.0  # seconds for a whole answer, unless told otherwise: silence is a failure, not a reason to wait for ever
CONNECT_TIMEOUT = timedelta(seconds=20)  # for a connection; a host that drops packets would take the whole timeout
IDLE = timedelta(seconds=55)  # that a connection is kept; many servers and balancers close theirs after 60

ACCEPTED = "gzip, deflate, br, zstd"

_TOLD = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"})

LETTING_GO = 0.05  # seconds that the thread of the async client needs at most to lay down an answer

BuilderT = TypeVar("BuilderT", ClientBuilder, SyncClientBuilder)


class Connecting(NamedTuple):
    """How the clients of this process connect, where it is not as always."""

    certificates: bytes | None = None
    """Authorities to be trusted beside those of the system, as PEM."""
    insecure: bool = False
    """Whether any certificate is taken."""
    proxy: str | None = None


_connecting = Connecting()
_clients: dict[tuple[str, bool], Client | SyncClient] = {}  # by colour, and whether it keeps no connections
_guard = Lock()
_forked = False
_ended = 0.0  # when the last request of the async client did


def async_client(*, afresh: bool = False) -> Client:
    """Return the client of coroutines, of whatever loop; `afresh`: the one that keeps no connections."""
    client = _clients.get(("async", afresh)) or _make("async", afresh)
    assert isinstance(client, Client)
    return client


def made() -> Client | None:
    """Return the client of coroutines, if there is one."""
    return cast("Client | None", _clients.get(("async", False)))


def ended() -> None:
    """Take note that a request of the async client has ended, however it did."""
    global _ended
    _ended = monotonic()


def blocking_client(*, afresh: bool = False) -> SyncClient:
    """Return the client of threads; `afresh`: the one that keeps no connections."""
    client = _clients.get(("blocking", afresh)) or _make("blocking", afresh)
    assert isinstance(client, SyncClient)
    return client


def connect_by(connecting: Connecting) -> None:
    """Have the clients of this process connect in a certain way; before one is made."""
    global _connecting
    assert not _clients
    _connecting = connecting


def proxy_for(url: str) -> str:
    """Return the proxy that a URL is asked through, as messages show it, or nothing."""
    from .proxies import proxy_of  # loaded when used: for a message

    return proxy_of(url, _connecting.proxy)


def make_ahead() -> None:
    """Begin to make the client of coroutines on a thread; who asks for it meanwhile waits for it.

    It takes 10 ms, for all certificates that the system trusts are read, and no lock of the interpreter is held then.
    """
    Thread(target=_try_to_make, name="whilst-http-client").start()  # no daemon: a process that ends waits for it


def _try_to_make() -> None:
    with suppress(Exception):  # is raised again, where the client is asked for
        async_client()


def _make(colour: str, afresh: bool) -> Client | SyncClient:
    with _guard:
        if _forked:
            raise RuntimeError(
                "whilst.http was used before this process was forked, and connections do not work in the child\n"
                '  try: multiprocessing.get_context("spawn"), or use whilst.http only in the child'
            )
        if (colour, afresh) not in _clients:
            check_told()
            import_module(".response", __package__)  # here, as a client of coroutines is made beside their loop
            if colour == "async" and not afresh:
                atexit.register(_let_go)
            _clients[colour, afresh] = (
                _configured(ClientBuilder(), afresh).build()
                if colour == "async"
                else _configured(SyncClientBuilder(), afresh).build()
            )
        return _clients[colour, afresh]


def _configured(builder: BuilderT, afresh: bool) -> BuilderT:
    """Say how requests are sent; redirects are followed by `Exchange`, which knows what must not follow."""
    if _connecting.certificates is not None:
        builder = builder.add_root_certificate_pem(_connecting.certificates)
    if afresh:
        builder = builder.pool_max_idle_per_host(0)
    if _connecting.insecure:
        builder = builder.danger_accept_invalid_certs(True)
    if _connecting.proxy is not None:
        scheme = "" if "://" in _connecting.proxy else "http://"
        builder = builder.proxy(ProxyBuilder.all(f"{scheme}{_connecting.proxy}"))
    return (
        builder.user_agent("whilst")
        .http2(True)
        .http2_adaptive_window(True)
        .follow_redirects(False)
        .referer(False)
        .gzip(False)  # `reading` unpacks that: the client stops after the first member
        .deflate(False)
        .default_headers({"accept-encoding": ACCEPTED})
        .timeout(timedelta(seconds=TIMEOUT))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
    )


def check_told() -> None:
    """Refuse variables that the client would pass over; most often there are none."""
    if any(name.upper() in _TOLD for name in os.environ):
        from .proxies import check_environment

        check_environment()


def _let_go() -> None:
    """Let the async client's own thread lay down the last answer: one that it still holds when Python ends is a crash.

    It hands an answer to the loop, which may end the program before that thread has run again.
    """
    if made() is not None:  # not in a child
        time.sleep(max(0.0, _ended + LETTING_GO - monotonic()))


def _after_fork() -> None:
    """Forget the parent's clients: their sockets and their thread are the parent's."""
    global _forked, _guard
    _guard = Lock()  # another thread of the parent may have held it
    _forked = _forked or bool(_clients)
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
