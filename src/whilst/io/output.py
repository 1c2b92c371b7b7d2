"""Where do bytes go, so that none is lost and none arrives late?

They are gathered and written together: when 256 KiB are there, and whenever somebody calls `flush` (the command
line does five times a second, from another thread). A file is written beside its final name and renamed when it is
finished, so a reader never finds half of one under that name.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, Protocol, TypeVar

from ..files import create_beside
from .compression import Compressor

A = TypeVar("A")
B = TypeVar("B")

BATCH = 64 * 1024  # bytes gathered before they are written at once
LARGE = 1024 * 1024  # bytes of a line that is written alone


class Place(Protocol):
    """Where bytes end up; each method is called once at most but `write`."""

    def write(self, data: bytes) -> None:
        """Write all of it, or raise OSError."""
        ...

    def finish(self) -> str | None:
        """Make what was written durable and visible; return the name it has instead of the one it should have."""
        ...

    def discard(self) -> None:
        """Undo what can be undone."""
        ...


class Output:
    """Bytes on their way to a place, packed if there is a compressor. `write` belongs to one thread, `flush` to any."""

    def __init__(self, place: Place, name: str, *, compressor: Compressor | None = None) -> None:
        self.name = name
        self._place = place
        self._compressor = compressor
        self._taken = (
            bytearray()
        )  # it grows at one end and shrinks at the other, each in one step: no lock on the way in
        self._guard = threading.Lock()  # so that batches are written in order
        self.broken: OSError | None = None
        """What a write met; nothing is written after it."""
        self._ended = False

    def write(self, line: bytes) -> None:
        """Take a line; OSError if the other side is gone or full."""
        if len(line) >= LARGE:
            self._write_large(line)
            return
        self._taken.extend(line)
        if len(self._taken) >= BATCH:
            self.flush()

    def writing(self, line_of: Callable[[A, B], bytes]) -> Callable[[A, B], None]:
        """Return `write(line_of(…))` as one function, which is called for each outcome: 0.1 µs less."""
        taken, take = self._taken, self._taken.extend

        def write(one: A, other: B) -> None:
            line = line_of(one, other)
            if len(line) >= LARGE:
                self._write_large(line)
                return
            take(line)
            if len(taken) >= BATCH:
                self.flush()

        return write

    def flush(self) -> None:
        """Write what has been taken; OSError as from `write`, now and ever after the first."""
        with self._guard:
            if self.broken is not None:
                raise self.broken
            batch = bytes(self._taken)
            del self._taken[: len(batch)]
            if batch:
                self._send(self._compressor.compress(batch) if self._compressor is not None else batch)

    def _write_large(self, line: bytes) -> None:
        """Write a large line as it is: to gather it first would take its size twice more."""
        self.flush()
        with self._guard:
            self._send(self._compressor.compress(line) if self._compressor is not None else line)

    @property
    def waiting(self) -> bool:
        """Whether lines have been taken that are not written yet."""
        return bool(self._taken)

    @property
    def can_restart(self) -> bool:
        """Whether what was written can be read again and written anew."""
        return isinstance(self._place, UnfinishedFile)

    def restart(self) -> BinaryIO:
        """Return what was written, as a file without a name, and begin anew; where `can_restart`."""
        assert isinstance(self._place, UnfinishedFile)
        self.flush()
        with self._guard:
            return self._place.restart()

    def finish(self) -> str | None:
        """Write the rest and give the file its name; return another if that one is taken, or not all could be written.

        What a write met is `broken` and not raised again; OSError if the whole cannot be made durable.
        """
        if self._ended:
            return None
        self._ended = True
        with suppress(OSError):
            self.flush()
            if self._compressor is not None:
                with self._guard:
                    self._send(self._compressor.flush())
        return self._place.finish()

    def discard(self) -> None:
        """Forget everything: nothing was called, so there is nothing to keep."""
        if not self._ended:
            self._ended = True
            self._place.discard()

    def _send(self, data: bytes) -> None:
        try:
            if data:
                self._place.write(data)
        except OSError as error:
            self.broken = error
            raise

    def __repr__(self) -> str:
        return f"<Output {self.name}, {len(self._taken):,} bytes waiting>"


class Descriptor:
    """A pipe, a terminal, a device: what is written is gone; nothing to finish."""

    def __init__(self, descriptor: int, *, owned: bool = False) -> None:
        self._descriptor = descriptor
        self._owned = owned

    def write(self, data: bytes) -> None:
        """Write all of it, however often that takes."""
        write_all(self._descriptor, data)

    def finish(self) -> None:
        """Close it, if it was opened for us."""
        if self._owned:
            os.close(self._descriptor)

    discard = finish


class UnfinishedFile:
    """A file under a name of its own until it is finished: that of the process, something random, and that of the run.

    A run that can be resumed removes what it left when it was killed (see `sweep`), since it writes all again.
    """

    def __init__(self, path: str, *, overwrite: bool, run: str | None = None) -> None:
        self._path = os.path.realpath(path)  # a symbolic link stays one
        self._overwrite = overwrite
        self._ending = ".part" if run is None else f".{run}.part"
        self.part: str = ""
        """Its name until then."""
        self._descriptor = -1
        self._broken = False

    def open(self) -> UnfinishedFile:
        """Create it; OSError if the folder is missing or closed to us."""
        start = f"{self._path}.{os.getpid()}"
        self._descriptor, self.part = create_beside(start, self._ending, mode=0o666)
        with suppress(OSError):
            os.fchmod(self._descriptor, stat.S_IMODE(os.stat(self._path).st_mode))  # the replaced file's
        return self

    def restart(self) -> BinaryIO:
        """Return what was written, as a file that has lost its name, and begin anew."""
        written, name = os.open(self.part, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)), self.part
        os.close(self._descriptor)
        self._descriptor = -1
        self.open()
        os.unlink(name)
        return os.fdopen(written, "rb")

    def write(self, data: bytes) -> None:
        """Write all of it."""
        try:
            write_all(self._descriptor, data)
        except OSError:
            self._broken = True
            raise

    def finish(self) -> str | None:
        """Make it durable and rename it; return the name it keeps if it is not whole, or the final one is taken."""
        try:
            if not self._broken:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
        if self._broken:
            return self.part
        if self._overwrite:
            os.replace(self.part, self._path)
            return None
        try:
            os.link(self.part, self._path)  # unlike a rename it fails where there is a file
        except FileExistsError:
            return self.part
        except OSError:  # a file system without links
            if os.path.exists(self._path):
                return self.part
            os.rename(self.part, self._path)
            return None
        os.unlink(self.part)
        return None

    def give_up(self) -> None:
        """Have it keep the name that it has now: it is not what was meant to have the final one."""
        self._broken = True

    def discard(self) -> None:
        """Remove it."""
        os.close(self._descriptor)
        with suppress(OSError):
            os.unlink(self.part)


def sweep(path: str, run: str) -> None:
    """Remove what killed processes left unfinished of a run that can be resumed."""
    for part in _parts(path, f".{run}.part"):
        with suppress(OSError):
            os.unlink(part)


def leftovers(path: str) -> list[str]:
    """Name what killed processes left unfinished of runs that cannot be resumed: it may be all there is of them."""
    return sorted(_parts(path, ".part"))


def _parts(path: str, ending: str) -> Iterator[str]:
    import glob  # loaded when used: most output goes to a pipe

    path = os.path.realpath(path)
    for part in glob.glob(f"{glob.escape(path)}.*{glob.escape(ending)}"):
        number, _, random = part[len(path) + 1 : -len(ending)].partition(".")
        if number.isdigit() and random.isalnum() and not _is_alive(int(number)):
            yield part


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        pass
    return True


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, also where somebody made the descriptor non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
