"""Where do lines go, so that none is lost and none arrives late?

Lines are gathered and written together: when 256 KiB are there, and whenever somebody calls `flush` (the command
line does five times a second, from another thread). A file is written beside its final name and renamed when it is
finished, so a reader never finds half of one under that name.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

BATCH = 256 * 1024  # bytes gathered before they are written at once


class Output:
    """Lines on their way to a descriptor. `write` belongs to one thread, `flush` to any."""

    def __init__(self, descriptor: int, name: str, *, file: UnfinishedFile | None = None) -> None:
        self.name = name
        self._descriptor = descriptor
        self._file = file
        self._lines: deque[bytes] = deque()  # its append and popleft are atomic: no lock on the way in
        self._size = 0
        self._guard = threading.Lock()  # so that batches are written in order
        self.broken: OSError | None = None
        """What a write met; nothing is written after it."""
        self._ended = False

    def write(self, line: bytes) -> None:
        """Take a line; OSError if the other side is gone or full."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has been taken; OSError as from `write`, now and ever after the first."""
        with self._guard:
            if self.broken is not None:
                raise self.broken
            self._size = 0
            batch = b"".join([self._lines.popleft() for _ in range(len(self._lines))])
            if not batch:
                return
            try:
                _write_all(self._descriptor, batch)
            except OSError as error:
                self.broken = error
                raise

    @property
    def waiting(self) -> bool:
        """Whether lines have been taken that are not written yet."""
        return bool(self._lines)

    def finish(self) -> str | None:
        """Write the rest and give the file its name; return another name if that one has been taken meanwhile."""
        if self._ended:
            return None
        self._ended = True
        try:
            self.flush()
        finally:
            kept = self._file.finish(self._descriptor) if self._file is not None else None
        return kept

    def discard(self) -> None:
        """Forget everything: nothing was called, so there is nothing to keep."""
        self._ended = True
        if self._file is not None:
            self._file.discard(self._descriptor)

    def __repr__(self) -> str:
        return f"<Output {self.name}, {len(self._lines)} lines waiting>"


class UnfinishedFile:
    """A file under a name of its own until it is finished."""

    def __init__(self, path: str, *, overwrite: bool) -> None:
        self._path = os.path.realpath(path)  # a symbolic link stays one
        self._overwrite = overwrite
        self._part = f"{self._path}.{os.getpid()}.part"

    def open(self) -> int:
        """Create it; OSError if the folder is missing or closed to us."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self._part, flags, 0o666)
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(Path(self._path).stat().st_mode))  # the replaced file's
        return descriptor

    def finish(self, descriptor: int) -> str | None:
        """Make it durable and rename it; return the name it keeps if the final one must not be replaced."""
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if self._overwrite:
            os.replace(self._part, self._path)
            return None
        try:
            os.link(self._part, self._path)  # unlike a rename it fails where there is a file
        except FileExistsError:
            return self._part
        except OSError:  # a file system without links
            if os.path.exists(self._path):
                return self._part
            os.rename(self._part, self._path)
            return None
        os.unlink(self._part)
        return None

    def discard(self, descriptor: int) -> None:
        """Remove it."""
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(self._part)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # somebody made our standard output non-blocking
            select.select([], [descriptor], [])
