"""How does a recording lie in a file? A magic line, then blocks, each with its length and its CRC.

A run that is killed leaves whole blocks and perhaps the half of one, which is left out by who reads and cut off by who
goes on. What is damaged between whole blocks is left out, and said. Blocks of a kind that a reader does not know are
skipped, so that a later version may say more.
"""

from __future__ import annotations

import os
import re
import shlex
import zlib
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import BinaryIO, Final

from ..files import NO_HOME, at_home, open_regular

MAGIC: Final = b"whilst trace 1\n"
BEGIN: Final = b"run "  # JSON: `Beginning`
CALLS: Final = b"call"  # a chunk of calls of inputs; see `chunks`
STEPS: Final = b"step"  # a chunk of calls of one step of a flow
LOOK: Final = b"look"  # JSON: a list of numbers by name, as they were at a moment
EVENTS: Final = b"evnt"  # JSON: what happened, a list
NODES: Final = b"node"  # JSON: what is known of the steps of a flow so far
END: Final = b"end "  # JSON: the summary of a run that has ended
DAMAGE: Final = b""  # no block: so many bytes, in figures, that lie between two and are none
_BEGINS: Final = re.compile(b"|".join((BEGIN, CALLS, STEPS, LOOK, EVENTS, NODES, END)))
_HEAD = Struct("<4sII")  # kind, length, CRC of both and of what follows
MOST_DAMAGE: Final = 1000  # places that look like a block and are none
LARGEST: Final = 1 << 28  # bytes of a block that is believed


class NoTrace(ValueError):
    """A file that is no trace, or cannot be recorded to."""

    def __init__(self, fact: str, *, remedy: str = "") -> None:
        super().__init__(f"{fact}\n  try: {remedy}" if remedy else fact)
        self.fact: str = fact
        self.remedy: str = remedy


class Appender:
    """A trace that is written: opened and locked at once, closed at the end.

    Args:
        path: where; a new file, or a trace.
        goes_on: whether what is there stays, in front of this run.
    """

    def __init__(self, path: str, *, goes_on: bool) -> None:
        self._file = _opened(path)
        try:
            _lock(self._file, path)
            end = _end_of(self._file, path)
            self._file.truncate(end if goes_on else 0)
            self._file.seek(0, os.SEEK_END)
            if not self._file.tell():
                self._file.write(MAGIC)
        except BaseException:
            self._file.close()
            raise

    def write(self, kind: bytes, data: bytes) -> None:
        """Add a block; it survives the end of this process at once, and that of the machine soon."""
        self._file.write(b"".join((_HEAD.pack(kind, len(data), _crc(kind, data)), data)))

    def write_json(self, kind: bytes, said: object) -> None:
        """Add a block of JSON."""
        from .told import json_of  # loaded when used: a path is looked at on a caller's loop

        self.write(kind, json_of(said))

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            self._file.close()


def check_trace(given: object) -> str | None:
    """Return the path of the trace that a run shall leave; refuse what is none."""
    if given is None:
        return None
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(f'trace must be the name of a file, got {given!r}\n  try: trace="run.trace"')
    path = os.fspath(given)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f'trace must be the name of a file, got {path!r}\n  try: trace="run.trace"')
    check_path(path)
    return path


def check_path(path: str) -> None:
    """Refuse what cannot be recorded to; nothing is written.

    Raises:
        NoTrace: another kind of file is there, or no directory.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if at_home(path) != path:
        raise NoTrace(f'trace="{path}": {NO_HOME[0]}; {NO_HOME[1]}', remedy=f"trace=os.path.expanduser({path!r})")
    if not os.path.isdir(folder):
        raise NoTrace(f'trace="{path}": there is no directory {folder}', remedy=f"mkdir -p {shlex.quote(folder)}")
    if os.path.isdir(path):
        inside = os.path.join(path, "run.trace")
        raise NoTrace(f'trace="{path}" is a directory', remedy=f'trace="{inside}"')
    if os.path.exists(path):
        try:
            with open(open_regular(path), "rb") as file:
                _end_of(file, path, look=False)
        except OSError as error:
            raise NoTrace(f'trace="{path}" cannot be used: {error.strerror or error}') from None


def blocks(path: str) -> Iterator[tuple[bytes, bytes]]:
    """Give the kind and the content of each block, and how many bytes were left out before it, if any.

    Raises:
        NoTrace: the file is no trace, or of a later version.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        _check_magic(file.read(len(MAGIC)), path)
        for left_out, kind, data in _whole(file):
            if left_out:
                yield DAMAGE, str(left_out).encode()
            yield kind, data


def is_trace(path: str) -> bool:
    """Whether a file begins as a trace does, of whatever version."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)).startswith(MAGIC[:13])
    except OSError:
        return False


def is_recorded_to(path: str) -> bool:
    """Whether a run records to a file now, as far as this system can tell."""
    try:
        import fcntl

        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False


def _opened(path: str) -> BinaryIO:
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _lock(file: BinaryIO, path: str) -> None:
    """Refuse a file that another run records to."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise NoTrace(f"{path} is recorded to by another run", remedy="a trace= of its own for each run") from None


def _end_of(file: BinaryIO, path: str, *, look: bool = True) -> int:
    """Return where the last whole block ends; 0 for an empty file."""
    file.seek(0)
    first = file.read(len(MAGIC))
    if not first:
        return 0
    _check_magic(first, path)
    end = file.tell()
    if look:
        for _ in _whole(file):
            end = file.tell()
    return end


def _check_magic(first: bytes, path: str) -> None:
    if first == MAGIC:
        return
    if first[:13] == MAGIC[:13]:
        version = first[13:].decode("ascii", "replace").strip()
        raise NoTrace(
            f"{path} is a trace of version {version}, and this whilst reads version 1", remedy="a newer whilst"
        )
    raise NoTrace(f"{path} is there, and is not a trace of whilst", remedy="another name, such as run.trace")


def _whole(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    """Give each whole block from here on, behind how many bytes that are none; the file stands at its end meanwhile."""
    at, end = file.tell(), file.seek(0, os.SEEK_END)
    behind = at  # the block before
    tries = MOST_DAMAGE
    while at < end and tries:
        file.seek(at)
        block = _block(file)
        if block is not None:
            at = file.tell()
            yield at - behind - _HEAD.size - len(block[1]), *block
            behind = at
        else:
            tries -= 1
            at = _next_head(file, at + 1, end)


def _block(file: BinaryIO) -> tuple[bytes, bytes] | None:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, size, crc = _HEAD.unpack(head)
    if size > LARGEST:
        return None
    data = file.read(size)
    return (kind, data) if len(data) == size and _crc(kind, data) == crc else None


def _next_head(file: BinaryIO, at: int, end: int) -> int:
    """Return where a block may begin that is not longer than the file; its end if none does."""
    file.seek(at)
    rest = file.read()
    for found in _BEGINS.finditer(rest):
        head = rest[found.start() : found.start() + _HEAD.size]
        if len(head) == _HEAD.size and found.start() + _HEAD.size + _HEAD.unpack(head)[1] <= len(rest):
            return at + found.start()
    return end


def _crc(kind: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(kind + len(data).to_bytes(4, "little")))
