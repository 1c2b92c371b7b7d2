"""What is measured: one entry of WORKLOADS each, in the order of the tables.

A new workload is a `measure` function (`calls(...)` makes one of any "fn over inputs") and its entry.
"""

import asyncio
import dataclasses
import importlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench import flows, journals, policies, rates, web
from bench.contestants import ASYNC, OURS, THREADS
from bench.memory import peak_mib, resident_mib
from bench.model import WHILST, Contestant, Figures, Job, NotInstalledError, Sample, Target, Unit, Workload

STARTS = 5  # processes a child starts for one figure of start-up time
WAIT = 0.010
SECONDS = 5  # for which a rate is watched
WARM_UP = 10  # inputs: what is loaded or started on first use is not part of the time


class WrongResultsError(Exception):
    """A contestant delivered something else than every result, in order where order is promised."""


# The functions: the result differs from the input, so that a call cannot be left out unnoticed


async def async_noop(x: int) -> int:
    return x + 1


async def async_yield(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


async def async_wait(x: int) -> int:
    await asyncio.sleep(WAIT)
    return x + 1


def noop(x: int) -> int:
    return x + 1


def wait(x: int) -> int:
    time.sleep(WAIT)
    return x + 1


# Measuring


def calls(
    fn: Callable[[int], Any], concurrency: int, unit: Unit, full: int, *, generator: bool = False
) -> Callable[[Contestant, int], Sample]:
    """Measure `fn` over n inputs: µs an input, or s for `full` inputs."""

    def measure(contestant: Contestant, n: int) -> Sample:
        inputs = list(range(n))
        values = array("q")  # eight bytes a result, so that what is kept hardly counts as memory
        baseline = resident_mib()
        warm_up(contestant, fn, concurrency)
        source = (x for x in inputs) if generator else inputs
        started, cpu = time.perf_counter(), time.process_time()
        contestant.run(Job(fn, source, concurrency, values.append))
        took, cpu = time.perf_counter() - started, time.process_time() - cpu
        mib = peak_mib() - baseline
        found = list(values) if contestant.ordered else sorted(values)
        if found != list(range(1, n + 1)):
            raise WrongResultsError(f"{contestant.name}: {len(found)} results for {n} inputs, or their order")
        return Sample(n, took / n * (1e6 if unit == "µs" else full), mib, cpu / n * 1e6)

    return measure


def warm_up(contestant: Contestant, fn: Callable[[int], Any], concurrency: int) -> None:
    values: list[int] = []
    contestant.run(Job(fn, list(range(WARM_UP)), concurrency, values.append))


def memory_growth(contestant: Contestant, n: int) -> Sample:
    """MiB above what is resident after the imports, while n inputs of a generator go by."""
    count = checksum = 0

    def take(value: int) -> None:
        nonlocal count, checksum
        count += 1
        checksum += value * count if contestant.ordered else value

    baseline = resident_mib()
    contestant.run(Job(async_noop, (x for x in range(n)), 100, take))
    grown = peak_mib() - baseline
    expected = sum(x * x for x in range(1, n + 1)) if contestant.ordered else n * (n + 1) // 2
    if (count, checksum) != (n, expected):
        raise WrongResultsError(f"{contestant.name}: {count} results for {n} inputs, or their order")
    return Sample(n, grown, grown)


def leaf_calls(contestant: Contestant, n: int) -> Sample:
    """Measure µs a leaf call of the tree in `flows`."""
    sample = calls(async_noop, 100, "µs", n)(contestant, n)
    return dataclasses.replace(sample, figure=sample.figure / flows.LEAVES)


def flow_growth(contestant: Contestant, n: int) -> Sample:
    """MiB above what is resident after a thousand inputs, while n go through the tree in `flows`."""
    contestant.run(Job(async_noop, range(1000), 100, lambda _: None))
    return memory_growth(contestant, n)


def call_time(contestant: Contestant, n: int) -> Sample:
    """Milliseconds of one call of the tree in `flows` from plain code."""
    sample = calls(noop, 1, "µs", n)(contestant, n)
    return dataclasses.replace(sample, figure=sample.figure / 1000)


def rows_a_second(contestant: Contestant, n: int) -> Sample:
    """µs a row of `whilst map`, JSON lines in, a function that does nothing, JSON lines out.

    The time is the one that the command itself reports, from the first row to the last; the CPU is that of the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "jobs.py").write_text("async def same(x):\n    return x\n")
        with open(Path(folder, "in.jsonl"), "w") as file:
            file.writelines(f'{{"id": {x}, "name": "row number {x}", "x": 1.5}}\n' for x in range(n))
        code = "import sys; from whilst.cli.main import run; sys.exit(run(sys.argv[1:]))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(it or "." for it in sys.path)}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code, "map", "jobs:same", "in.jsonl", "-o", "out.jsonl"],
            cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(Path(folder, "out.jsonl"), "rb") as file:
            count = sum(1 for _ in file)
    rate = re.search(r"([\d,]+)/s", done.stderr)
    if count != n or rate is None:
        raise WrongResultsError(f"{contestant.name}: {count} rows for {n}: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(n, 1e6 / int(rate[1].replace(",", "")), cpu=cpu / n * 1e6)


def import_time(contestant: Contestant, n: int) -> Sample:
    """Milliseconds of `import <module>` in a fresh interpreter that has imported asyncio.

    whilst loads its names at first use, so the name that everybody uses is part of it.
    """
    module = contestant.needs
    use = f"import {module}; {module}.map" if module == "whilst" else f"import {module}"
    code = (
        "import asyncio, time, sys; t = time.perf_counter(); "
        f"{use}; sys.stdout.write(str((time.perf_counter() - t) * 1e3))"
    )
    times = [float(started_process([sys.executable, "-c", code])) for _ in range(n)]
    return Sample(n, median(times))


def help_time(contestant: Contestant, n: int) -> Sample:
    """Milliseconds of wall time of `whilst --help`."""
    beside = Path(sys.executable).with_name("whilst")
    command = str(beside) if beside.exists() else shutil.which("whilst")
    if command is None:
        raise NotInstalledError("no whilst command")
    times = []
    for _ in range(n):
        started = time.perf_counter()
        started_process([command, "--help"])
        times.append((time.perf_counter() - started) * 1e3)
    return Sample(n, median(times))


def started_process(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"exit {done.returncode}: {last}")
    return done.stdout


# Targets


def whilst_at_most(asked: str, limit: float, unit: str) -> Target:
    return Target(asked, lambda figures: figures[WHILST], limit, unit)


def times_faster(asked: str, limit: float, *peers: str) -> Target:
    """How many times the best of `peers` takes what whilst takes."""

    def ratio(figures: Figures) -> float:
        best = min(figures[peer] for peer in peers if peer in figures) if peers else 0.0
        return best / figures[WHILST]

    return Target(asked, ratio, limit, "x", at_least=True)


def percent_above(asked: str, limit: float, floor: str) -> Target:
    return Target(asked, lambda figures: (figures[WHILST] / figures[floor] - 1) * 100, limit, "%")


# The list


def only(contestants: tuple[Contestant, ...], *names: str) -> tuple[Contestant, ...]:
    return tuple(contestant for contestant in contestants if contestant.name in names)


def paced(contestants: tuple[Contestant, ...], slow: Mapping[str, int]) -> tuple[Contestant, ...]:
    """All with the full number of inputs but those named: a wait's ramp must not be scaled along."""
    return tuple(dataclasses.replace(each, slow=slow.get(each.name, 1)) for each in contestants)


def no_job(job: Job) -> None:
    """Start-up is measured from outside: such a contestant has nothing to run."""


def starter(name: str, module: str) -> Contestant:
    return Contestant(name, no_job, needs=module, kind="whilst" if name == WHILST else "peer")


ASYNC_PEERS = tuple(contestant.name for contestant in ASYNC if contestant.kind == "peer")
STREAMABLE = ("streamable", "streamable, async for")
STREAMING = (*(ours.name for ours in OURS), "workers by hand", "gather + semaphore", *STREAMABLE)

WORKLOADS = (
    Workload(
        "async-noop", "async no-op, 100 in flight", "µs", 100_000, ASYNC,
        calls(async_noop, 100, "µs", 100_000),
        (
            whilst_at_most("at most 2 µs an input", 2.0, "µs"),
            times_faster("5x faster than streamable", 5.0, *STREAMABLE),
        ),
    ),
    Workload(
        "async-generator", "async no-op from a generator, 100 in flight", "µs", 100_000,
        only(ASYNC, *STREAMING, "aiostream"),
        calls(async_noop, 100, "µs", 100_000, generator=True),
    ),
    Workload(
        "async-yield", "async sleep(0), 100 in flight", "µs", 50_000, ASYNC,
        calls(async_yield, 100, "µs", 50_000),
        (times_faster("2.5x faster than the best peer", 2.5, *ASYNC_PEERS),),
    ),
    Workload(
        "async-wait", "async 10 ms wait, 1000 in flight (ideal 0.50 s)", "s", 50_000,
        paced(ASYNC, {"streamable": 2, "anyio + limiter": 5, "aiometer": 5, "aiostream": 5}),
        calls(async_wait, 1000, "s", 50_000),
        (percent_above("within 12 % of workers by hand", 12.0, "workers by hand"),),
        quick=5,
    ),
    Workload(
        "thread-noop", "blocking no-op, 32 threads", "µs", 50_000, THREADS,
        calls(noop, 32, "µs", 50_000),
        (times_faster("5x faster than ThreadPoolExecutor.map", 5.0, "ThreadPoolExecutor.map"),),
    ),
    Workload(
        "thread-wait", "blocking 10 ms wait, 400 threads (ideal 0.50 s)", "s", 20_000,
        paced(THREADS, {"joblib, threading": 2, "anyio.to_thread": 4, "to_thread + gather": 40}),
        calls(wait, 400, "s", 20_000),
        (whilst_at_most("at most 0.60 s", 0.60, "s"),),
        quick=5,
    ),
    Workload(
        "memory", "memory over 1M inputs from a generator", "MiB", 1_000_000,
        (
            *only(ASYNC, "workers by hand", *(ours.name for ours in OURS), "streamable, async for"),
            *paced(only(ASYNC, "gather + semaphore"), {"gather + semaphore": 10}),
        ),
        memory_growth,
        (whilst_at_most("at most 8 MiB", 8.0, "MiB"),),
        rounds=1,
    ),
    Workload(
        "flow-leaves", "flow of depth 5, 9 no-op leaves an input, 100 inputs in flight (a leaf call)", "µs", 100_000,
        paced(flows.TREE, {"TaskGroups by hand": 4, "gather by hand": 4}),
        leaf_calls,
        (whilst_at_most("at most 6 µs a leaf call", 6.0, "µs"),),
        rounds=1,
    ),
    Workload(
        "flow-memory", "memory of that flow over 100,000 inputs, above 1,000", "MiB", 100_000,
        only(flows.TREE, WHILST),
        flow_growth,
        (whilst_at_most("at most 1 MiB: flat", 1.0, "MiB"),),
        rounds=1,
    ),
    Workload(
        "flow-call", "flow(value) from plain code, 9 no-op leaves", "ms", 500, flows.FLOW_CALL,
        call_time,
        (whilst_at_most("at most 1 ms with its leaves", 1.0, "ms"),),
        quick=2,
    ),
    Workload(
        "stages", "three stages of 10 ms waits, 100 in flight in each (ideal 1.02 s)", "s", 10_000, flows.STAGES,
        calls(async_wait, flows.STAGE, "s", 10_000),
        (percent_above("within 15 % of one stage alone", 15.0, flows.ONE_STAGE),),
        rounds=2,
        quick=2,
    ),
    Workload(
        "unblock", "await a blocking no-op, 1,000 at once", "µs", 40_000, flows.UNBLOCK,
        calls(noop, flows.AT_ONCE, "µs", 40_000),
        (times_faster("at most a quarter of asyncio.to_thread", 4.0, flows.TO_THREAD),),
        rounds=2,
        quick=2,
    ),
    *(
        Workload(
            f"policies-{name}", f"{title}, 100 in flight, under policies, over a bare run", "x", 165_000,
            policies.CONTESTANTS,
            policies.ratio(fn),
            (
                Target(
                    "retry, timeout and limit together: at most 1.3x bare", lambda figures: figures[policies.ALL_ON],
                    1.3, "x",
                ),
            ),
            rounds=1,
            quick=4,
        )
        for name, title, fn in (("noop", "async no-op", async_noop), ("yield", "async sleep(0)", async_yield))
    ),
    Workload(
        "timeout-cost", "what timeout= adds to an async no-op", "µs", 330_000,
        only(policies.CONTESTANTS, policies.TIMEOUT),
        policies.above_bare(async_noop),
        (Target("at most 0.2 µs a call", lambda figures: figures[policies.TIMEOUT], 0.2, "µs"),),
        quick=4,
    ),
    Workload(
        "journal", "async no-op with a journal, 100 in flight, whole run", "µs", 300_000,
        only(journals.CONTESTANTS, WHILST, journals.BUFFERED),
        calls(async_noop, 100, "µs", 300_000),
        (
            Target(
                "at most 3 µs an input above a bare run",
                lambda figures: figures[journals.BUFFERED] - figures[WHILST], 3.0, "µs",
            ),
            Target("at least 120,000 outcomes/s", lambda figures: figures[journals.BUFFERED], 8.3, "µs"),
        ),
    ),
    Workload(
        "journal-strict", "the same, each outcome durable before it is given, 32 in flight", "µs", 40_000,
        only(journals.CONTESTANTS, WHILST, journals.STRICT),
        calls(async_noop, 32, "µs", 40_000),
        (Target("at least 20,000 outcomes/s", lambda figures: figures[journals.STRICT], 50.0, "µs"),),
    ),
    Workload(
        "journal-resume", "a million inputs that are all done, an input", "µs", 1_000_000,
        only(journals.CONTESTANTS, journals.BUFFERED),
        journals.resume,
        (Target("a million in at most 4 s", lambda figures: figures[journals.BUFFERED], 4.0, "µs"),),
        rounds=2,
    ),
    Workload(
        "journal-memory", "memory of that resume", "MiB", 1_000_000,
        only(journals.CONTESTANTS, journals.BUFFERED),
        journals.resume_memory,
        (Target("at most 150 bytes an input", lambda figures: figures[journals.BUFFERED], 143.0, "MiB"),),
        rounds=1,
    ),
    Workload(
        "rate-call", "an async call under a limit of 100,000/s, CPU time", "µs", 100_000, rates.contestants(100_000),
        rates.cost,
        (whilst_at_most("at most 5 µs a call", 5.0, "µs"),),
        rounds=2,
        quick=4,
    ),
    *(
        Workload(
            f"rate-error-{rate}", f"how far a rate of {rate:,}/s is off over {SECONDS} s", "%", rate * SECONDS + 1,
            rates.contestants(rate),
            rates.error(rate),
            (whilst_at_most(f"within 1 % at {rate:,}/s", 1.0, "%"),),
            rounds=1,
            quick=5,
        )
        for rate in (10, 1_000, 50_000)
    ),
    Workload(
        "jsonl", "`whilst map`, JSON lines in and out, async no-op (a row)", "µs", 300_000, (starter(WHILST, WHILST),),
        rows_a_second,
        (whilst_at_most("at least 150,000 rows/s: at most 6.7 µs", 6.67, "µs"),),
        quick=3,
    ),
    Workload(
        "get-2000", "2,000 small JSON documents from nginx, 100 at once, start-up included", "s", 2_000,
        web.CONTESTANTS,
        web.fetching(2_000),
        (whilst_at_most("at most 0.5 s", 0.5, "s"),),
        quick=1,
    ),
    Workload(
        "get-20000", "20,000 small JSON documents from nginx, 100 at once, start-up included", "s", 20_000,
        web.CONTESTANTS,
        web.fetching(20_000),
        (
            times_faster("2x faster than an aiohttp script", 2.0, web.AIOHTTP),
            times_faster("20x faster than xargs -P 32 curl", 20.0, web.XARGS),
        ),
        rounds=3,
        quick=4,
    ),
    Workload(
        "import", "import, above `import asyncio`", "ms", STARTS,
        tuple(
            starter(module, module)
            for module in (WHILST, "streamable", "aiometer", "aiostream", "anyio", "joblib")
        ),
        import_time,
        (whilst_at_most("at most 25 ms", 25.0, "ms"),),
        rounds=1,
        quick=2,
    ),
    Workload(
        "help", "`whilst --help`, wall time", "ms", STARTS, (starter(WHILST, WHILST),),
        help_time,
        (whilst_at_most("at most 150 ms", 150.0, "ms"),),
        rounds=1,
        quick=2,
    ),
)  # fmt: skip


def load(contestant: Contestant) -> None:
    """Import what the contestant needs, so that neither time nor memory of it is measured."""
    if contestant.needs is None:
        return
    try:
        importlib.import_module(contestant.needs)
    except ModuleNotFoundError as error:
        if error.name == contestant.needs:
            raise NotInstalledError(contestant.needs) from error
        raise
