"""A KeyboardInterrupt leaves a run, and the process, within two seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
WITHIN = 2.0  # seconds, of which the interpreter itself takes some tenths on a busy machine

HEAD = """
import asyncio, signal, sys, threading, time
import whilst

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with the signal ignored

count, guard = 0, threading.Lock()

def enter():
    global count
    with guard:
        count += 1
        if count == 64:
            print("all in", flush=True)

def sleep(x):
    enter()
    time.sleep(30)

async def nap(x):
    enter()
    try:
        await asyncio.sleep(30)
    finally:
        print("out" if x == 63 else "", end="", flush=True)

def report(run, began=time.monotonic):
    now = run.summary()
    print(f"done={now.done} abandoned={now.abandoned} in_flight={now.in_flight}", flush=True)
"""

PLAIN = """
run = whilst.map({fn}, range(1000), concurrency=64)
try:
    for _ in run{how}:
        pass
except KeyboardInterrupt:
    report(run)
    raise
"""

ASYNC = """
async def main():
    run = whilst.map({fn}, range(1000), concurrency=64)
    try:
        async for _ in run{how}:
            pass
    finally:
        report(run)
asyncio.run(main())
"""

AWAIT = """
async def main():
    await whilst.map({fn}, range(1000), concurrency=64)
asyncio.run(main())
"""


def interrupt(script: str, path: Path) -> tuple[float, str, str, int]:
    """Run a script, send SIGINT when it says that all are in, and return (seconds to the end, stdout, stderr, code)."""
    path.write_text(HEAD + script)
    with subprocess.Popen(
        [sys.executable, "-X", "dev", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "all in\n", process.communicate()
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            return time.monotonic() - began, out, err, process.returncode
        finally:
            process.kill()


@pytest.mark.parametrize("fn", ["sleep", "nap"])
@pytest.mark.parametrize("how", ["", ".outcomes()"])
@pytest.mark.parametrize("script", [PLAIN, ASYNC], ids=["plain", "async"])
def test_a_keyboard_interrupt_leaves_the_run_and_the_process(script: str, how: str, fn: str, tmp_path: Path) -> None:
    took, out, err, code = interrupt(script.format(fn=fn, how=how), tmp_path / "script.py")
    assert took < WITHIN
    abandoned = 64 if fn == "sleep" else 0
    assert out.endswith(f"done=True abandoned={abandoned} in_flight=0\n")
    assert out.startswith("out") == (fn == "nap")
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in err
    assert "Warning" not in err
    assert code == -signal.SIGINT


@pytest.mark.slow
@pytest.mark.parametrize("fn", ["sleep", "nap"])
def test_twelve_more_interrupts_all_leave_in_time(fn: str, tmp_path: Path) -> None:
    scripts = [PLAIN.format(fn=fn, how=""), AWAIT.format(fn=fn)]
    for i in range(6 * SOAK):
        took, _, err, code = interrupt(scripts[i % 2], tmp_path / "script.py")
        assert took < WITHIN, f"interrupt {i}"
        assert code == -signal.SIGINT, err


def test_a_run_in_a_late_exit_handler_does_not_hang(tmp_path: Path) -> None:
    """The handler was registered before the engine started, so it runs after the engine has been stopped."""
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, whilst\n"
        "atexit.register(lambda: print(whilst.map(str, [1, 2]).list()))\n"
        "whilst.map(str, [1]).list()\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=20, check=False)
    assert run.stdout == "['1', '2']\n" or "RuntimeError" in run.stderr
