"""The doctor in a notebook: a cell that awaits is code of the kernel's loop, one that does not is a plain program."""

from __future__ import annotations

import subprocess
import sys

import pytest
from kernelkit import Kernel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PLAIN = """
import time, whilst
def ask(city):
    time.sleep(0.1)
    return len(city)
found = []
with whilst.doctor():
    for city in ["Rome", "Oslo", "Lima", "Accra", "Quito", "Bern"]:
        found.append(ask(city))
"""

AWAITS = """
import asyncio, time, whilst
async def ask(city):
    time.sleep(0.2)
    return len(city)
with whilst.doctor():
    await asyncio.gather(ask("Rome"), ask("Oslo"))
"""

RUNS = """
import asyncio, time, whilst
async def ask():
    time.sleep(0.3)
    await asyncio.sleep(0)
with whilst.doctor():
    asyncio.run(ask())
"""


def test_waits_of_a_plain_cell_could_overlap_and_hold_up_no_loop(kernel: Kernel) -> None:
    shown = kernel.run(PLAIN)
    said = shown.err + shown.out
    assert "whilst.map(ask, " in said
    assert "held the loop" not in said


def test_a_loop_that_a_cell_runs_itself_is_looked_at() -> None:
    """As in IPython at a terminal, where no loop runs meanwhile."""
    program = f"from IPython.core.interactiveshell import InteractiveShell as S\nS.instance().run_cell({RUNS!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "held the loop" in done.stdout + done.stderr
    assert "time.sleep" in done.stdout + done.stderr


def test_a_line_of_a_cell_that_awaits_held_the_loop(kernel: Kernel) -> None:
    shown = kernel.run(AWAITS)
    said = shown.err + shown.out
    assert "held the loop" in said
    assert "time.sleep" in said
