"""`whilst.doctor()` in code: any loop, any thread, any colour; exceptions pass through, and nothing stays behind."""

from __future__ import annotations

import asyncio
import functools
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst import testing as virtual

uvloop = pytest.importorskip("uvloop")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def here() -> int:
    """Return the line that this is called on."""
    return sys._getframe(1).f_lineno


def places(seen: Any) -> list[tuple[str, int]]:
    return [(Path(found.file).name, found.line) for found in seen.findings if found.kind == "held the loop"]


def in_some_of(times: int, check: Callable[[], bool]) -> bool:
    """Whether it holds once: on a machine whose processors all are taken, who looks may not get one in time."""
    return any(check() for _ in range(times))


@pytest.mark.parametrize("make", LOOPS.values(), ids=LOOPS)
def test_a_loop_that_starts_in_the_block_is_heard(make: Any) -> None:
    line = 0

    async def main() -> None:
        nonlocal line
        await asyncio.sleep(0.02)
        line = here() + 1
        time.sleep(0.12)
        await asyncio.sleep(0.01)

    def check() -> bool:
        with whilst.doctor(quiet=True) as seen, asyncio.Runner(loop_factory=make) as runner:
            runner.run(main())
        return places(seen) == [(Path(__file__).name, line)] and abs(seen.findings[0].seconds - 0.12) < 0.05

    assert in_some_of(10, check)


@pytest.mark.parametrize("make", LOOPS.values(), ids=LOOPS)
def test_the_loop_that_the_block_runs_on_is_heard_from_its_first_line(make: Any) -> None:
    async def main() -> bool:
        async with whilst.doctor(quiet=True) as seen:
            line = here() + 1
            time.sleep(0.12)
            await asyncio.sleep(0.01)
        return places(seen) == [(Path(__file__).name, line)]

    def check() -> bool:
        with asyncio.Runner(loop_factory=make) as runner:
            return runner.run(main())

    assert in_some_of(10, check)


def test_a_block_that_ends_before_its_round_does_knows_of_it() -> None:
    async def main() -> bool:
        with whilst.doctor(quiet=True) as seen:
            line = here() + 1
            time.sleep(0.12)
        return places(seen) == [(Path(__file__).name, line)]

    assert in_some_of(10, lambda: asyncio.run(main()))


@pytest.mark.parametrize("make", LOOPS.values(), ids=LOOPS)
def test_loops_on_other_threads_are_heard_those_that_run_already_and_those_that_start(make: Any) -> None:
    line = 0

    async def hold(ready: threading.Event, go: threading.Event) -> None:
        nonlocal line
        ready.set()
        while not go.is_set():
            await asyncio.sleep(0.01)
        line = here() + 1
        time.sleep(0.12)
        await asyncio.sleep(0.01)

    def drive(ready: threading.Event, go: threading.Event) -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(hold(ready, go))

    def check() -> bool:
        ready, go = threading.Event(), threading.Event()
        first = threading.Thread(target=drive, args=(ready, go))
        first.start()
        ready.wait()
        with whilst.doctor(quiet=True) as seen:
            second = threading.Thread(target=drive, args=(threading.Event(), go))
            second.start()
            time.sleep(0.05)
            go.set()
            first.join()
            second.join()
        held = [found for found in seen.findings if found.kind == "held the loop"]
        return places(seen) == [(Path(__file__).name, line)] and held[0].calls == 2

    assert in_some_of(10, check)


def test_an_async_function_under_map_that_blocks_is_told_to_be_a_plain_one() -> None:
    line = 0

    async def fetch(name: str) -> str:
        nonlocal line
        line = here() + 1
        threading.Event().wait(0.08)
        return name

    def check() -> bool:
        with whilst.doctor(quiet=True) as seen:
            assert whilst.map(fetch, ["a", "b", "c"]).list() == ["a", "b", "c"]
        held = [found for found in seen.findings if found.kind == "held the loop"]
        if places(seen) != [(Path(__file__).name, line)]:
            return False
        change = held[0].change
        return change is not None and change["new"] == "def fetch(name: str) -> str:" and held[0].calls == 3

    assert in_some_of(10, check)


def test_a_round_of_a_thousand_short_callbacks_is_not_one_that_blocks() -> None:
    def short() -> None:
        end = time.perf_counter() + 0.0003
        while time.perf_counter() < end:
            pass

    async def main() -> None:
        for _ in range(1000):
            asyncio.get_running_loop().call_soon(short)
        await asyncio.sleep(0.01)
        await asyncio.gather(*[task() for _ in range(300)])

    async def task() -> None:
        short()

    def check() -> bool:
        with whilst.doctor(quiet=True) as seen:
            asyncio.run(main())
        return places(seen) == []

    assert in_some_of(10, check)


def test_virtual_time_and_loops_with_a_selector_of_their_own_work_under_it() -> None:
    class Own(selectors.SelectSelector):
        pass

    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    with whilst.doctor(quiet=True):
        assert virtual.run(main()) >= 3600
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Own())) as runner:
            runner.run(asyncio.sleep(0))


