"""The command line in a process of its own, in no time: one that has imported it forks for every call.

Starting an interpreter and importing everything takes ten times as long as most calls. The child has the caller's
directory, environment and pipes, and ends as any program does. What is about the start itself (which modules it
imports, signals, terminals) is tested with `python -m whilst.cli.main`. What the doctor sees depends on what is loaded
when it comes: its calls are forked from a process of their own, that has loaded no more than it.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

WHILST = [sys.executable, "-W", "error", "-m", "whilst.cli.main"]
PATIENCE = 50  # seconds for one call

DOCTOR = "whilst.cli.doctor, whilst.doctoring.supervise, whilst.doctoring.report"
MAP = (
    "whilst.mapping, whilst.engine.driver, whilst.limit, whilst.journal.journal, whilst.journal.opening,"
    " whilst.io.database, whilst.io.sql_sink, whilst.cli.fetch, whilst.cli.paging, whilst.cli.status,"
    " whilst.http.clients"
)
LIBRARIES = "uvloop sqlalchemy.dialects.sqlite sqlalchemy.dialects.postgresql.psycopg"
"""What commands load besides, where it is there; it takes most of the time of a call. But pyarrow starts threads."""

# It never has another thread when it forks. A descriptor for each of the child's streams comes with the request.
SERVER = """\
import contextlib, importlib, json, os, socket, sys
import whilst.cli.main, whilst.cli.map, whilst.cli.get, whilst.cli.run, whilst.cli.plan, whilst.run, whilst.flow
import {loaded}
for name in "{libraries}".split():
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
assert not os.path.exists("/proc/self/task") or len(os.listdir("/proc/self/task")) == 1

line = socket.socket(fileno=int(sys.argv[1]))
while True:
    asked, streams, _, _ = socket.recv_fds(line, 1 << 20, 3)
    if not asked:
        break
    asked = json.loads(asked)
    child = os.fork()
    if not child:
        line.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.path[0] = asked["folder"]
        sys.argv[:] = ["whilst", *asked["arguments"]]
        break
    for stream in streams:
        os.close(stream)
    line.send(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
if asked:
    whilst.cli.main.main()
"""


def run(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, bytes, bytes]:
    """Call the command line here and return its exit code, standard output and messages."""
    reads = [(out := os.pipe())[0], (err := os.pipe())[0]]
    into = os.pipe()
    asked = {"arguments": arguments, "folder": str(Path.cwd()), "environment": {**os.environ, **(env or {})}}
    server = _server(arguments[:1] == ("doctor",))
    streams = [into[0], out[1], err[1]]
    socket.send_fds(server, [json.dumps(asked).encode()], streams)
    for stream in streams:
        os.close(stream)
    said: list[bytes] = [b"", b""]
    threads = [threading.Thread(target=_write, args=(os.fdopen(into[1], "wb"), stdin))]
    threads += [threading.Thread(target=_read, args=(os.fdopen(reads[i], "rb"), said, i)) for i in range(2)]
    for thread in threads:
        thread.start()
    try:
        code: Any = json.loads(server.recv(100))
    except BaseException:  # a test's own patience may end first
        _server.cache_clear()  # it waits for that child still, whose exit code the next one would get
        raise
    for thread in threads:
        thread.join(PATIENCE)
    return code, said[0], said[1]


def _write(file: IO[bytes], data: bytes) -> None:
    try:
        with file:
            file.write(data)
    except BrokenPipeError:
        pass  # not everybody reads to the end


def _read(file: IO[bytes], said: list[bytes], place: int) -> None:
    with file:
        said[place] = file.read()


@functools.cache
def _server(is_doctor: bool) -> socket.socket:
    loaded, libraries = (DOCTOR, "") if is_doctor else (MAP, LIBRARIES)
    program = SERVER.replace("{loaded}", loaded).replace("{libraries}", libraries)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(PATIENCE)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(_end, process, ours)
    return ours


def _end(process: subprocess.Popen[bytes], line: socket.socket) -> None:
    line.close()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
