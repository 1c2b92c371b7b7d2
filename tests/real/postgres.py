"""A PostgreSQL server of the tests' own: loopback, a free port, a password, in a folder that goes away."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from installed import missing

PASSWORD = "s3cret/canary"


def programs() -> Path:
    """Return the folder of `initdb`; skip the test where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        missing("a PostgreSQL server", "postgresql")
    return found[-1].parent if found else Path(str(on_path)).parent


def account() -> dict[str, Any]:
    """Return who runs the server: it refuses to be root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        missing("a user postgres, as PostgreSQL refuses to run as root,", "postgresql")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    """A running server, which can be stopped and started."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._run = {"check": True, "cwd": folder, "timeout": 50, "stdout": subprocess.DEVNULL, **account()}

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} -c fsync=off"
        self._control("-w", "-l", self._folder / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._control("-m", mode, "stop")

    def _control(self, *arguments: Any) -> None:
        subprocess.run([programs() / "pg_ctl", "-D", self._folder / "db", *arguments], **self._run)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Give a running server with a user `me` and a database `data`."""
    bin, who = programs(), account()
    folder = Path(tempfile.mkdtemp(prefix="whilst-pg-"))
    server: Server | None = None
    try:
        (folder / "password").write_text(PASSWORD)
        if who:
            for path in (folder, folder / "password"):
                os.chown(path, who["user"], who["group"])
        run = {"check": True, "capture_output": True, "cwd": folder, "timeout": 50, **who}
        initdb = [bin / "initdb", "-D", folder / "db", "-U", "me", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"]
        subprocess.run([*initdb, f"--pwfile={folder / 'password'}", "--no-locale"], **run)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        server = Server(folder, port)
        server.start()
        subprocess.run(
            [bin / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "me", "data"],
            **{**run, "env": {**os.environ, "PGPASSWORD": PASSWORD}},
        )
        yield server
    finally:
        if server is not None:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Give the port of a running server."""
    with running() as found:
        yield found.port
