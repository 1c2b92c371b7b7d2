"""Who uses this journal now? At most one run: it holds a lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import socket
import sys
import time
import weakref

import msgspec

from ..errors import JournalLocked
from ..files import open_regular
from .place import cannot_beside

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LAST_MOMENT = 253_000_000_000.0  # seconds since the epoch: in the year 9987

_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock: process, machine, and since when (seconds since the epoch)."""

    pid: int
    host: str
    since: float


class Lock:
    """An exclusive lock on `<path>.lock`; taken at once or not at all. `given` is the path as its user wrote it."""

    def __init__(self, path: str, given: str = "") -> None:
        self._journal = path
        self._given = given or path
        self._path = f"{path}.lock"
        self._fd = -1

    def take(self) -> None:
        """Take it; JournalLocked names who has it."""
        while True:
            try:
                fd = open_regular(self._path, os.O_RDWR | os.O_CREAT)
            except OSError as error:
                cannot_beside(self._journal, self._path, error)
            try:  # a Ctrl-C may come at any moment
                is_locked = _lock(fd)
                if is_locked and _is_at(fd, self._path):  # else its holder let go meanwhile, and the name with it
                    self._fd = fd
                    break
            finally:
                if self._fd != fd:
                    os.close(fd)
            if not is_locked:
                raise self._refused()
        _held.add(self)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, msgspec.json.encode(Holder(os.getpid(), host_name(), time.time())), 0)
        except OSError:  # a full disk: the lock holds without the name of its holder
            pass

    def release(self) -> None:
        """Let go of it; idempotent."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        _held.discard(self)
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # before the lock goes: what has the name has the lock, see `take`
        os.close(fd)

    def forget(self) -> None:
        """Let the parent keep it: this process was forked from the one that took it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _refused(self) -> JournalLocked:
        holder = holder_of(self._journal)
        name = os.path.basename(self._journal)
        remedy = f"wait until it ends, or another journal; meanwhile: whilst status {shlex.quote(self._given)}"
        if holder is None:
            return JournalLocked(f"{name} is in use by another process", f"it is {self._journal}", remedy=remedy)
        since = time.strftime("%H:%M", time.localtime(holder.since))
        if time.time() - holder.since > 20 * 3600:
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder.since))
        who = "another run of this process" if holder.pid == os.getpid() else f"pid {holder.pid}"
        return JournalLocked(
            f"{name} is in use by {who} on {holder.host} since {since}",
            f"it is {self._journal}",
            remedy=remedy,
            pid=holder.pid,
            host=holder.host,
            since=holder.since,
        )


@functools.cache
def host_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def holder_of(path: str) -> Holder | None:
    """Return who took the lock of a journal last and has not let go of it; it may have died since."""
    try:
        with open(open_regular(f"{path}.lock"), "rb") as file:
            found = msgspec.json.decode(file.read(4096), type=Holder)
    except (OSError, ValueError, RecursionError):  # none, or nonsense
        return None
    return found if is_pid(found.pid) and is_moment(found.since) else None


def is_pid(number: int) -> bool:
    """Whether a number can be that of a process: 0 and less mean groups of them, to the system."""
    return 0 < number < 1 << 31


def is_moment(seconds: float) -> bool:
    """Whether seconds since the epoch are a time that a clock can show."""
    return 0 <= seconds < LAST_MOMENT


def is_alive(holder: Holder) -> bool:
    """Whether the holder still runs, as far as this machine can tell; without touching the lock."""
    if holder.host != host_name():
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def _lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(fd, 1 << 20, os.SEEK_SET)  # past the text, which others may read
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _after_fork() -> None:
    for lock in list(_held):
        lock.forget()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
