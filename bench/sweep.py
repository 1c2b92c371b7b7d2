"""`python -m bench.sweep`: what does a call cost as a run grows? Fails at a cliff; draws the curves of the site.

Each point is a process of its own, and the best of some rounds counts, in µs of CPU a call over all threads: what
others do on this machine is in the rest. A cliff is where the next point costs more than twice the last one, once more
when measured again, and more than twice what the same costs by hand, if that is measured too: 2,000 threads on two
cores are one of the interpreter.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import keys, machine
from bench.base import ROOT
from bench.contestants import bare_threads
from bench.memory import peak_mib, resident_mib
from bench.model import Job

CLIFF = 2.0  # times the cost of the point before
ROUNDS = 3
TIMEOUT = 300.0  # seconds for one point
PICTURES = ROOT / "docs" / "pictures"
DATA = PICTURES / "sweep.json"
WAIT = 0.050


Work = tuple[Callable[[], object], int]


@dataclass(frozen=True, slots=True)
class Point:
    """What one process measured: µs of CPU a call, seconds by the clock, MiB above what was resident before."""

    cpu: float
    seconds: float
    mib: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """One dimension in which a run grows; `work(size)` returns what is measured, and how many calls that makes."""

    name: str
    title: str
    sizes: tuple[int, ...]
    work: Callable[[int], Work]


# What is done at each size: inputs enough to be measured, and to be in steady state


async def yields(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


async def noop(x: int) -> int:
    return x


def wait(x: int) -> int:
    time.sleep(WAIT)
    return x + 1


def ignored(_: int) -> None:
    """Take a value."""


def mapped(fn: Callable[[int], Any], size: int, **how: Any) -> Callable[[], None]:
    """Map so many inputs, and leave the values."""

    def run() -> None:
        import whilst

        for _ in whilst.map(fn, range(size), **how):
            pass

    return run


def lanes(size: int) -> Work:
    count = max(100_000, 10 * size)
    return mapped(yields, count, concurrency=size), count


def threads(size: int) -> Work:
    count = 20 * size
    return mapped(wait, count, concurrency=size), count


def threads_by_hand(size: int) -> Work:
    count = 20 * size
    return lambda: bare_threads(Job(wait, list(range(count)), size, ignored)), count


def inputs(size: int) -> Work:
    return mapped(noop, size, concurrency=100), size


def journal(size: int) -> Work:
    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            mapped(noop, size, concurrency=100, journal=Path(folder, "run.db"))()

    return run, size


def keyed(size: int) -> Work:
    count = max(100_000, size)
    return lambda: keys.under_limit(size)(Job(noop, range(count), keys.AT_ONCE, ignored)), count


def width(size: int) -> Work:
    import whilst

    count = max(20, 40_000 // size)  # or what is measured is how a run of so many steps is set up
    flow = whilst.together(*[whilst.step(noop)] * size)
    return mapped(flow, count, concurrency=min(10, 10_000 // size)), count * size  # as many branches at once


def depth(size: int) -> Work:
    import whilst

    flow: Any = noop
    for _ in range(size):
        flow = whilst.sequence(noop, whilst.together(flow, noop), first)
    count = max(4, 20_000 // size)
    return mapped(flow, count, concurrency=10), count * (3 * size + 1)


async def first(values: tuple[int, ...]) -> int:
    return values[0]


def retries(size: int) -> Work:
    """Have as many inputs wait for their second attempt at the same time; the clock jumps over the waits."""
    import whilst
    from whilst.testing import run

    failed: set[int] = set()

    async def once(x: int) -> int:
        if x in failed:
            return x
        failed.add(x)
        raise ConnectionError

    async def main() -> None:
        retry = whilst.Retry(2, base=60, cap=60, budget=None, breaker=False)
        async for _ in whilst.map(once, range(size), concurrency=size, retry=retry, ordered=False):
            pass

    return lambda: run(main()), 2 * size


SWEEPS = (
    Sweep("lanes", "async calls in flight", (1, 10, 100, 1_000, 10_000), lanes),
    Sweep("threads", "threads, calls of 50 ms", (1, 10, 100, 1_000, 2_000), threads),
    Sweep("threads-by-hand", "threads by hand", (1, 10, 100, 1_000, 2_000), threads_by_hand),
    Sweep("inputs", "inputs", (10_000, 100_000, 1_000_000, 10_000_000), inputs),
    Sweep("journal", "inputs, with a journal", (1_000, 10_000, 100_000, 1_000_000), journal),
    Sweep("keys", "keys of a limit", (1, 10, 100, 1_000, 1_100, 10_000, 100_000, 1_000_000), keyed),
    Sweep("width", "branches of together", (2, 10, 100, 1_000, 10_000), width),
    Sweep("depth", "steps in one another", (1, 10, 100), depth),
    Sweep("retries", "retries that wait", (100, 1_000, 10_000, 100_000), retries),
)
FLOORS = {"threads": "threads-by-hand"}  # what is drawn beside, and is no cliff of ours

Curve = list[tuple[int, Point]]


def measured(sweep: Sweep, size: int) -> Point:
    """Measure in this process."""
    sweep.work(sweep.sizes[0])[0]()
    work, count = sweep.work(size)
    gc.collect()
    before, began, cpu = resident_mib(), time.perf_counter(), time.process_time()
    work()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    return Point(cpu / count * 1e6, seconds, max(0.0, peak_mib() - before))


def point(sweep: Sweep, size: int) -> Point:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "bench.sweep", "--point", sweep.name, str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    return Point(*json.loads(done.stdout.splitlines()[-1]))


def best_of(sweep: Sweep, size: int, rounds: int) -> Point:
    return min((point(sweep, size) for _ in range(rounds)), key=lambda it: it.cpu)


def curve_of(sweep: Sweep, most: int, rounds: int, tell: Callable[[str], None]) -> Curve:
    curve: Curve = []
    for size in sweep.sizes:
        if size > most:
            break
        best = best_of(sweep, size, rounds)
        if curve and best.cpu > CLIFF * curve[-1][1].cpu:  # others may have been busy all the time, which passes
            best = min(best, best_of(sweep, size, rounds), key=lambda it: it.cpu)
        curve.append((size, best))
        tell(f"{sweep.name:16} {size:>12,} {best.cpu:10.2f} µs {best.seconds:8.2f} s {best.mib:8.1f} MiB")
    return curve


def cliffs(name: str, curve: Curve, floor: Curve) -> Iterator[str]:
    """Say where the next point costs more than `CLIFF` times the last one a call, and the floor there, if there is one.

    >>> curve = [(1, Point(1, 0, 0)), (10, Point(5, 0, 0)), (100, Point(15, 0, 0))]
    >>> [*cliffs("threads", curve, [(10, Point(4, 0, 0)), (100, Point(5, 0, 0))])]
    ['threads: 5.00 µs a call at 10, 15.00 at 100, by hand 5.00']
    """
    by_hand = dict(floor)
    for (size, here), (larger, there) in pairwise(curve):
        least = by_hand.get(larger)
        if there.cpu > CLIFF * max(here.cpu, 0.0 if least is None else least.cpu):
            beside = "" if least is None else f", by hand {least.cpu:.2f}"
            yield f"{name}: {here.cpu:.2f} µs a call at {size:,}, {there.cpu:.2f} at {larger:,}{beside}"


def save(curves: dict[str, Curve]) -> None:
    facts = machine.facts()
    document = {
        "machine": f"{facts['cores']} cores, {facts['python']}, {facts['date'][:10]}, at {facts['commit']}",
        "curves": [
            {
                "name": sweep.name,
                "title": sweep.title,
                "floor": FLOORS.get(sweep.name),
                "points": [[size, round(it.cpu, 2)] for size, it in curves[sweep.name]],
            }
            for sweep in SWEEPS
            if sweep.name in curves
        ],
    }
    DATA.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    names = [sweep.name for sweep in SWEEPS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="these curves only")
    parser.add_argument("--most", type=int, default=10**9, metavar="N", help="no size above")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of which the best counts ({ROUNDS})")
    parser.add_argument("--draw", action="store_true", help="write the curves, and draw them for the site")
    parser.add_argument("--point", nargs=2, metavar=("NAME", "SIZE"), help="measure one in this process, as JSON")
    options = parser.parse_args()
    if options.point:
        name, size = options.point
        it = measured(next(sweep for sweep in SWEEPS if sweep.name == name), int(size))
        print(json.dumps([it.cpu, it.seconds, it.mib]))
        return 0
    if options.draw and (options.only or options.most < 10**9):
        parser.error("--draw shows a whole sweep: leave out --only and --most")
    began, curves, found = time.monotonic(), dict[str, Curve](), list[str]()
    for sweep in SWEEPS:
        if options.only and sweep.name not in options.only:
            continue
        try:
            curves[sweep.name] = curve_of(sweep, options.most, options.rounds, _tell)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            found.append(f"{sweep.name}: {error}")
            continue
    for name in curves.keys() - FLOORS.values():
        found += cliffs(name, curves[name], curves.get(FLOORS.get(name, ""), []))
    _tell(f"swept in {time.monotonic() - began:.0f} s")
    if options.draw:
        save(curves)
        subprocess.run([sys.executable, str(PICTURES / "draw.py")], check=True)
    for cliff in found:
        print(f"cliff: {cliff}", file=sys.stderr)
    return 1 if found else 0


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
