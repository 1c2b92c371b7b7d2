"""What does looking on cost a run of no-ops? Counted in instructions, of which a busy machine makes no more."""

import asyncio
import itertools
import sys
import time
from collections import Counter
from types import CodeType
from typing import Any
from unittest import mock

from bench.measuring import async_noop, no_job
from bench.model import WHILST, Contestant, NotInstalledError, Sample

CONTESTANTS = (Contestant(WHILST, no_job, needs="whilst", kind="whilst"),)
TOOL = 4
CALL = 1.4e-6  # seconds by which the clock goes on with each look, since counting slows all down
PARTS = (("core/account.py", "engine/report.py"), ("core/timings.py",))  # the account; the times of calls
TURNS = 5


def share(_: Contestant, n: int) -> Sample:
    """Measure how many of a hundred instructions the account takes, or the times of calls; `other` are those a call."""
    if sys.version_info < (3, 12):
        raise NotInstalledError("sys.monitoring came with 3.12")
    import whilst
    from whilst.lanes import clock

    async def main() -> int:
        return len(await whilst.map(async_noop, range(n), concurrency=100))

    asyncio.run(main())  # what is loaded on first use is not counted
    found: Counter[str] = Counter()

    def count(code: CodeType, offset: int) -> None:
        found[code.co_filename.rpartition("whilst/")[2]] += 1

    ticks = itertools.count()

    def ticking(*_: object) -> Any:
        return lambda: next(ticks) * CALL

    every = [
        module for name, module in sys.modules.items() if name.startswith("whilst.") and hasattr(module, "clock_of")
    ]
    with mock.patch.object(clock, "monotonic", ticking()):
        patches = [mock.patch.object(module, "clock_of", ticking) for module in every]
        for patch in patches:
            patch.start()
        monitoring = sys.monitoring
        monitoring.use_tool_id(TOOL, "bench")
        monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, count)
        monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)
        done = asyncio.run(main())
        monitoring.set_events(TOOL, 0)
        monitoring.free_tool_id(TOOL)
        for patch in patches:
            patch.stop()
    assert done == n
    whole = sum(found.values())
    return Sample(n, max(sum(found[file] for file in part) for part in PARTS) / whole * 100, other=whole / n)


def summary_time(_: Contestant, n: int) -> Sample:
    """Measure µs of `run.summary()` while a run goes on, after n calls."""
    import whilst

    async def main() -> float:
        run = whilst.map(async_noop, itertools.count(), concurrency=100)
        best = float("inf")
        async for value in run:
            if value < n:
                continue
            for _ in range(TURNS):
                began = time.thread_time()
                for _ in range(100):
                    run.summary()
                best = min(best, (time.thread_time() - began) / 100)
            break
        run.cancel()
        return best * 1e6

    return Sample(n, asyncio.run(main()))
