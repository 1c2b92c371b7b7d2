"""Ctrl-Z and `fg`: a command that was stopped goes on at its rate, and makes up for nothing."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "waitid") or sys.platform != "linux", reason="looks into /proc")

CALLS = """
import time

def call(item):
    with open("starts", "a") as log:
        log.write(f"{time.monotonic()}\\n")
    time.sleep(0.4)
    return item
"""
COMMAND = [sys.executable, "-m", "whilst.cli.main"]
RATE = 20


@pytest.mark.slow
@pytest.mark.parametrize(("by", "as_flow"), [("ctrl-z", False), ("kill", True)])
def test_after_a_stop_it_goes_on_at_its_rate(tmp_path: Path, by: str, as_flow: bool) -> None:
    (tmp_path / "calls.py").write_text(CALLS + (FLOW if as_flow else ""))
    (tmp_path / "inputs.txt").write_text("".join(f"{n}\n" for n in range(10_000)))
    target = (
        ["run", "calls:flow", "inputs.txt"]
        if as_flow
        else ["map", "calls:call", "inputs.txt", "--rate", f"{RATE}/s", "-j", "8"]
    )
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *target, "-o", "out.jsonl"],
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        preexec_fn=_lead,
    )
    os.close(terminal)
    os.set_blocking(master, False)
    try:
        _wait(master, lambda: len(_starts(tmp_path)) >= 20)
        if by == "ctrl-z":
            os.write(master, b"\x1a")
        else:
            os.kill(process.pid, signal.SIGTSTP)
        _wait(master, lambda: _state(process.pid) == "T")
        before = len(_starts(tmp_path))
        time.sleep(2)
        assert len(_starts(tmp_path)) == before
        went_on = time.monotonic()
        os.kill(process.pid, signal.SIGCONT)
        _wait(master, lambda: len(_starts(tmp_path)) >= before + 20)
        after = _starts(tmp_path)[before:]
        assert after[0] >= went_on
        # 8 calls of 0.4 s each are 20 a second, as the rate is; what was in flight comes back all at once
        assert len([at for at in after if at < after[0] + 0.1]) <= 5, after
        if not as_flow:  # whose inputs wait inside by the hundred
            os.kill(process.pid, signal.SIGINT)
            _wait(master, lambda: process.poll() is not None)
    finally:
        process.kill()
        process.wait()
        os.close(master)


FLOW = """
import whilst
flow = whilst.step(call, rate="20/s", concurrency=8)
"""


def _lead() -> None:
    os.setsid()
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _starts(folder: Path) -> list[float]:
    try:
        return [float(line) for line in (folder / "starts").read_text().splitlines()]
    except (OSError, ValueError):
        return []


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _wait(master: int, until: Callable[[], bool]) -> None:
    ends, said = time.monotonic() + 40, b""
    while not until():
        with contextlib.suppress(OSError):
            said += os.read(master, 65536)
        assert time.monotonic() < ends, f"it does not come to that; it says {said[-2000:]!r}"
        time.sleep(0.01)
