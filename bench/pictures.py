"""What does a picture of a run cost? To record, to write, to make, to draw in a real browser, to watch.

The recordings are made up, as those of the tests are; the browser is Debian's Chromium, driven as the tests drive it.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import threading
import time
import unittest.mock
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import words
from bench.model import WHILST, Contestant, Job, NotInstalledError, Sample, Target, Workload
from bench.targets import at_most

TESTS = Path(__file__).parents[1] / "tests" / "insight"
THREAD = f"{WHILST}, with its thread"
MIB = 1 << 20
TURNS = 5
PAINT, DRAWN, AGAIN = "first paint", "all drawn", "drawn again"


def unused(_: Job) -> None:
    """Nothing is mapped here."""


def ours(*names: str) -> tuple[Contestant, ...]:
    return tuple(Contestant(name, unused, needs="whilst", kind="whilst") for name in names)


def recording(count: int) -> Any:
    sys.path.append(str(TESTS))
    from recordings import recording  # type: ignore[import-not-found]

    return recording(count)


def recorded(contestant: Contestant, n: int) -> Sample:
    """Measure what a call costs that went well: on the loop, or over all threads."""
    from whilst.core.summary import Summary
    from whilst.insight.filing import FileSink
    from whilst.insight.recorded import Beginning
    from whilst.insight.recorder import Recorder

    loop: Any = unittest.mock.Mock()  # there is no run: who wants to be called is not
    summary = Summary("bench", None, 0, 0, 0, 0, 0.0, 8)
    best = 9.9
    clock = time.thread_time if contestant.name == WHILST else time.process_time
    with tempfile.TemporaryDirectory() as folder:
        sink = FileSink(os.path.join(folder, "run.trace"), Beginning("bench", 1.0), goes_on=False)
        for _ in range(TURNS):
            recorder = Recorder([sink], loop, lambda: 0.0, lambda: summary, whole=1 << 40)
            ended = recorder.ended
            rows = [(index, None, None, None, index * 1e-3, 0.01 + index % 97 * 1e-4, 1) for index in range(n)]
            began = clock()
            for row in rows:
                ended(row)
            recorder.close()
            if clock is time.process_time:
                recorder.join(60)
            best = min(best, clock() - began)
            recorder.join(60)
            sink = FileSink(os.path.join(folder, "run.trace"), Beginning("bench", 1.0), goes_on=False)
    return Sample(n, best / n * 1e6)


def trace_size(_: Contestant, n: int) -> Sample:
    """Measure a trace, in MiB for a million calls."""
    sys.path.append(str(TESTS))
    from recordings import calls

    from whilst.insight.chunks import Chunk, Columns, encoded

    rows, size = calls(n), 0
    for at in range(0, n, 4096):
        index, started, took = (list(column) for column in zip(*rows[at : at + 4096], strict=True))
        size += len(encoded(Columns.of(index, started, took), Chunk(0, 0.0, 1, len(index))))
    return Sample(n, size * (1_000_000 / n) / MIB)


def page_size(_: Contestant, n: int) -> Sample:
    from whilst.insight.page import page

    return Sample(n, len(page(recording(n)).encode()) / MIB)


def report_time(_: Contestant, n: int) -> Sample:
    """Measure how long `whilst report` takes on its one thread, from the trace to the page."""
    sys.path.append(str(TESTS))
    from recordings import calls

    from whilst.insight.chunks import Chunk, Columns
    from whilst.insight.filing import FileSink
    from whilst.insight.recorded import Beginning
    from whilst.reporting import recorded_of, write_report

    rows = calls(n)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.trace")
        sink = FileSink(path, Beginning("bench", 1.0), goes_on=False)
        for at in range(0, n, 4096):
            index, started, took = (list(column) for column in zip(*rows[at : at + 4096], strict=True))
            sink.calls(Columns.of(index, started, took), Chunk(0, 0.0, 1, len(index)))
        sink.end({})
        del rows, index, started, took  # of which a report knows nothing
        began = time.process_time()
        write_report(recorded_of(path), os.path.join(folder, "run.html"))
        return Sample(n, time.process_time() - began)


def drawn(contestant: Contestant, n: int) -> Sample:
    """Measure how long a page takes in headless Chromium, in ms."""
    program = shutil.which("chromium")
    if program is None:
        raise NotInstalledError("chromium")
    sys.path.append(str(TESTS))
    from chromium import browser  # type: ignore[import-not-found]

    from whilst.insight.page import page

    with tempfile.TemporaryDirectory() as folder, browser(program) as chromium:
        path = Path(folder) / "run.html"
        path.write_text(page(recording(n)), encoding="utf-8")
        shown = chromium.page()
        shown.look()
        shown.open(path.as_uri())
        found = {DRAWN: float(shown.until("document.documentElement.dataset.drawn"))}
        found[PAINT] = shown.until("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        for zoom in ("2", "0"):
            shown.run(f"document.querySelector('[data-zoom=\"{zoom}\"]').click()")
            shown.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        found[AGAIN] = float(shown.run("document.documentElement.dataset.redraw"))
    return Sample(n, found[contestant.name])


def watched(_: Contestant, n: int) -> Sample:
    """Measure by how many per cent fewer calls of 10 ms come back while somebody watches, turn about."""
    import whilst

    def once() -> float:
        began = time.perf_counter()
        whilst.map(wait, range(n // (2 * TURNS)), concurrency=32).list()
        return time.perf_counter() - began

    once()
    bare, under = [], []
    for _turn in range(TURNS):
        bare.append(once())
        with whilst.watch(quiet=True) as watch, looking(watch.url):
            under.append(once())
    return Sample(n, (min(under) / min(bare) - 1) * 100)


async def wait(x: int) -> int:
    await asyncio.sleep(0.010)
    return x


class looking:
    """Somebody who looks: takes every picture of a page, in a thread that waits for the next."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        import http.client
        from urllib.parse import urlsplit

        url = urlsplit(self._url)
        first = http.client.HTTPConnection("127.0.0.1", url.port or 0)
        first.request("GET", f"{url.path}?{url.query}")
        cookie = str(first.getresponse().headers["Set-Cookie"]).partition(";")[0]
        first.close()
        self._connection = http.client.HTTPConnection("127.0.0.1", url.port or 0)
        self._connection.request("GET", f"{url.path}events", headers={"Cookie": cookie})
        answer = self._connection.getresponse()

        def read() -> None:
            while answer.readline():
                pass

        self._thread = threading.Thread(target=read, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def one(
    name: str, title: str, unit: Any, n: int, measure: Callable[[Contestant, int], Sample], *targets: Target
) -> Workload:
    contestants = ours(*dict.fromkeys([WHILST]))
    return Workload(name, title, unit, n, contestants, measure, targets, rounds=1, quick=4)


WORKLOADS = (
    Workload(
        "recording", "to record a call that went well, CPU", "µs", 100_000, ours(WHILST, THREAD), recorded,
        (at_most("at most 0.25 µs on the loop", 0.25, "µs"),), rounds=1, quick=4,
    ),
    Workload(
        "traced", "what `trace=` adds to an async no-op, with its thread, CPU", "µs", 270_000, words.CONTESTANTS,
        words.difference(words.traced), quick=4,
    ),
    one(
        "trace", "a trace of a million calls", "MiB", 100_000, trace_size,
        at_most("at most 4 bytes a call", 4e6 / MIB, "MiB"),
    ),
    one("page-10k", "a page of 10,000 calls", "MiB", 10_000, page_size, at_most("at most 60 KB", 6e4 / MIB, "MiB")),
    one(
        "page-1m", "a page of 1,000,000 calls", "MiB", 1_000_000, page_size,
        at_most("at most 3 MB", 3e6 / MIB, "MiB"),
    ),
    one(
        "report-1m", "whilst report, a million calls, CPU", "s", 1_000_000, report_time,
        at_most("at most 3 s", 3.0, "s"),
    ),
    Workload(
        "drawing-1m", "a page of a million calls in headless Chromium", "ms", 1_000_000,
        ours(PAINT, DRAWN, AGAIN), drawn,
        (
            at_most("first paint within 1 s", 1e3, "ms", PAINT),
            at_most("all drawn within 2 s", 2e3, "ms", DRAWN),
            at_most("drawn again within 120 ms", 120.0, "ms", AGAIN),
        ),
        rounds=1, quick=4,
    ),
    one(
        "watched", "calls of 10 ms, 32 at once, watched: longer than without", "%", 50_000, watched,
        at_most("at most 3 %", 3.0, "%"),
    ),
)  # fmt: skip
