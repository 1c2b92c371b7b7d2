"""Connections that a real server ends: those of a restarted PostgreSQL, those that a TCP server drops now and then."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres import PASSWORD, account, programs, server

import whilst

RETRY = whilst.Retry(attempts=5, base=0.01)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server() as port:
        yield port


def address(port: int) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "user": "me", "password": PASSWORD, "dbname": "data"}


def once_it_is_back(port: int) -> psycopg.Connection:
    """Connect, as patiently as is gentle: a server that ends under many who knock takes its time."""
    while True:
        try:
            return psycopg.connect(**address(port), autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.05)


def restart(db: Any) -> None:
    """Have the server end all its connections, this one too, and come back."""
    ((folder,),) = db.execute("select setting from pg_settings where name = 'data_directory'").fetchall()
    command = [
        programs() / "pg_ctl",
        "-D",
        folder,
        "-m",
        "immediate",
        "-w",
        "-l",
        Path(folder).parent / "log",
        "restart",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=50, **account())


@pytest.mark.parametrize("per", ["thread", "run"])
def test_a_restart_of_postgresql_costs_no_row(port: int, per: Any) -> None:
    opened, once = [], threading.Lock()

    def connect() -> psycopg.Connection:
        opened.append(once_it_is_back(port))
        return opened[-1]

    def ask(value: int, db: psycopg.Connection) -> Any:
        if value == 20 and once.acquire(blocking=False):
            restart(db)
        return db.execute("select %s + 1", [value]).fetchone()[0]  # type: ignore[index]

    run = whilst.map(ask, range(30), concurrency=3, retry=RETRY, use={"db": whilst.resource(connect, per=per)})
    assert run.list() == [*range(1, 31)]
    assert 2 <= len(opened) <= 6
    assert all(db.closed for db in opened)


def test_a_restart_of_postgresql_costs_no_row_of_an_async_step(port: int) -> None:
    opened, once = [], threading.Lock()

    async def connect() -> psycopg.AsyncConnection:
        while True:
            try:
                opened.append(await psycopg.AsyncConnection.connect(**address(port), autocommit=True))
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)
            else:
                return opened[-1]

    async def ask(value: int, db: psycopg.AsyncConnection) -> Any:
        if value == 20 and once.acquire(blocking=False):
            with psycopg.connect(**address(port), autocommit=True) as other, contextlib.suppress(psycopg.Error):
                restart(other)
        cursor = await db.execute("select %s + 1", [value])
        return (await cursor.fetchone())[0]  # type: ignore[index]

    run = whilst.map(ask, range(30), concurrency=3, retry=RETRY, use={"db": whilst.resource(connect)})
    assert run.list() == [*range(1, 31)]
    assert 2 <= len(opened) <= 4
    assert all(db.closed for db in opened)


class Echo(socketserver.StreamRequestHandler):
    """Answers each line with itself, twenty times; then it ends the connection."""

    def handle(self) -> None:
        for count, line in enumerate(self.rfile):
            if count == 20:
                return
            self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Echo) as echoing:
        thread = threading.Thread(target=echoing.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield echoing.server_address  # type: ignore[misc]
        echoing.shutdown()
        thread.join()


class Line:
    """A connection, asked one thing at a time."""

    def __init__(self, at: tuple[str, int]) -> None:
        self.socket = socket.create_connection(at, timeout=20)
        self.file = self.socket.makefile("rwb", buffering=0)

    def ask(self, value: int) -> bytes:
        with contextlib.suppress(BrokenPipeError):
            self.file.write(f"{value}\n".encode())
        return self.file.readline()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.mark.parametrize("checked", [False, True])
def test_a_server_that_ends_connections_in_the_middle_costs_no_row(echo: tuple[str, int], checked: bool) -> None:
    opened = []

    def connect() -> Line:
        opened.append(Line(echo))
        return opened[-1]

    def ask(value: int, line: Line) -> int:
        answer = line.ask(value)
        if not answer:
            raise LookupError("no answer") if checked else ConnectionResetError("no answer")
        return int(answer)

    def is_well(line: Line) -> bool:
        return bool(line.ask(0))

    held = whilst.resource(connect, per="thread", check=is_well if checked else None, reopen=not checked)
    retry = whilst.Retry(attempts=5, base=0.001, breaker=False, on=lambda error: True)
    assert whilst.map(ask, range(300), concurrency=3, retry=retry, use={"line": held}).list() == [*range(300)]
    assert 15 <= len(opened) <= 40
    assert all(line.file.closed for line in opened)
