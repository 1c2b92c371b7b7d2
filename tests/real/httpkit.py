"""Servers for tests, on loopback and free ports: nginx, with TLS too, and one that answers what a test says."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from installed import program
from nginx import free_port, running


@dataclass
class Seen:
    """What a request was."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """A server whose answers are a function of the request; None breaks the connection, "silent" never answers."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0


Answer = Callable[[Seen], bytes | None]

_TEXT = '{"a":"é"}'
OTHER_CHARSETS = [  # JSON that is not UTF-8, and what an answer says of it
    (_TEXT.encode("latin-1"), "; charset=ISO-8859-1"),
    (_TEXT.encode("cp1252"), '; Charset="windows-1252"'),
    (_TEXT.encode("utf-16"), "; charset=utf-16"),
    (_TEXT.encode("utf-16-le"), ""),
    (_TEXT.encode("utf-32"), ""),
    (_TEXT.encode("utf-8-sig"), "; charset=utf-8"),
]


def answer(status: str = "200 OK", body: bytes | str = b"", *, length: int | None = None, **headers: str) -> bytes:
    """Make an answer; `length` other than the body's makes it a lie."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@contextlib.contextmanager
def scripted(reply: Answer) -> Iterator[Scripted]:
    """Serve `reply` on threads until the end of the block; an answer that lies about its length ends its connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = Scripted(f"http://127.0.0.1:{listener.getsockname()[1]}")
    open_sockets: set[socket.socket] = set()

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            with connection.makefile("rb") as stream:
                while seen := _read(stream):
                    server.seen.append(seen)
                    data = reply(seen)
                    if data is None:
                        break
                    if data == b"silent":
                        stream.read(1)
                        break
                    connection.sendall(data)
                    head, _, body = data.partition(b"\r\n\r\n")
                    if b"Content-Length: %d\r\n" % len(body) not in head + b"\r\n":
                        break
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        open_sockets.discard(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            open_sockets.add(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in list(open_sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _read(stream: object) -> Seen | None:
    line = stream.readline().decode("latin-1").strip()  # type: ignore[attr-defined]
    if not line:
        return None
    headers: dict[str, str] = {}
    while text := stream.readline().decode("latin-1").strip():  # type: ignore[attr-defined]
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(line, headers, stream.read(int(headers.get("content-length", 0))))  # type: ignore[attr-defined]


@dataclass
class Nginx:
    """A running nginx: plain, and with TLS and HTTP/2."""

    url: str
    tls: str
    wrong_name: str
    """TLS with a certificate for another name."""
    authority: Path
    """Who signed, as PEM."""


@contextlib.contextmanager
def nginx(folder: Path, documents: Path) -> Iterator[Nginx]:
    """Serve a folder of JSON documents."""
    authority = certificates(folder)
    plain, tls, wrong = free_port(), free_port(), free_port()
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {folder}/{name}.pem; "
        f"ssl_certificate_key {folder}/{name}.key; root {documents}; }}\n"
        for port, name in ((tls, "localhost"), (wrong, "other.example"))
    )
    plainly = f"server {{ listen 127.0.0.1:{plain} backlog=2048; root {documents}; }}\n"
    with running(folder, f"access_log off;\n{plainly}{servers}", plain):
        yield Nginx(f"http://127.0.0.1:{plain}", f"https://localhost:{tls}", f"https://localhost:{wrong}", authority)


def certificates(folder: Path) -> Path:
    """Make an authority and two certificates it signed; return the authority's own."""

    openssl = program("openssl", "openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test authority")
    for name in ("localhost", "other.example"):
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext"]
        run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder / "ca.pem"
