"""Learn: which stage of an import do the others wait for? Look at its report, do what the advice says, and compare.

Names come from the PokéAPI, eight at once; each is written to a store that takes 30 ms a row, two at once. The summary
says that the first stage waits for its consumer and that the second is busy: that one is to be widened, by what
`advice.change` says. The same import is made again with it, and takes about half the time. The report is a page: the
account of each stage, every call on a timeline, and the advice.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import whilst
from whilst.demo import pokeapi
from whilst.http import aio

ROWS = 120


def importing(url: str, writers: int) -> whilst.Flow[int, list[str]]:
    async def fetch(number: int) -> str:
        answer: Any = await aio.get_json(f"{url}/pokemon/{number}")
        return str(answer["name"])

    def write(name: str) -> str:
        time.sleep(0.03)  # a database that takes its time
        return name

    return whilst.sequence(
        lambda count: range(1, count + 1),
        whilst.flatten(),
        whilst.each(fetch, concurrency=8),
        whilst.each(write, concurrency=writers),
    )


def run_import(url: str, writers: int, report: Path) -> whilst.Summary:
    run = importing(url, writers).stream(ROWS, trace=report.with_suffix(".trace"))
    assert len(run.list()) == ROWS
    run.report(report)
    return run.summary()


folder = Path(tempfile.mkdtemp())
with pokeapi.serve(latency=0.02) as api:
    before = run_import(api.url, writers=2, report=folder / "before.html")
    print(before)

    advice = before.advice[0]
    assert advice.change is not None
    after = run_import(api.url, writers=advice.change["concurrency"], report=folder / "after.html")

print(f"followed: {advice.change}")
print(f"look at them: {folder / 'before.html'} {folder / 'after.html'}")
print(f"gain: {before.elapsed / after.elapsed:.1f}x ({before.elapsed:.1f} s before, {after.elapsed:.1f} s after)")
