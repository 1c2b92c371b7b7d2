"""A first use on a loop does not hold it up with imports: what is large is loaded on a thread, in a fresh process.

What is counted is what is imported on the thread of the loop. How long it takes, the row `first-use` of the bench says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAM = """
import asyncio, json, sys, threading
import whilst

on_loop, beside, main_thread = [], [], threading.get_ident()

def hook(event, args):
    if event == "import" and args[0] not in sys.modules:
        (on_loop if threading.get_ident() == main_thread else beside).append(args[0])

async def double(n):
    return 2 * n

def triple(n):
    return 3 * n

class Session:
    async def __aenter__(self):
        return self
    async def __aexit__(self, *error):
        pass

async def asked(n, session):
    return 2 * n

def asked_on_a_thread(n, session):
    return 3 * n

async def within(limit, error=None):
    try:
        async with limit:
            if error is not None:
                raise error
    except Exception:
        return "failed"
    return "in"

MADE

async def main():
    ticks, over = 0, False

    async def tick():
        nonlocal ticks
        while not over:
            ticks += not hasattr(sys.modules.get("whilst.engine.driver"), "Driver")
            await asyncio.sleep(0)

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(0)
    sys.addaudithook(hook)
    value = await FORM
    over = True
    await ticker
    print(json.dumps([value, on_loop, beside, ticks]))

asyncio.run(main())
"""


class Form(NamedTuple):
    """A first use."""

    awaited: str
    value: object
    made: str = ""
    """What a program makes when it begins, before there is a loop."""
    most: int = 30
    """Modules that may be loaded on the loop: those that look at the arguments of names that are first used there."""


RUNS = {
    "map": Form("whilst.map(double, [1, 2])", [2, 4]),
    "map of a blocking function": Form("whilst.map(triple, [1, 2])", [3, 6]),
    "flow": Form("flow.aio(2)", 12, "flow = whilst.sequence(double, triple)", most=2),
    "flow, made on the loop": Form("whilst.sequence(double, triple).aio(2)", 12, most=90),
    "map of a flow": Form("whilst.map(whilst.sequence(double, triple), [2])", [12], most=90),
    "stream": Form("anext(aiter(whilst.sequence(range, whilst.each(triple)).stream(2)))", 0, most=90),
    "retry and rate": Form("whilst.map(double, [1], retry=2, rate='100/s')", [2], most=90),
    "journal": Form("whilst.map(double, [1, 2], journal='first.db')", [2, 4], most=40),
    "resource": Form(
        "whilst.map(asked, [1, 2], use={'session': session})", [2, 4], "session = whilst.resource(Session, per='run')"
    ),
    "resource of threads": Form(
        "whilst.map(asked_on_a_thread, [1, 2], use={'session': session})", [3, 6],
        "session = whilst.resource(list, per='thread')",
    ),
    "adaptive": Form("whilst.map(double, [1, 2], concurrency='adaptive')", [2, 4], most=80),
}  # fmt: skip
SMALL = {
    "a limit in a block": Form("within(limit)", "in", "limit = whilst.Limit(concurrency=1, rate='100/s')", most=0),
    "an adaptive limit in a block": Form("within(limit)", "in", "limit = whilst.Limit(concurrency='adaptive')", most=0),
    "a block that fails": Form("within(limit, KeyError(1))", "failed", "limit = whilst.Limit(concurrency=1)", most=9),
    "unblock": Form("ask(2)", 6, "ask = whilst.unblock(triple)", most=0),
}


def used(form: Form, folder: Path) -> tuple[list[str], list[str], int]:
    """Return what was imported on the loop, what beside it, and how often it turned meanwhile."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.replace("FORM", form.awaited).replace("MADE", form.made)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    value, on_loop, beside, ticks = json.loads(done.stdout)
    assert value == form.value
    assert len(on_loop) <= form.most, on_loop
    return on_loop, beside, ticks


@pytest.mark.parametrize("form", RUNS)
def test_the_engine_is_loaded_beside_the_loop(form: str, tmp_path: Path) -> None:
    on_loop, beside, ticks = used(RUNS[form], tmp_path)
    heavy = ("whilst.engine.book", "whilst.engine.gate", "whilst.lanes.loop", "whilst.lanes.threads")
    assert set(heavy) <= {*beside}
    assert not [name for name in on_loop if name in heavy and name not in beside]
    assert not [name for name in on_loop if name.startswith(("whilst.journal.opening", "whilst.journal.parts"))]
    assert ticks > 0  # the loop went on meanwhile


@pytest.mark.parametrize("form", SMALL)
def test_what_needs_no_engine_is_whole_when_it_has_been_made(form: str, tmp_path: Path) -> None:
    _, beside, _ = used(SMALL[form], tmp_path)
    assert beside == []
