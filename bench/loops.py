"""For how long does the caller's loop stand still when it uses whilst for the first time? In a fresh process."""

import sys
from statistics import median

from bench.measuring import no_job, started_process
from bench.model import Contestant, Sample

USES = {
    "map": "await whilst.map(double, [1, 2])",
    "flow": "await whilst.sequence(double, triple).aio(2)",
    "journal": "await whilst.map(double, [1, 2], journal=folder + '/first.db')",
    "limit": "async with whilst.Limit(concurrency=2, rate='100/s'): pass",
    "resource": "await whilst.map(asked, [1, 2], use={'session': whilst.resource(list, per='thread')})",
    "unblock": "await whilst.unblock(triple)(2)",
}
CONTESTANTS = tuple(Contestant(use, no_job, needs="whilst", kind="whilst") for use in USES)
PROGRAM = """
import asyncio, sys, tempfile, time
import whilst

async def double(n):
    return 2 * n

def triple(n):
    return 3 * n

def asked(n, session):
    return n

async def main():
    longest, over = 0.0, False

    async def tick():
        nonlocal longest
        last = time.perf_counter()
        while not over:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(0.01)
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        USE
    over = True
    await ticker
    sys.stdout.write(str(longest * 1e3))

asyncio.run(main())
"""


def longest_gap(contestant: Contestant, n: int) -> Sample:
    """Measure the longest time, in ms, between two turns of a task that only lets others go first."""
    program = PROGRAM.replace("USE", USES[contestant.name])
    gaps = [float(started_process([sys.executable, "-c", program])) for _ in range(n)]
    return Sample(n, median(gaps))
