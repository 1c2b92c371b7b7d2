"""Memory does not grow with the number of inputs, measured in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import asyncio, json, resource, sys, time
import whilst

def peak():  # KiB
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

async def same(x):
    return x

def plain(x):
    return x

def feed(count):
    for i in range(count):
        yield bytes(1000)

def take(fn, count, every=0):
    taken = 0
    for _ in whilst.map(fn, feed(count), concurrency=100):
        taken += 1
        if every and taken % every == 0:
            time.sleep(0.0005)
    assert taken == count

fn = {"async": same, "blocking": plain}[sys.argv[1]]
count, every = int(sys.argv[2]), int(sys.argv[3])
take(fn, 20_000, every)
before = peak()
take(fn, count, every)
print(json.dumps(peak() - before))
"""


def growth(tmp_path: Path, *arguments: object) -> float:
    """Return by how many MiB the peak grew while `count` inputs of 1 kB each went through."""
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    run = [sys.executable, str(script), *map(str, arguments)]
    return json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout) / 1024


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]


def test_a_million_inputs_of_a_kilobyte_from_a_generator_need_no_more_than_twenty_thousand(tmp_path: Path) -> None:
    assert growth(tmp_path, "async", 1_000_000, 0) < 8


@pytest.mark.parametrize(("colour", "count"), [("async", 200_000), ("blocking", 60_000)])
def test_a_slow_consumer_does_not_pile_up_results(colour: str, count: int, tmp_path: Path) -> None:
    assert growth(tmp_path, colour, count, 100) < 8
