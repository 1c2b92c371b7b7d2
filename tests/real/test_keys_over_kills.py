"""A call's key stays the same for an input however often the run is killed and resumed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

KILLS = 1000 if os.environ.get("WHILST_SOAK") else 12
INPUTS = 400

PROGRAM = f"""
import os, time, whilst

told = os.open("keys.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def pay(order):
    os.write(told, f"{{order}} {{whilst.current_call().key}}\\n".encode())
    time.sleep(0.02)
    return order

orders = [f"order-{{n % {INPUTS - 40}}}-{{n // {INPUTS - 40}}}" for n in range({INPUTS})]
whilst.map(pay, orders, journal="run.db", concurrency=8).list()
"""


@pytest.mark.slow
@pytest.mark.timeout(0 if "WHILST_SOAK" in os.environ else 120)
def test_keys_stay_over_kills(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    chance = random.Random(7)
    keys = tmp_path / "keys.txt"
    killed = 0
    while killed < KILLS:
        process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path)
        before = keys.stat().st_size if keys.exists() else 0
        ends = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < ends:
            if keys.exists() and keys.stat().st_size > before:  # it makes calls
                break
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.08))
        if process.poll() is None:
            process.kill()
            killed += 1
        else:  # all was done; some of it is done again, in a run of its own
            assert process.returncode == 0
            for name in ("run.db", "keys.txt", "run.db.tail", "run.db-wal", "run.db-journal"):
                (tmp_path / name).unlink(missing_ok=True)
        process.wait()
        _look(keys)
    subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True)
    assert len(_look(keys)) > 0


def _look(keys: Path) -> dict[str, set[str]]:
    """Return the keys of each input; AssertionError if one has two, or two inputs share one."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in keys.read_text().splitlines() if keys.exists() else ():
        order, _, key = line.partition(" ")
        if len(key) == 32:  # the last line may have been cut by the kill
            found[order].add(key)
    assert all(len(each) == 1 for each in found.values())
    assert len({next(iter(each)) for each in found.values()}) == len(found)
    return found
