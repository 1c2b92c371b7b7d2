"""An nginx of the tests' own: Debian's, on loopback and a free port, in a folder that goes away."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from installed import program

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Served(NamedTuple):
    """A line of the access log."""

    at: float
    """When the answer was sent, in seconds since 1970."""
    status: int
    took: float
    """Seconds from the first byte of the request to the last of the answer."""


class Nginx:
    """A server that runs.

    Attributes:
        url: without a slash at its end.
        root: the folder of its documents.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self.url: str = f"http://127.0.0.1:{port}"
        self.root: Path = folder / "root"
        self._log = folder / "access.log"

    def served(self) -> list[Served]:
        """Return what it has answered so far."""
        rows = [line.split() for line in self._log.read_text().splitlines()]
        return [Served(float(at), int(status), float(took)) for at, status, took in rows]


@contextlib.contextmanager
def logging_nginx(server: str = "", http: str = "") -> Iterator[Nginx]:
    """Give a running nginx that keeps a log.

    Args:
        server: directives for its one server, beside the `root` of documents.
        http: directives for the block around it: zones and upstreams.
    """
    with tempfile.TemporaryDirectory(prefix="whilst-nginx-") as name:
        folder, port = Path(name), free_port()
        (folder / "root").mkdir()
        log = f'log_format short "$msec $status $request_time"; access_log {folder}/access.log short;'
        listens = f"listen 127.0.0.1:{port} backlog=4096; root {folder}/root;"
        with running(folder, f"{log}\n{http}\nserver {{ {listens}\n{server} }}\n", port):
            yield Nginx(port, folder)


@contextlib.contextmanager
def running(folder: Path, http: str, port: int) -> Iterator[None]:
    """Run nginx as long as the block; its workers are who we are, so that they may read what we may.

    Args:
        folder: where it keeps its files.
        http: what stands in the block of that name.
        port: one that it listens on as soon as it runs.
    """
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; {user}\n"
        "events { worker_connections 4096; }\n"
        f"http {{ default_type application/json; keepalive_requests 1000000; {temporary}\n{http}}}\n"
    )
    log = folder / "error.log"
    command = [program("nginx", "nginx-light"), "-p", folder, "-c", folder / "nginx.conf", "-e", log]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    try:
        if not _until_listening(port, process):
            raise RuntimeError(f"nginx does not start\n{log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _until_listening(port: int, process: subprocess.Popen[bytes]) -> bool:
    ends = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return True
    return False
