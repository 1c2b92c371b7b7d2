"""How much memory may the answers of a command take together? What finds no room waits until others are written.

The oldest row that has not been written may always go on, so that all go on: what is over the limit is one answer at
most.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from ..http.reading import MAX_SIZE, Largest
from ..io.rows import Rejected, Row

SHARE = 4  # the default is this part of what the process may use


class Room:
    """What the answers of a command may take together; used on the run's loop, `written` from anywhere."""

    def __init__(self, most: int, max_size: int | None) -> None:
        self.is_holding: bool = False
        """Whether there is a large answer that has not been written."""
        self._most = most
        self._held: dict[int, tuple[Row, int]] = {}
        """The rows with a large answer, and what it has; a row with a smaller one costs nothing here."""
        self._total = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        single = MAX_SIZE if max_size is None else max_size
        self.largest: Largest = Largest(most, "--max-memory") if most < single else Largest(single, "--max-size")
        """What one answer may have."""

    async def grow(self, row: Row, size: int) -> None:
        """Wait until there is room for so many bytes of a row's answer, in all."""
        self._loop = asyncio.get_running_loop()
        _, before = self._held.setdefault(id(row), (row, 0))
        self.is_holding = True
        while self._total + size - before > self._most:
            future = self._loop.create_future()
            self._waiting.append(future)
            if self._is_oldest(row):
                break
            await future
        self._total += size - before
        self._held[id(row)] = row, size

    def drop(self, row: Row | Rejected) -> None:
        """Give back what a row's answer had: it was written, or it failed and may be asked for again. On the loop."""
        _, size = self._held.pop(id(row), (row, 0))
        self._total -= size
        self.is_holding = bool(self._held)
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def written(self, row: Row | Rejected) -> None:
        """Take note, on any thread, that a row's outcome has been written."""
        loop = self._loop
        if id(row) in self._held and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.drop, row)

    def _is_oldest(self, row: Row) -> bool:
        """Whether no row before it has a large answer that is not written.

        If the next one to be written is another, that has a small answer, which waits for nothing here.
        """
        return row.line <= min(each.line for each, _ in self._held.values())


def default_memory() -> int:
    """Return the bytes that all answers together may take unless told otherwise: a quarter of what the process may."""
    return max(1 << 20, usable_memory() // SHARE)


def usable_memory() -> int:
    """Return how many bytes this process may use: what its group of processes, its limits and the machine leave it."""
    found = [_of_machine(), *_of_groups(), *_of_limits()]
    return min((it for it in found if it > 0), default=1 << 30)


def _of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _of_limits() -> list[int]:
    try:
        import resource
    except ImportError:
        return []
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return [it for it in limits if it != resource.RLIM_INFINITY]


def _of_groups(root: str = "/sys/fs/cgroup", table: str = "/proc/self/cgroup") -> list[int]:
    """Return the limits of the groups that this process is in, and of those around them (cgroups 2 and 1)."""
    found: list[int] = []
    for line in _read(table).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "memory" not in controllers.split(","):
            continue
        base, name = (root, "memory.max") if number == "0" else (f"{root}/memory", "memory.limit_in_bytes")
        parts = [it for it in path.split("/") if it and it != ".."]
        for count in range(len(parts), -1, -1):
            text = _read(os.path.join(base, *parts[:count], name)).strip()
            if text.isdigit() and int(text) < 1 << 60:  # which stands for none
                found.append(int(text))
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
