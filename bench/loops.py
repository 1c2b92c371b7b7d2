"""For how long does the caller's loop stand still when it uses whilst for the first time? In a fresh process.

`longest` measures one first use: by the clock for the bench; for a test by the CPU of the loop's thread beside what
importing asyncio took in the same process, because a busy machine lets a loop wait, and computes half as fast.
"""

import os
import sys
from typing import NamedTuple

from bench.measuring import no_job, started_process
from bench.model import Contestant, Sample

USES = {
    "map": "await whilst.map(double, [1, 2])",
    "map, blocking": "await whilst.map(triple, [1, 2])",
    "outcomes": "[outcome.index async for outcome in whilst.map(failing, [1, 2]).outcomes()]",
    "several": "await whilst.map(pow, [1, 2], [3, 4])",
    "spread": "await whilst.map(whilst.spread(pow), [(1, 2)])",
    "flow": "await whilst.sequence(double, triple).aio(2)",
    "together": "await whilst.together(a=double, b=triple).aio(2)",
    "first": "await whilst.first(double, triple).aio(2)",
    "fallback": "await whilst.fallback(double, triple).aio(2)",
    "map of a flow": "await whilst.map(whilst.sequence(double, triple), [1, 2])",
    "stages": "await whilst.sequence(range, whilst.each(double), whilst.batched(2), whilst.flatten()).aio(3)",
    "filter": "[n async for n in whilst.sequence(range, whilst.filter(double)).stream(3)]",
    "merge": "[n async for n in whilst.merge([1], [2])]",
    "step": "await whilst.step(double, retry=3, timeout=3.0).aio(2)",
    "rate of a step": "await whilst.step(double, rate='100/s', concurrency=3).aio(2)",
    "limit": "async with whilst.Limit(concurrency=2, rate='100/s'): pass",
    "limit of a map": "await whilst.map(double, [1, 2], limit=whilst.Limit(concurrency=2, by=str))",
    "rate": "await whilst.map(double, [1, 2], rate='100/s')",
    "adaptive": "await whilst.map(double, [1, 2], concurrency='adaptive')",
    "statistics": "limit = whilst.Limit(rate='9/s'); limit.statistics()",
    "learn_from": "async with whilst.Limit(concurrency=2): whilst.learn_from({'x-ratelimit-remaining': '3'})",
    "times": "await whilst.map(double, [1, 2], timeout=3.0, deadline=3.0)",
    "retry": "await whilst.map(failing, [1, 2], retry=whilst.Retry(attempts=3, base=0.0))",
    "retry, decorator": "await whilst.Retry(attempts=3, base=0.0)(failing)(2)",
    "transient": "whilst.transient(ConnectionError())",
    "share": "await whilst.map(double, [1, 2], share=True)",
    "resource": "await whilst.map(asked, [1, 2], use={'session': whilst.resource(list, per='thread')})",
    "unblock": "await whilst.unblock(triple)(2)",
    "block": "await asyncio.to_thread(whilst.block(double), 2)",
    "current_call": "await whilst.map(calling, [1, 2])",
    "process": "await whilst.map(abs, [1, 2], executor='process')",
    "process of a step": "await whilst.step(abs, executor='process').aio(2)",
    "journal": "await whilst.map(double, [1, 2], journal=folder + '/first.db')",
    "Journal": "await whilst.map(double, [1, 2], journal=whilst.Journal(folder + '/first.db'))",
    "trace": "await whilst.map(double, [1, 2], trace=folder + '/first.trace')",
    "report": "run = whilst.map(double, [1, 2]); await run; await asyncio.to_thread(run.report, folder + '/a.html')",
    "write": "await whilst.map(double, [1, 2]).awrite(folder + '/first.jsonl')",
    "write CSV": "await whilst.map(double, [1, 2]).awrite(folder + '/first.csv')",
    "write SQLite": "await whilst.map(double, [1, 2]).awrite('sqlite:///' + folder + '/first.db?table=t')",
    "rows": "await whilst.map(double, whilst.rows(folder + '/in.jsonl'))",
    "progress": "await whilst.map(double, [1, 2], progress=True)",
    "summary": "run = whilst.map(double, [1, 2]); await run; str(run.summary())",
    "http": "await asyncio.gather(whilst.http.aio.get_json('http://127.0.0.1:1/'), return_exceptions=True)",
    "otel": "whilst.otel.instrument(); await whilst.map(double, [1, 2])",
    "watch": "with whilst.watch(quiet=True): await whilst.map(double, [1, 2])",
    "doctor": "with whilst.doctor(quiet=True): await asyncio.sleep(0.01)",
}
LIBRARIES = {"http": "pyreqwest.client", "otel": "opentelemetry.trace"}  # which a program that uses them has loaded
CONTESTANTS = tuple(Contestant(use, no_job, needs="whilst", kind="whilst") for use in USES)
PROGRAM = """
import sys, time
used = time.thread_time()
import asyncio, tempfile
imported = time.thread_time() - used
import whilst
LIBRARY

async def double(n):
    return 2

def triple(n):
    return 3 * n

def asked(n, session):
    return n

def calling(n):
    return whilst.current_call().index

async def failing(n, before=set()):
    if n not in before:
        before.add(n)
        raise ConnectionError("reset")
    return n

async def main():
    longest, spent, over = 0.0, 0.0, False

    async def tick():
        nonlocal longest, spent
        last, used = time.perf_counter(), time.thread_time()
        while not over:
            await asyncio.sleep(0)
            now, uses = time.perf_counter(), time.thread_time()
            longest, last = max(longest, now - last), now
            spent, used = max(spent, uses - used), uses

    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/in.jsonl", "w") as file:
            file.write("1\\n2\\n")
        ticker = asyncio.ensure_future(tick())
        await asyncio.sleep(0.01)
        longest = spent = 0.0
        USE
        await asyncio.sleep(0)
        over = True
        await ticker
    print(longest * 1e3, spent * 1e3, spent / imported)

if __name__ == "__main__":
    asyncio.run(main())
"""


class Gap(NamedTuple):
    """The longest time between two turns of a task that only lets others go first, in ms."""

    wall: float
    cpu: float
    """Of the loop's thread."""
    share: float
    """Of that, of what it took to import asyncio, which computes the same things on the same machine."""


def longest(use: str) -> Gap:
    """Measure one first use, by its name in `USES`, or of a public name."""
    library = f"import {LIBRARIES[use]}" if use in LIBRARIES else ""
    program = PROGRAM.replace("USE", USES.get(use, f"whilst.{use}")).replace("LIBRARY", library)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as installed
    return Gap(*map(float, started_process([sys.executable, "-c", program], env).split()[-3:]))


def longest_gap(contestant: Contestant, n: int) -> Sample:
    """Measure by the clock, in a process of its own."""
    return Sample(n, longest(contestant.name).wall)
