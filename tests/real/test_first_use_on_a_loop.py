"""The first run on a loop does not hold it up with imports: what is large is loaded on a thread, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, sys, threading
import whilst

on_loop, beside, main_thread = set(), set(), threading.get_ident()

def hook(event, args):
    if event == "import" and args[0].startswith("whilst."):
        (on_loop if threading.get_ident() == main_thread else beside).add(args[0])

async def double(n):
    return 2 * n

def triple(n):
    return 3 * n

async def main():
    sys.addaudithook(hook)
    ticks, over = 0, False

    async def tick():
        nonlocal ticks
        while not over:
            ticks += not hasattr(sys.modules.get("whilst.engine.driver"), "Driver")
            await asyncio.sleep(0)

    ticker = asyncio.ensure_future(tick())
    value = await FORM
    over = True
    await ticker
    print(json.dumps([value, sorted(on_loop), sorted(beside), ticks]))

asyncio.run(main())
"""

FORMS = {
    "map": ("whilst.map(double, [1, 2])", [2, 4]),
    "map of a blocking function": ("whilst.map(triple, [1, 2])", [3, 6]),
    "flow": ("whilst.sequence(double, triple).aio(2)", 12),
    "map of a flow": ("whilst.map(whilst.sequence(double, triple), [2])", [12]),
    "stream": ("anext(aiter(whilst.sequence(range, whilst.each(triple)).stream(2)))", 0),
    "retry and rate": ("whilst.map(double, [1], retry=2, rate='100/s')", [2]),
    "journal": ("whilst.map(double, [1, 2], journal='first.db')", [2, 4]),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_the_engine_is_loaded_beside_the_loop(form: str, tmp_path: Path) -> None:
    text, expected = FORMS[form]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.replace("FORM", text)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    value, on_loop, beside, ticks = json.loads(done.stdout)
    assert value == expected
    heavy = ("whilst.engine.book", "whilst.engine.gate", "whilst.lanes.loop", "whilst.lanes.threads")
    assert set(heavy) <= {*beside}
    assert not [name for name in on_loop if name in heavy and name not in beside]
    assert not [name for name in on_loop if name.startswith(("whilst.journal.opening", "whilst.journal.parts"))]
    assert ticks > 0  # the loop went on meanwhile
