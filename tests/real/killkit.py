"""Programs that are started in no time, to be killed at any instant: a process that has imported all forks each."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from whilst.journal.frame import OUTCOMES, Columns, checked

# The program writes down which inputs it calls, and which values it was given, before anything can go wrong with them.
PROGRAM = """\
import asyncio, os, sys, time
import whilst
from whilst.cli.main import run as command_line
import whilst.cli.map, whilst.cli.resume, whilst.journal.opening

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND

def note(name, what):
    fd = notes.get(name)
    if fd is None:
        fd = notes[name] = os.open(name, APPEND)
    os.write(fd, b"%d\\n" % what)

notes = {}
WAIT = 0.002

def blocking(x):
    note("called", int(x))
    time.sleep(WAIT)
    return int(x) * 2

async def waiting(x):
    note("called", int(x))
    await asyncio.sleep(WAIT)
    return int(x) * 2

async def instant(x):
    note("called", x)
    return x * 2

def half(x):
    note("called", x)
    time.sleep(WAIT / 2)
    return x

async def other_half(x):
    await asyncio.sleep(WAIT / 2)
    return x * 2

def whole(both):
    return both["a"] * 2 if both["a"] * 2 == both["b"] else None

flow = whilst.sequence(half, whilst.together(a=lambda x: x, b=other_half), whole)

def main(how, *arguments):
    if how == "map":
        shape, commit, count, lanes = arguments
        journal = whilst.Journal("run.db", commit=commit)
        for value in whilst.map(globals()[shape], range(int(count)), journal=journal, concurrency=int(lanes)):
            note("given", value)
    else:
        sys.argv[1:] = arguments
        code = command_line(arguments)
        if code:
            raise SystemExit(code)
"""

# It forks while it has one thread only; a signal that comes before its time has no meaning to it.
LAUNCHER = """\
import json, os, resource, signal, sys, traceback
sys.path.insert(0, sys.argv[1])
import program
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
for line in sys.stdin:
    asked = json.loads(line)
    signal.sigtimedwait({signal.SIGCHLD}, 0)  # of the child before
    child = os.fork()
    if not child:
        code = 70
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(asked["folder"])
            os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(os.open("printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            os.dup2(os.open(asked["stdin"], os.O_RDONLY), 0)
            os.environ.update(asked["environment"])
            if asked["largest"]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (asked["largest"], asked["largest"]))
            sys.path.insert(0, asked["folder"])
            program.main(*asked["arguments"])
            code = 0
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(child, flush=True)
    if asked["delay"] is not None:
        signal.sigtimedwait({signal.SIGCHLD}, asked["delay"])
        os.kill(child, signal.SIGKILL)  # it has not been waited for, so the number is still its own
    print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), flush=True)
"""


class Launcher:
    """Starts the program, one at a time, and kills it after a while."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(
        self,
        folder: Path,
        *arguments: str,
        delay: float | None = None,
        stdin: str = os.devnull,
        environment: Mapping[str, str] | None = None,
        largest: int = 0,
    ) -> int:
        """Run the program in a folder and return its process number; with a `delay` it is killed after that.

        No file that it writes can be larger than `largest`: what a full disk does, on any machine.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {
            "folder": str(folder), "arguments": arguments, "delay": delay, "stdin": stdin,
            "environment": dict(environment or {}), "largest": largest,
        }  # fmt: skip
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def wait(self) -> int:
        """Return the exit code, negative for a signal."""
        assert self._process.stdout is not None
        code: int = json.loads(self._process.stdout.readline())
        return code

    def run(self, folder: Path, *arguments: str, **options: Any) -> int:
        """Start and wait."""
        self.start(folder, *arguments, **options)
        return self.wait()


@contextmanager
def launcher(folder: Path) -> Iterator[Launcher]:
    """Start one; its files are in the folder."""
    (folder / "program.py").write_text(PROGRAM)
    (folder / "launcher.py").write_text(LAUNCHER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(it or "." for it in sys.path)}
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(folder / "launcher.py"), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Launcher(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def noted(file: Path) -> list[int]:
    """Take what the program wrote down; a kill never cuts a line, for each is written at once."""
    if not file.exists():
        return []
    lines = file.read_text().splitlines()
    file.unlink()
    return list(map(int, lines))


def recorded(path: Path) -> list[Any]:
    """Return the inputs in a journal whose run was killed, one for each outcome; the files are left as they are."""
    copy = path.with_name("copy")
    copy.mkdir()
    try:
        for more in ("", "-wal"):
            if path.with_name(path.name + more).exists():
                shutil.copyfile(path.with_name(path.name + more), copy / f"run.db{more}")
        if not (copy / "run.db").exists():
            return []
        with closing(sqlite3.connect(copy / "run.db")) as database:
            if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return []
            frames = [frame for (frame,) in database.execute("SELECT frame FROM log ORDER BY n")]
    finally:
        shutil.rmtree(copy)
    found: list[Any] = []
    keys: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        head = checked(frame)
        assert head is not None
        if head.kind == OUTCOMES:
            columns = Columns(frame, head)
            keys.update(zip(columns.keys, columns.rests, strict=True))
            found += [json.loads(columns.input(place)) for place in range(columns.count)]
    assert keys.total() == len(keys), "recorded twice"
    return found
