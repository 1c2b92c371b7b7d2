"""What is measured: one entry of WORKLOADS each, in the order of the tables.

A new workload is a `measure` function (`calls(...)` makes one of any "fn over inputs") and its entry.
"""

import asyncio
import dataclasses
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import (
    accounts,
    answers,
    commands,
    decorators,
    doctor,
    finished,
    flows,
    journals,
    keys,
    loops,
    moving,
    pictures,
    policies,
    processes,
    rates,
    refused,
    web,
    words,
)
from bench.contestants import ASYNC, OURS, THREADS
from bench.measuring import async_noop, calls, memory_growth, only, paced, started_process, starter
from bench.model import WHILST, Contestant, Job, NotInstalledError, Sample, Target, Workload, at
from bench.targets import above, at_most, percent_above, slowest, times, times_faster

STARTS = 5  # processes a child starts for one figure of start-up time
WAIT = 0.010
SECONDS = 3  # for which a rate is watched


# The functions: the result differs from the input, so that a call cannot be left out unnoticed


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
    return command_time(n, "--help")


def map_time(contestant: Contestant, n: int) -> Sample:
    """Milliseconds of wall time of `whilst map` over ten lines."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "jobs.py").write_text("async def same(x):\n    return x\n")
        Path(folder, "in.jsonl").write_text("".join(f"{x}\n" for x in range(10)))
        return command_time(n, "map", f"{folder}/jobs.py:same", f"{folder}/in.jsonl")


def command_time(n: int, *arguments: str) -> Sample:
    beside = Path(sys.executable).with_name("whilst")
    command = str(beside) if beside.exists() else shutil.which("whilst")
    if command is None:
        raise NotInstalledError("no whilst command")
    times = []
    for _ in range(n):
        started = time.perf_counter()
        started_process([command, *arguments])
        times.append((time.perf_counter() - started) * 1e3)
    return Sample(n, median(times))


# The list


BY_HAND = "threads by hand"
ASYNC_FOR = "whilst, async for"
# What bounds a row
LINES = "each key that is new, or was forgotten, has a throttle and a queue made for it in its limit"
WHOLE_SECONDS = "a Retry-After says whole seconds, and pauses the run for as long"
ROWS = "the outcome of every row: its place in the order, its record, its columns by name"
IMPORTS = "modules are loaded on a thread, which holds the interpreter while it makes their classes"
REQUESTS = "no single item: the outcome, the line of output, the checks of an answer"
ENGINE = "the engine itself: a generator, an await, a clock and a context for each call"
TWO_CORES = "on two cores a plain `for` and the loop's thread wait for each other's turn at the interpreter"
ANSWERS = "each answer is sent alone, so that a worker's death costs one call; a chunk has one answer for all"
LOCK = "the queue for the interpreter's lock: what happens on the call's own thread counts tenfold"
ASYNC_PEERS = tuple(contestant.name for contestant in ASYNC if contestant.kind == "peer")
STREAMABLE = ("streamable", "streamable, async for")
STREAMING = (*(ours.name for ours in OURS), "workers by hand", "gather + semaphore", *STREAMABLE)

WORKLOADS = (
    Workload(
        "async-noop", "async no-op, 100 in flight", "µs", 100_000, ASYNC,
        calls(async_noop, 100, "µs", 100_000),
        (
            at_most("at most 1.3 µs an input", 1.3, "µs", bound=ENGINE),
            Target(
                "`for` within 15 % and 0.2 µs of `async for`",
                lambda figures: at(figures) - 1.15 * at(figures, ASYNC_FOR), 0.2, "µs", bound=TWO_CORES,
            ),
            times_faster("5x faster than streamable", 5.0, *STREAMABLE),
            times_faster("faster than pyarallel", 1.0, "pyarallel"),
        ),
    ),
    Workload(
        "async-generator", "async no-op from a generator, 100 in flight", "µs", 100_000,
        only(ASYNC, *STREAMING, "aiostream"),
        calls(async_noop, 100, "µs", 100_000, generator=True),
        rounds=3,
    ),
    Workload(
        "async-yield", "async sleep(0), 100 in flight", "µs", 50_000, ASYNC,
        calls(async_yield, 100, "µs", 50_000),
        (
            at_most("at most 2.9 µs an input", 2.9, "µs", bound=TWO_CORES),
            times_faster("2.5x faster than the best peer", 2.5, *ASYNC_PEERS, bound=TWO_CORES),
        ),
    ),
    Workload(
        "async-wait", "async 10 ms wait, 1000 in flight (ideal 0.50 s)", "s", 50_000,
        paced(ASYNC, {"streamable": 2, "pyarallel": 2, "anyio.amap + limiter": 5, "aiometer": 5, "aiostream": 5}),
        calls(async_wait, 1000, "s", 50_000),
        (percent_above("within 12 % of workers by hand", 12.0, "workers by hand", bound=TWO_CORES),),
        quick=5,
    ),
    Workload(
        "lanes", "async sleep(0), 10,000 in flight", "µs", 100_000,
        only(ASYNC, "workers by hand", *(ours.name for ours in OURS), "streamable, async for"),
        calls(async_yield, 10_000, "µs", 100_000),
        (
            at_most("at most 6 µs an input", 6.0, "µs", bound="each of the lanes is a task that is started and ended"),
            Target(
                "10,000 lanes in at most 20 MiB", at, 20.0, "MiB", of="mib",
                bound="workers by hand take 16; a lane has a context of its own and a copy of it, so that what a call "
                "sets there ends with it",
            ),
        ),
    ),
    Workload(
        "thread-noop", "blocking no-op, 32 threads", "µs", 50_000, THREADS,
        calls(noop, 32, "µs", 50_000),
        (times_faster("5x faster than ThreadPoolExecutor.map", 5.0, "ThreadPoolExecutor.map"),),
    ),
    Workload(
        "thread-wait", "blocking 10 ms wait, 400 threads (ideal 0.50 s)", "s", 20_000,
        paced(THREADS, {"joblib, threading": 4, "anyio.to_thread": 8, "to_thread + gather": 80, "pyarallel": 2}),
        calls(wait, 400, "s", 20_000),
        (
            percent_above("at most 15 % above threads by hand", 15.0, BY_HAND, bound=LOCK),
            times("at most twice the CPU of threads by hand", 2.0, BY_HAND, of="cpu", bound=LOCK),
        ),
        quick=5,
    ),
    Workload(
        "thread-wait-100", "blocking 10 ms wait, 100 threads (ideal 0.80 s)", "s", 8_000,
        only(THREADS, BY_HAND, *(ours.name for ours in OURS), "ThreadPoolExecutor.map", "pyarallel"),
        calls(wait, 100, "s", 8_000),
        (times("at most twice the CPU of threads by hand", 2.0, BY_HAND, of="cpu", bound=LOCK),),
        quick=4,
    ),
    Workload(
        "process-noop", "no-op in two worker processes, with their start", "µs", 300_000, processes.IN_BATCHES,
        calls(processes.noop, processes.WORKERS, "µs", 300_000),
        (
            above("at most 4 µs above a bare map", 4.0, processes.BARE, "µs"),
            times_faster("10x faster than ProcessPoolExecutor.map, chunksize 1", 10.0, processes.CHUNK_OF_1),
            times_faster("faster than ProcessPoolExecutor.map at its best", 1.0, processes.BEST_CHUNK, bound=ANSWERS),
        ),
        rounds=3,
    ),
    Workload(
        "process-one", "no-op in two worker processes, one by one, with their start", "µs", 100_000, processes.SINGLY,
        calls(processes.noop, processes.WORKERS, "µs", 100_000),
        (above("at most 35 µs above a bare map", 35.0, processes.BARE, "µs"),),
        rounds=3,
    ),
    Workload(
        "process-turn", "no-op in a worker process, the next when the last has its value", "µs", 20_000,
        processes.IN_TURN,
        calls(processes.noop, 1, "µs", 20_000),
        (times_faster("faster than ProcessPoolExecutor.submit", 1.0, processes.SUBMIT),),
        rounds=3,
    ),
    Workload(
        "process-compute", "1 ms of CPU a call, two processes, with their start, 3 % of it (ideal 5.0 s)", "s", 10_000,
        processes.COMPUTING,
        calls(processes.compute, processes.WORKERS, "s", 10_000),
        (
            times_faster("1.8x a plain loop on two quiet cores", 1.8, processes.ALONE),
            times_faster(
                "faster than ProcessPoolExecutor.map at its best", 1.0, processes.BEST_OF_COMPUTING, bound=ANSWERS
            ),
        ),
        rounds=3,
        quick=2,
    ),
    Workload(
        "process-start", "two workers ready and gone, besides the imports of the user", "ms", 1, processes.STARTING,
        processes.start,
        (at_most("at most 150 ms", 150.0, "ms"),),
        rounds=3,
    ),
    Workload(
        "process-timeout", "how late the outcome of a call is whose worker is killed at its timeout", "ms", 1,
        processes.KILLING,
        processes.late,
        (at_most("at most 200 ms", 200.0, "ms"),),
        rounds=3,
    ),
    Workload(
        "memory", "memory over 1M inputs from a generator", "MiB", 1_000_000,
        (
            *only(ASYNC, "workers by hand", *(ours.name for ours in OURS), "streamable, async for"),
            *paced(only(ASYNC, "gather + semaphore"), {"gather + semaphore": 10}),
        ),
        memory_growth,
        (at_most("at most 8 MiB", 8.0, "MiB"),),
        rounds=1,
    ),
    Workload(
        "flow-leaves", "flow of depth 5, 9 no-op leaves an input, 100 inputs in flight (a leaf call)", "µs", 100_000,
        paced(flows.TREE, {"TaskGroups by hand": 4, "gather by hand": 4}),
        leaf_calls,
        (at_most("at most 6 µs a leaf call", 6.0, "µs"),),
        rounds=1,
    ),
    Workload(
        "flow-memory", "memory of that flow over 100,000 inputs, above 1,000", "MiB", 100_000,
        only(flows.TREE, WHILST),
        flow_growth,
        (at_most("at most 1 MiB: flat", 1.0, "MiB"),),
        rounds=1,
    ),
    Workload(
        "flow-call", "flow(value) from plain code, 9 no-op leaves", "ms", 500, flows.FLOW_CALL,
        call_time,
        (at_most("at most 1 ms with its leaves", 1.0, "ms"),),
        rounds=3,
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
                    1.3, "x", bound="each call that returns looks who waits for its permit, and passes it on: 0.3 µs",
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
    *(
        Workload(
            f"retry-decorator-{name}", f"what a decorator for retries adds to {title} that goes well", "µs", 330_000,
            decorators.CONTESTANTS,
            decorators.above_bare(fn),
            (Target("at most 1 µs a call", lambda figures: figures[WHILST], 1.0, "µs"),),
            rounds=2,
            quick=4,
        )
        for name, title, fn in (("plain", "a blocking no-op", noop), ("async", "an async no-op", async_noop))
    ),
    Workload(
        "current-call", "an async no-op that asks `current_call()`, CPU", "µs", 270_000, words.CONTESTANTS,
        words.difference(words.asked), (at_most("at most 0.4 µs a call", 0.4, "µs"),), quick=4,
    ),
    Workload(
        "step-limit", "what a limit on a step adds to an async no-op, CPU", "µs", 135_000, words.CONTESTANTS,
        words.difference(words.limited), (at_most("at most 3 µs a call", 3.0, "µs"),), quick=4,
    ),
    Workload(
        "share", "`share=True` over async no-ops, no two of them equal, CPU", "µs", 270_000, words.CONTESTANTS,
        words.difference(words.shared), (at_most("at most 1 µs an input", 1.0, "µs"),), quick=4,
    ),
    Workload(
        "logging-off", "async no-ops, one in ten tried again, which nobody logs, CPU", "µs", 45_000, words.CONTESTANTS,
        words.difference(words.logged), (at_most("not measurable: at most 0.1 µs", 0.1, "µs"),), quick=4,
    ),
    *(
        Workload(
            f"journal-{kind.replace(' ', '-')}", f"what a journal adds to an async no-op, {kind}, CPU", "µs", 80_000,
            journals.KEEPING,
            journals.above_bare(kind),
            (
                at_most(f"at most {limit} µs an input", limit, "µs", bound=journals.BOUND),
                times_faster("faster than pyarallel's checkpoint", 1.0, journals.PYARALLEL),
            ),
            rounds=2,
            quick=4,
        )
        for kind, limit in (("int to int", 2.4), ("int to dict", 3.2), ("str to dict", 4.5), ("dict to dict", 6.0))
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
        "journal-ten-million", "memory of ten million inputs with a journal, at first and again", "MiB", 10_000_000,
        only(journals.CONTESTANTS, journals.BUFFERED),
        journals.memory,
        (Target("at most 200 MiB", lambda figures: figures[journals.BUFFERED], 200.0, "MiB"),),
        rounds=1,
        quick=20,
        patience=1200.0,
    ),
    Workload(
        "rate-call", "an async call under a limit of 100,000/s, CPU time", "µs", 100_000, rates.contestants(100_000),
        rates.cost,
        (at_most("at most 5 µs a call", 5.0, "µs"),),
        rounds=2,
        quick=4,
    ),
    *(
        Workload(
            f"rate-error-{rate}", f"how far a rate of {rate:,}/s is off over {SECONDS} s", "%", rate * SECONDS + 1,
            rates.contestants(rate),
            rates.error(rate),
            (at_most(f"within 1 % at {rate:,}/s", 1.0, "%"),),
            rounds=1,
            quick=5,
        )
        for rate in (10, 1_000, 50_000)
    ),
    Workload(
        "answers", "reading of an answer how many calls are left", "µs", 70_000, answers.CONTESTANTS,
        answers.cost,
        (Target("at most 2 µs an answer, of any API", lambda figures: max(figures.values()), 2.0, "µs"),),
        rounds=2,
        quick=4,
    ),
    Workload(
        "keys", "async no-op under a limit that holds for each key, CPU", "µs", 150_000, keys.CONTESTANTS, keys.cost,
        (
            at_most("at most 10 µs a call at 10,000 keys", 10.0, "µs", keys.named(10_000), bound=LINES),
            at_most("at most 15 µs at 100,000", 15.0, "µs", keys.named(100_000), bound=LINES),
            times("no step: 1,100 at most twice 1,000", 2.0, keys.named(1_000), keys.named(1_100), bound=LINES),
        ),
        quick=3,
    ),
    Workload(
        "refused", "150 names at 50 a second, retries alone (ideal 2.0 s)", "s", refused.NAMES, refused.CONTESTANTS,
        refused.time_and_refusals,
        (
            at_most("at most 2.4 s", 2.4, "s", bound=WHOLE_SECONDS),
            at_most("the worst at most 2.8 s", 2.8, "s", of="worst", bound=WHOLE_SECONDS),
            at_most("at most 25 refused", 25.0, "calls", of="other"),
            at_most("adaptive: the worst at most 2.8 s", 2.8, "s", refused.ADAPTIVE, of="worst", bound=WHOLE_SECONDS),
        ),
        quick=1,
    ),
    Workload(
        "jsonl", "`whilst map`, JSON lines in and out, async no-op (a row)", "µs", 300_000, commands.CONTESTANTS,
        commands.row("jsonl"),
        (
            at_most("at least 290,000 rows/s: at most 3.45 µs", 3.45, "µs", bound=ROWS),
        ),
        quick=3,
    ),
    Workload(
        "sqlite", "`whilst map`, JSON lines in, SQLite out (a row)", "µs", 100_000, commands.CONTESTANTS,
        commands.row("sqlite"),
        (
            at_most("at least 45,000 rows/s: at most 22.2 µs", 22.2, "µs", bound=ROWS),
            times("at most 6 times the CPU of the program by hand", 6.0, commands.BY_HAND, of="cpu", bound=ROWS),
        ),
        quick=3,
    ),
    Workload(
        "parquet", "`whilst map`, CSV in, Parquet out (a row)", "µs", 100_000, commands.CONTESTANTS,
        commands.row("parquet"),
        (
            at_most("at least 70,000 rows/s: at most 14.3 µs", 14.3, "µs", bound=ROWS),
            times("at most 6 times the CPU of the program by hand", 6.0, commands.BY_HAND, of="cpu", bound=ROWS),
        ),
        quick=3,
    ),
    Workload(
        "get-2000", "2,000 small JSON documents from nginx, 100 at once, start-up included", "s", 2_000,
        web.CONTESTANTS,
        web.fetching(2_000),
        (
            at_most("at most 0.4 s", 0.4, "s", bound=REQUESTS),
            at_most("at most 0.5 s without uvloop", 0.5, "s", web.WITHOUT_UVLOOP, bound=REQUESTS),
        ),
        quick=1,
    ),
    Workload(
        "get-20000", "20,000 small JSON documents from nginx, 100 at once, start-up included", "s", 20_000,
        web.CONTESTANTS,
        web.fetching(20_000),
        (
            times("at most 1.25 times the CPU of pyreqwest by hand", 1.25, web.RAW, of="cpu", bound=REQUESTS),
            times_faster("2x faster than an aiohttp script", 2.0, web.AIOHTTP),
            times_faster("20x faster than xargs -P 32 curl", 20.0, web.XARGS),
        ),
        rounds=3,
        quick=4,
    ),
    *(
        Workload(
            f"doctor-{name}", f"whilst doctor: {title}, longer than without", "%", n, contestants,
            doctor.added(program, time.process_time if name == "steps" else time.perf_counter),
            (Target(f"at most {limit} %", lambda figures: figures[WHILST], float(limit), "%"),),
            rounds=1,
            quick=4,
        )
        for name, title, n, program, limit, contestants in (
            ("steps", "60,000 empty steps, CPU", 60_000 * doctor.TURNS, doctor.empty_steps, 20, doctor.CONTESTANTS),
            ("waits", "twenty tasks that wait", 14_000, doctor.waits, 10, doctor.CONTESTANTS),
            ("tasks", "a thousand tasks that wait", 35_000, doctor.many_waits, 10, doctor.CONTESTANTS),
            ("threads", "eight threads that wait", 5_600, doctor.thread_waits, 10, doctor.CONTESTANTS[:2]),
        )
    ),
    *pictures.WORKLOADS,
    Workload(
        "import", "import, above `import asyncio`", "ms", STARTS,
        tuple(
            starter(module, module)
            for module in (WHILST, "streamable", "aiometer", "aiostream", "anyio", "joblib")
        ),
        import_time,
        (at_most("at most 18 ms", 18.0, "ms"),),
        rounds=1,
        quick=2,
    ),
    Workload(
        "help", "`whilst --help`, wall time", "ms", STARTS, (starter(WHILST, WHILST),),
        help_time,
        (at_most("at most 80 ms", 80.0, "ms"),),
        rounds=2,
        quick=2,
    ),
    Workload(
        "map-ten", "`whilst map` of ten lines, wall time", "ms", STARTS, (starter(WHILST, WHILST),),
        map_time,
        (at_most("at most 150 ms", 150.0, "ms"),),
        rounds=2,
        quick=2,
    ),
    Workload(
        "first-use", "the longest gap of the caller's loop at a first use", "ms", 1, loops.CONTESTANTS,
        loops.longest_gap,
        (
            Target("at most 10 ms, whatever is used", slowest, 10.0, "ms", bound=IMPORTS),
            Target("never more than 20 ms, whatever is used", slowest, 20.0, "ms", of="worst", bound=IMPORTS),
        ),
        quick=1,
    ),
    Workload(
        "limit-set", "from `limit.set(concurrency=6)` to six calls in flight, from two", "ms", 1, moving.CONTESTANTS,
        moving.more_room,
        tuple(at_most(f"at most 50 ms: {each.name}", 50.0, "ms", each.name) for each in moving.CONTESTANTS),
        rounds=3,
    ),
    Workload(
        "finished", "memory that 20 runs of 20 MiB leave behind, collector off", "MiB", 20, finished.CONTESTANTS,
        finished.kept,
        (at_most("at most 60 MiB", 60.0, "MiB"),),
        quick=2,
    ),
    Workload(
        "account", "no-ops: instructions of the account, or of the times of calls", "%", 20_000, accounts.CONTESTANTS,
        accounts.share,
        (at_most("at most 1 %", 1.0, "%", bound="a look at the clock and an addition for each change of the reason"),),
        rounds=1,
        quick=2,
    ),
    Workload(
        "summary", "`run.summary()` in a run, after 100,000 calls, CPU", "µs", 100_000, accounts.CONTESTANTS,
        accounts.summary_time,
        (at_most("at most 50 µs", 50.0, "µs"),),
        rounds=2,
    ),
)  # fmt: skip
