"""What does a journal cost a run, and how long does it take to go on? Whole runs, opening and closing included."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.memory import peak_mib, resident_mib
from bench.model import WHILST, Contestant, Job, Sample

BUFFERED = "whilst, journal="
STRICT = 'whilst, journal= with commit="strict"'


def with_journal(commit: str | None) -> Callable[[Job], None]:
    """Run a job with a new journal, or without one, on the caller's own loop."""

    def run(job: Job) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(map_all(job, None if commit is None else Path(folder, "run.db"), commit))

    return run


async def map_all(job: Job, path: Path | None, commit: Any) -> None:
    import whilst

    journal = None if path is None else whilst.Journal(path, commit=commit)
    take = job.take
    async for value in whilst.map(job.fn, job.inputs, concurrency=job.concurrency, journal=journal):
        take(value)


BARE = Contestant(WHILST, with_journal(None), needs="whilst", kind="whilst")
CONTESTANTS = (
    BARE,
    Contestant(BUFFERED, with_journal("buffered"), needs="whilst", kind="whilst"),
    Contestant(STRICT, with_journal("strict"), needs="whilst", kind="whilst"),
)


def resume(contestant: Contestant, n: int) -> Sample:
    """Seconds for inputs that are all done, from opening to the last value; `mib` while that goes on.

    The first run is in a process of its own, so that its memory does not count: `other` is how many MiB that was.
    """
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.db")
        command = [sys.executable, "-m", "bench.journals", str(path), str(n)]
        first = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        baseline = resident_mib()
        started, cpu = time.perf_counter(), time.process_time()
        count = fill(path, n)
        took, cpu = time.perf_counter() - started, time.process_time() - cpu
        mib = peak_mib() - baseline
    if count:
        raise RuntimeError(f"{contestant.name}: {count} of {n} were called again")
    return Sample(n, took / n * 1e6, mib, cpu / n * 1e6, other=first)


def memory(contestant: Contestant, n: int) -> Sample:
    """MiB that a first run grows by, or the run that resumes it if that is more, above what is resident before."""
    sample = resume(contestant, n)
    most = max(sample.mib, sample.other)
    return Sample(n, most, most, sample.cpu)


def resume_memory(contestant: Contestant, n: int) -> Sample:
    """MiB that a resume grows by, above what is resident after the imports."""
    sample = resume(contestant, n)
    return Sample(n, sample.mib, sample.mib)


# What keeping a value costs, by what goes in and comes out

TURNS = 4  # of each, in one process: the best of them counts
PYARALLEL = "pyarallel, checkpoint="
BOUND = "each value is looked through and encoded alone, before its consumer can change it"


async def to_int(x: Any) -> int:
    return x + 1  # type: ignore[no-any-return]


async def to_dict(x: Any) -> dict[str, Any]:
    return {"id": x, "name": "a name of some length", "score": 0.5, "tags": ["a", "b"]}


async def from_dict(x: dict[str, Any]) -> dict[str, Any]:
    return {**x, "score": 0.5}


Kind = tuple[Callable[[int], Any], Callable[[Any], Any]]
KINDS: dict[str, Kind] = {  # how an input is made of a number, and the function
    "int to int": (int, to_int),
    "int to dict": (int, to_dict),
    "str to dict": ("https://example.org/items/{}".format, to_dict),
    "dict to dict": (lambda x: {"id": x, "name": f"row number {x}", "tags": ["a", "b"]}, from_dict),
}
KEEPING = (
    Contestant(WHILST, with_journal("buffered"), needs="whilst", kind="whilst"),
    Contestant(PYARALLEL, with_journal(None), needs="pyarallel", slow=10),
)


def above_bare(kind: str) -> Callable[[Contestant, int], Sample]:
    """Measure by how many µs of CPU an input costs more where its outcome is kept, turn about in one process."""
    made, fn = KINDS[kind]

    async def with_pyarallel(inputs: list[Any], path: Path | None) -> int:
        import pyarallel

        return len(await pyarallel.async_parallel_map(fn, inputs, concurrency=100, checkpoint=path))

    async def with_whilst(inputs: list[Any], path: Path | None) -> int:
        import whilst

        journal = None if path is None else whilst.Journal(path)
        return len(await whilst.map(fn, inputs, concurrency=100, journal=journal))

    def measure(contestant: Contestant, n: int) -> Sample:
        inputs = [made(x) for x in range(n // TURNS)]
        main = with_pyarallel if contestant.name == PYARALLEL else with_whilst
        spent: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(2 * TURNS):
            with tempfile.TemporaryDirectory() as folder:
                began = time.process_time()
                count = asyncio.run(main(inputs, Path(folder, "run.db") if turn % 2 else None))
                spent[bool(turn % 2)].append((time.process_time() - began) / len(inputs) * 1e6)
            assert count == len(inputs)
        kept = min(spent[True])
        return Sample(n, kept - min(spent[False]), cpu=kept)

    return measure


called = 0


async def counted(x: int) -> int:
    global called
    called += 1
    return x + 1


def fill(path: Path, n: int) -> int:
    """Map so many inputs; return how many were called."""
    global called
    called = 0
    asyncio.run(map_all(Job(counted, range(n), 100, lambda _: None), path, "buffered"))
    return called


if __name__ == "__main__":
    import sys

    from bench.journals import fill as fill_as_imported  # the function's module is part of nothing, its source is

    before = resident_mib()
    fill_as_imported(Path(sys.argv[1]), int(sys.argv[2]))
    print(peak_mib() - before)
