"""How is a run that writes a journal doing? A snapshot beside the journal says so, and reading it disturbs nobody."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque

import msgspec

from ..errors import JournalError
from .header import Command, Header
from .lock import holder_of, host_name, is_alive
from .tally import Kind, Tally

EVERY = 1.0  # seconds between two snapshots
RATE_OVER = 30.0  # seconds that the rate is an average of


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a journal at one moment.

    Attributes:
        path, name, place, command: the journal, the function, where it is defined, and the command line that runs it.
        pid, host, started, updated: the run, and when it began and was last heard of (seconds since the epoch).
        running: whether it still runs.
        ended: whether it has ended by itself, well or not; neither `running` nor `ended`: it was killed.
        done, failed, found: outcomes that are values; inputs that have failed; outcomes that were there when it began.
        kinds: the failures by kind, with one example each.
        rate: outcomes a second, lately.
        backlog: outcomes that are not durable yet.
        total: how many inputs there are, if that is known.
        problem, notices: why writing stopped, if it did; what else was found.
    """

    path: str
    name: str
    place: str
    command: Command | None = None
    pid: int
    host: str
    started: float
    updated: float
    running: bool = True
    ended: bool = False
    done: int
    failed: int
    found: int = 0
    kinds: dict[str, Kind] = {}
    rate: float = 0.0
    backlog: int = 0
    total: int | None = None
    problem: str = ""
    notices: tuple[str, ...] = ()


class Snapshots:
    """Writes a snapshot now and then; used by the writer's thread."""

    def __init__(self, path: str, header: Header, tally: Tally, found: int, notices: tuple[str, ...]) -> None:
        self.total: int | None = None
        self._path = path
        self._header = header
        self._tally = tally
        self._found = found
        self._notices = notices
        self._started = time.time()
        self._due = time.monotonic()
        self._shown = -1
        self._history: deque[tuple[float, int]] = deque([(time.monotonic(), tally.added)])

    @property
    def wait(self) -> float | None:
        """Seconds until the next snapshot is due; None if there is nothing new to show."""
        return max(0.0, self._due - time.monotonic()) if self._shown != self._tally.added else None

    def write(self, backlog: int, *, running: bool = True, problem: str = "") -> None:
        """Write a snapshot, if one is due; the last one of a run always is. What cannot be written is left out."""
        now = time.monotonic()
        if running and now < self._due:
            return
        self._due, self._shown = now + EVERY, self._tally.added
        self._history.append((now, self._tally.added))
        while len(self._history) > 2 and now - self._history[0][0] > RATE_OVER:
            self._history.popleft()
        data = msgspec.json.encode(self._now(backlog, running, problem))
        with contextlib.suppress(OSError):
            replace(status_path(self._path), data)

    def _now(self, backlog: int, running: bool, problem: str) -> Status:
        (since, before), (now, added) = self._history[0], self._history[-1]
        return Status(
            path=self._path,
            name=self._header.name,
            place=self._header.place,
            command=self._header.command,
            pid=os.getpid(),
            host=host_name(),
            started=self._started,
            updated=time.time(),
            running=running,
            ended=not running,
            done=self._tally.done,
            failed=self._tally.failed,
            found=self._found,
            kinds=self._tally.kinds(),
            rate=round((added - before) / (now - since), 3) if now > since else 0.0,
            backlog=backlog,
            total=self.total,
            problem=problem,
            notices=self._notices,
        )


def status_path(path: str) -> str:
    """Return where the snapshots of a journal are."""
    return f"{path}.status.json"


def snapshot(path: str) -> Status | None:
    """Return the last snapshot of the journal at `path`, however old; None if there is none.

    The journal itself is not opened. Whether the run still goes on is looked up: it may have been killed.
    """
    try:
        with open(status_path(path), "rb") as file:
            found = msgspec.json.decode(file.read(), type=Status)
    except (OSError, msgspec.DecodeError):
        return None
    holder = holder_of(path)
    running = found.running and holder is not None and holder.pid == found.pid and is_alive(holder)
    return msgspec.structs.replace(found, running=running)


def no_journal(path: str) -> JournalError:
    """Return the error for a path where nothing is."""
    return JournalError(f"there is no journal at {path}", remedy="the path that was given to journal= or --journal")


def replace(path: str, data: bytes) -> None:
    """Write a file beside and move it over, so that who reads it never sees half of it."""
    beside = f"{path}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(beside, path)
