"""`python -m bench.journal [N]`: what a journal costs, beside a run of its own: each figure in a process of its own.

Figures: outcomes a second through admit, add and commit; strict commits with 32 outcomes outstanding, beside the
bare syncs this disk does; the time and the memory of resuming.
"""

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bench.memory import peak_mib, resident_mib
from whilst.core.outcome import Record
from whilst.journal import Journal
from whilst.journal.ledger import Ledger

BATCH = 1024  # inputs a time, as a run with a builtin container admits them
LANES = 32


def double(x: int) -> int:
    return x * 2


def opened(path: Path, *, strict: bool = False, durable: Callable[[int], None] = lambda count: None) -> Ledger:
    journal = Journal(path, commit="strict" if strict else "buffered")
    ledger = journal._ledger(double, name="double", loop=asyncio.get_running_loop())
    ledger.attach(
        settled=lambda count, error: durable(count),
        broken=lambda error: sys.exit(str(error)),
        found=lambda: None,
        started=asyncio.get_running_loop().time(),
    )
    return ledger


async def admitted(ledger: Ledger, first: int, end: int) -> tuple[list[tuple[int, int]], list[Record]]:
    """Admit inputs as a run does, a slice a round; return those to call, and the records of the others."""
    inbox, calls, known = deque((i, i) for i in range(first, end)), list[tuple[int, int]](), list[Record]()
    while inbox or ledger.looking:
        some, records = ledger.admit(inbox, len(inbox))
        calls += some
        known += records
        await asyncio.sleep(0 if inbox or ledger.has_found else 0.00005)
    return calls, known


async def buffered(path: Path, n: int) -> str:
    ledger = opened(path)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, n, BATCH):
        calls, _ = await admitted(ledger, start, min(n, start + BATCH))
        for index, x in calls:
            ledger.add((index, x, x * 2, None, 0.1, 0.2, 1))
        while ledger.unwritten > 4_096:  # noqa: ASYNC110 - a driver reads on when it is told
            await asyncio.sleep(0.001)
    await ledger.flush()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    await ledger.close()
    size = os.stat(path).st_size / n
    return (
        f"buffered: {n / took:,.0f} outcomes/s, {took / n * 1e6:.2f} µs each, CPU {cpu / n * 1e6:.2f} µs, {size:.0f} B"
    )


async def strict(path: Path, n: int) -> str:
    told, done = 0, asyncio.Event()

    def durable(count: int) -> None:
        nonlocal told
        told += count
        done.set()

    ledger = opened(path, strict=True, durable=durable)
    began, given = time.perf_counter(), 0
    while told < n:
        room = min(n - given, LANES - (given - told))
        calls, _ = await admitted(ledger, given, given + room)
        for index, x in calls:
            ledger.add((index, x, x * 2, None, 0.1, 0.2, 1))
        given += room
        done.clear()
        await done.wait()
    took = time.perf_counter() - began
    await ledger.close()
    return f"strict, {LANES} outstanding: {n / took:,.0f} outcomes/s; {syncs(path):,.0f} bare syncs/s on this disk"


def syncs(path: Path, count: int = 200) -> float:
    fd = os.open(f"{path}.sync", os.O_WRONLY | os.O_CREAT)
    began = time.perf_counter()
    for _ in range(count):
        os.write(fd, b"x" * 4096)
        os.fdatasync(fd)
    os.close(fd)
    return count / (time.perf_counter() - began)


async def resume(path: Path, n: int) -> str:
    gc.collect()
    before, began, cpu = resident_mib(), time.perf_counter(), time.process_time()
    ledger = opened(path)
    loaded = time.perf_counter() - began
    for start in range(0, n, BATCH):
        calls, known = await admitted(ledger, start, min(n, start + BATCH))
        if calls or any(record[2] != record[0] * 2 for record in known):
            sys.exit("a wrong result")
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = (peak_mib() - before) * 1024 * 1024 / n
    await ledger.close()
    return (
        f"resume of {n:,}: {took:.2f} s (opening {loaded:.2f}), CPU {cpu:.2f} s, {grown:.0f} bytes an input at the peak"
    )


WORK = {"buffered": buffered, "strict": strict, "resume": resume}


def main(argv: list[str]) -> None:
    if len(argv) == 3:
        print(asyncio.run(WORK[argv[0]](Path(argv[1]), int(argv[2]))))
        return
    n = int(argv[0]) if argv else 1_000_000
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as directory:
        for name, file, count in (("buffered", "run.db", n), ("resume", "run.db", n), ("strict", "strict.db", n // 10)):
            command = [sys.executable, "-m", "bench.journal", name, f"{directory}/{file}", str(count)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