def test_an_exception_passes_and_what_was_found_is_kept_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        time.sleep(0.12)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"), whilst.doctor() as seen:
        asyncio.run(main())
    printed = capsys.readouterr().err
    assert printed.startswith("whilst doctor: ")
    assert str(seen) == printed.rstrip("\n")
    assert repr(seen).startswith(f"<Doctor, {len(seen.findings)} findings in ")


def test_nothing_stays_behind() -> None:
    async def selector() -> tuple[bool, bool]:
        loop: Any = asyncio.get_running_loop()
        with whilst.doctor(quiet=True):
            inside = "select" in vars(loop._selector)
        return inside, "select" in vars(loop._selector)

    before = asyncio._set_running_loop, threading.active_count(), uvloop.Loop.run_forever
    assert asyncio.run(selector()) == (True, False)
    assert (asyncio._set_running_loop, threading.active_count(), uvloop.Loop.run_forever) == before


def test_it_may_be_nested_and_used_one_after_the_other_but_each_once() -> None:
    with whilst.doctor(quiet=True) as outer, whilst.doctor(quiet=True) as inner:
        asyncio.run(asyncio.sleep(0))
    assert (outer.findings, inner.findings) == ((), ())
    with pytest.raises(RuntimeError, match="this doctor was used already"), outer:
        pass
    assert repr(whilst.doctor()) == "<Doctor, not started>"


@pytest.mark.parametrize(
    ("threshold", "error", "said"),
    [
        (0, ValueError, "threshold must be from 0.001 to 3600 seconds, got 0"),
        (-1, ValueError, "got -1"),
        (float("nan"), ValueError, "got nan"),
        ("50ms", TypeError, "threshold must be a number of seconds, got '50ms'"),
        (True, TypeError, "got True"),
        (None, TypeError, "got None"),
    ],
)
def test_a_threshold_that_cannot_be_meant_is_refused(threshold: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=f".*{said}"):
        whilst.doctor(threshold)


def test_the_length_is_the_rounds_on_uvloop_too() -> None:
    """To half a beat of the timer that is its heartbeat, of which there is one in 5 ms."""

    async def main(took: list[float]) -> None:
        for seconds in (0.04, 0.09, 0.15):
            await asyncio.sleep(0.03)
            began = time.monotonic()
            time.sleep(seconds)
            took.append(time.monotonic() - began)
            await asyncio.sleep(0)

    def check() -> bool:
        took: list[float] = []
        with whilst.doctor(0.02, quiet=True) as seen, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(took))
        held = [found for found in seen.findings if found.kind == "held the loop"]
        return len(held) == 1 and held[0].calls == 3 and abs(held[0].seconds - sum(took)) < 0.015

    assert in_some_of(10, check)


def test_what_stands_still_meanwhile_is_named() -> None:
    async def count() -> None:
        while True:
            await asyncio.sleep(0.01)

    async def main() -> None:
        counter = asyncio.create_task(count())
        await asyncio.sleep(0.02)
        time.sleep(0.15)
        counter.cancel()

    with whilst.doctor(quiet=True) as seen:
        asyncio.run(main())
    assert "meanwhile 1 other task stood still: " in seen.findings[0].evidence
    assert "count line " in seen.findings[0].evidence


def test_threads_that_were_there_before_and_whilsts_own_loop_are_looked_at() -> None:
    whilst.map(asyncio.sleep, [0.001]).list()  # whilst's own loop has started, on its thread
    line = 0

    async def hold(_: int) -> None:
        nonlocal line
        line = here() + 1
        time.sleep(0.12)
        await asyncio.sleep(0)

    def check() -> bool:
        with whilst.doctor(quiet=True) as seen:
            whilst.map(hold, [1]).list()
        return places(seen) == [(Path(__file__).name, line)]

    assert in_some_of(10, check)


def test_waits_one_after_the_other_are_found_in_blocking_code() -> None:
    def fetch(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    with whilst.doctor(quiet=True) as seen:
        for seconds in [0.06, 0.05, 0.06, 0.05]:
            fetch(seconds)
    (found,) = seen.findings
    assert (found.kind, found.calls) == ("could overlap", 4)
    assert found.gain is not None
    assert 2 < found.gain <= 4
    assert found.change is not None
    assert found.change["new"] == "for result in whilst.map(fetch, [0.06, 0.05, 0.06, 0.05]):\n    result"


def test_forked_children_do_not_look(tmp_path: Path) -> None:
    script = """
import os, whilst
with whilst.doctor() as seen:
    child = os.fork()
    if not child:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:whilst", "-c", script],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0
    assert done.stderr.count("whilst doctor:") == 1, done.stderr


def test_a_finding_is_an_advice_and_says_itself() -> None:
    finding = functools.partial(
        whilst.Finding, kind="held the loop", text="f held the loop", file="<string>", line=3, function="main", call="f"
    )(calls=1, seconds=0.2, longest=0.2, evidence="it waited")
    assert isinstance(finding, whilst.Advice)
    assert finding.gain is None
    assert str(finding).splitlines() == ["<string> line 3, in main: f held the loop", "   it waited"]
    assert finding.to_dict()["line"] == 3
