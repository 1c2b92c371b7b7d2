"""How a contestant is measured: over inputs, by the memory it grows by, as a program that is started."""

import dataclasses
import importlib
import subprocess
import time
from array import array
from collections.abc import Callable, Mapping
from typing import Any

from bench.memory import peak_mib, resident_mib
from bench.model import WHILST, Contestant, Job, NotInstalledError, Sample, Unit

WARM_UP = 10  # inputs: what is loaded or started on first use is not part of the time


class WrongResultsError(Exception):
    """A contestant delivered something else than every result, in order where order is promised."""


async def async_noop(x: int) -> int:
    return x + 1


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


def started_process(command: list[str], env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=env)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"exit {done.returncode}: {last}")
    return done.stdout


def only(contestants: tuple[Contestant, ...], *names: str) -> tuple[Contestant, ...]:
    return tuple(contestant for contestant in contestants if contestant.name in names)


def paced(contestants: tuple[Contestant, ...], slow: Mapping[str, int]) -> tuple[Contestant, ...]:
    """All with the full number of inputs but those named: a wait's ramp must not be scaled along."""
    return tuple(dataclasses.replace(each, slow=slow.get(each.name, 1)) for each in contestants)


def no_job(job: Job) -> None:
    """Start-up is measured from outside: such a contestant has nothing to run."""


def starter(name: str, module: str) -> Contestant:
    return Contestant(name, no_job, needs=module, kind="whilst" if name == WHILST else "peer")


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
