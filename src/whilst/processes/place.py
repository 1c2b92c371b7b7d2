"""What a worker writes and logs goes to its parent: to `sys.stdout`, `sys.stderr` and the loggers there."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from .frames import LOG, TEXT, frame

if TYPE_CHECKING:
    import logging

Send = Callable[[bytes], None]


def capture(send: Send) -> None:
    """Have all that is printed and logged here sent, line by line, from now on."""
    global _send
    _send = send
    sys.stdout = _stream(send, 1)
    sys.stderr = _stream(send, 2)


def look() -> None:
    """Have what is logged sent, if anybody here logs by now: to load that takes its time, and most functions do not."""
    global _logs
    if not _logs and "logging" in sys.modules:
        _logs = True
        from .logs import Forwarding

        sys.modules["logging"].root.addHandler(Forwarding(_log))
    flush()


def flush() -> None:
    """Send what was written since the last line ended."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # pyright: ignore[reportUnnecessaryComparison]
            try:
                stream.flush()
            except Exception:  # a function may have put anything there
                pass


def release() -> None:
    """Say what is left to say, and write to the real streams again."""
    global _send
    flush()
    _send = None
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


# -- private, in order of use -----------------------------------------------------------------------------------------

_send: Send | None = None
_logs = False


class _Raw(io.RawIOBase):
    def __init__(self, send: Send, number: int) -> None:
        self._send = send
        self._number = number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._send(frame(TEXT, bytes([self._number]) + bytes(data)))
        return len(data)

    def fileno(self) -> int:
        return self._number  # what writes there goes to where the parent writes, past its streams


def _stream(send: Send, number: int) -> IO[str]:
    raw = io.BufferedWriter(_Raw(send, number))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _log(record: logging.LogRecord) -> None:
    if _send is not None:
        _send(frame(LOG, pickle.dumps(record.__dict__, 5)))
