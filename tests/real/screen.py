"""A terminal of so many columns, for what a program writes to one: what is on its screen and above it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence

PATIENCE = 50.0
_TOKEN = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]|\x1b.|[\r\n]|[^\x1b\r\n]", re.DOTALL)


class Screen:
    """Lines of text, with a cursor; it knows what progress is drawn with, and wraps as terminals do: late."""

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0

    @property
    def lines(self) -> list[str]:
        """What can be read, without what was wiped."""
        found = [row.rstrip() for row in self.rows]
        while found and not found[-1]:
            found.pop()
        return found

    def feed(self, text: str) -> None:
        for token in _TOKEN.findall(text):
            if token == "\n":
                self._down()
            elif token == "\r":
                self.column = 0
            elif token[0] == "\x1b":
                self._act(token)
            else:
                self._put(token)

    def _act(self, token: str) -> None:
        if token == "\x1b[K":
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif token == "\x1b[J":
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]
        elif found := re.fullmatch(r"\x1b\[(\d*)A", token):
            self.row = max(0, self.row - int(found[1] or 1))
        elif not re.fullmatch(r"\x1b\[[0-9;]*m", token):
            raise AssertionError(f"the terminal was told {token!r}")

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._down()
            self.column = 0
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
        self.column += 1


class Pty:
    """A program whose stderr, and what else is wanted, is a terminal."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        stdout: int | None = None,
        typed: bool = False,
        **more: object,
    ) -> None:
        self.screen = Screen(columns)
        self.written = ""
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.OPOST  # what was written, as it was
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        environment = {**os.environ, "TERM": "xterm", **(more.pop("env", None) or {})}  # type: ignore[dict-item]
        self.process = subprocess.Popen(
            command,
            stdin=slave if typed else subprocess.DEVNULL,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env=environment,
            start_new_session=True,
            **more,  # type: ignore[call-overload]
        )
        os.close(slave)

    def read_until(self, condition: Callable[[], bool]) -> None:
        """Read what comes until it is so, or the program has ended."""
        ends = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < ends, self.written
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # nobody has it open any more
                return
            if not piece:
                return
            text = piece.decode()
            self.written += text
            self.screen.feed(re.sub("(?<!\r)\n", "\r\n", text))

    def type(self, text: str) -> None:
        """Type it, where standard input is the terminal, too."""
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        """Take the terminal away."""
        os.close(self._master)
        self._master = -1

    def end(self) -> int:
        """Read all and return the exit code."""
        self.read_until(lambda: False)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Pty:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        if self._master >= 0:
            os.close(self._master)
