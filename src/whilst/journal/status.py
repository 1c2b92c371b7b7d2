"""How is a run that writes a journal doing? A snapshot beside the journal says so, and reading it disturbs nobody."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque

import msgspec

from ..core.secrets import without_secrets, without_secrets_in
from ..errors import JournalError
from ..files import open_regular, replace_file
from ..lanes.clock import monotonic
from .counts import Counts, Example, Kind
from .header import Command, Header
from .lock import holder_of, host_name, is_alive, is_moment, is_pid
from .names import in_text

EVERY = 1.0  # seconds between two snapshots
MOST_BYTES = 1 << 22  # of a snapshot; 50 kinds with an example have a hundredth of that
MOST_COUNT = 1 << 60
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

    def _makes_sense(self) -> bool:
        """Whether its numbers are such as a run has: the file may be damaged, or somebody else's."""
        counts = (self.done, self.failed, self.found, self.backlog, self.total or 0)
        return (
            is_moment(self.started)
            and is_moment(self.updated)
            and (is_pid(self.pid) or self.pid == 0)
            and all(0 <= count < MOST_COUNT for count in (*counts, *(kind.count for kind in self.kinds.values())))
            and 0 <= self.rate < MOST_COUNT
        )

    def _without_secrets(self) -> Status:
        """Return it without secrets, as it may be read by anybody who looks."""
        command = self.command
        return msgspec.structs.replace(
            self,
            command=None if command is None else _in_text(command),
            problem=without_secrets(self.problem),
            notices=tuple(map(without_secrets, self.notices)),
            kinds={name: _shown(kind) for name, kind in self.kinds.items()},
        )


def _in_text(command: Command) -> Command:
    return Command(tuple(map(in_text, without_secrets_in(command.argv))), in_text(command.cwd))


def _shown(kind: Kind) -> Kind:
    seen = kind.example
    if seen is None:
        return kind
    return Kind(kind.count, Example(without_secrets(seen.input), without_secrets(seen.message)))


class Snapshots:
    """Writes a snapshot now and then; used by the writer's thread."""

    def __init__(self, path: str, header: Header, counts: Counts, found: int, notices: tuple[str, ...]) -> None:
        self.total: int | None = None
        self._path = path
        self._header = header
        self._counts = counts
        self._found = found
        self._notices = notices
        self._started = time.time()
        self._due = monotonic()
        self._shown = -1
        self._history: deque[tuple[float, int]] = deque([(monotonic(), counts.added)])

    @property
    def wait(self) -> float | None:
        """Seconds until the next snapshot is due; None if there is nothing new to show."""
        return max(0.0, self._due - monotonic()) if self._shown != self._counts.added else None

    def write(self, backlog: int, *, running: bool = True, problem: str = "") -> None:
        """Write a snapshot, if one is due; the last one of a run always is. What cannot be written is left out."""
        now = monotonic()
        if running and now < self._due:
            return
        self._due, self._shown = now + EVERY, self._counts.added
        self._history.append((now, self._counts.added))
        while len(self._history) > 2 and now - self._history[0][0] > RATE_OVER:
            self._history.popleft()
        data = msgspec.json.encode(self._now(backlog, running, problem)._without_secrets())
        with contextlib.suppress(OSError):
            replace_file(status_path(self._path), data)

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
            done=self._counts.done,
            failed=self._counts.failed,
            found=self._found,
            kinds=self._counts.kinds(),
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
        with open(open_regular(status_path(path)), "rb") as file:
            found = msgspec.json.decode(file.read(MOST_BYTES), type=Status)
    except (OSError, ValueError, RecursionError):  # none, or nonsense
        return None
    if not found._makes_sense():
        return None
    holder = holder_of(path)
    running = found.running and holder is not None and holder.pid == found.pid and is_alive(holder)
    return msgspec.structs.replace(found, running=running)


def no_journal(path: str) -> JournalError:
    """Return the error for a path where nothing is."""
    return JournalError(f"there is no journal at {path}", remedy="the path of your journal= or --journal")
