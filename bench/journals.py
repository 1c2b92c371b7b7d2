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
    """Seconds for a million inputs that are all done, from opening to the last value; `mib` while that goes on.

    The first run is in a process of its own, so that its memory does not count.
    """
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.db")
        subprocess.run([sys.executable, "-m", "bench.journals", str(path), str(n)], check=True, timeout=120)
        baseline = resident_mib()
        started, cpu = time.perf_counter(), time.process_time()
        count = fill(path, n)
        took, cpu = time.perf_counter() - started, time.process_time() - cpu
        mib = peak_mib() - baseline
    if count:
        raise RuntimeError(f"{contestant.name}: {count} of {n} were called again")
    return Sample(n, took / n * 1e6, mib, cpu / n * 1e6)


def resume_memory(contestant: Contestant, n: int) -> Sample:
    """MiB that a resume grows by, above what is resident after the imports."""
    sample = resume(contestant, n)
    return Sample(n, sample.mib, sample.mib)


called = 0


async def counted(x: int) -> int:
    global called
    called += 1
    return x + 1


def fill(path: Path, n: int) -> int:
    """Map a million inputs; return how many were called."""
    global called
    called = 0
    asyncio.run(map_all(Job(counted, range(n), 100, lambda _: None), path, "buffered"))
    return called


if __name__ == "__main__":
    import sys

    from bench.journals import fill as fill_as_imported  # the function's module is part of nothing, its source is

    fill_as_imported(Path(sys.argv[1]), int(sys.argv[2]))
