"""One batch after the other, with the garbage collector off: the memory is that of one batch, in every form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BATCH = 64  # MiB

MEASURE = """
import asyncio, gc, resource, sys
import whilst

gc.disable()

async def length(x):
    return len(x)

async def a_for(docs):
    async for _ in whilst.map(length, docs):
        pass

async def a_list(docs):
    await whilst.map(length, docs)

async def a_outcomes(docs):
    async for _ in whilst.map(length, docs).outcomes():
        pass

async def plain(take, docs):
    await asyncio.to_thread(take, docs)

def p_for(docs):
    for _ in whilst.map(len, docs):
        pass

def p_list(docs):
    whilst.map(len, docs).list()

def p_outcomes(docs):
    whilst.map(len, docs).outcomes().list()

async def main():
    take = globals()[sys.argv[1]]
    for n in range(10):
        docs = ["x" * (8 << 20) for _ in range(8)]
        await (take(docs) if asyncio.iscoroutinefunction(take) else plain(take, docs))
        del docs
        await asyncio.sleep(0.05)
        if not n:
            first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first) // 1024)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize("form", ["a_for", "a_list", "a_outcomes", "p_for", "p_list", "p_outcomes"])
def test_ten_batches_take_the_memory_of_one(form: str, tmp_path: Path) -> None:
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    done = subprocess.run([sys.executable, str(script), form], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= BATCH
