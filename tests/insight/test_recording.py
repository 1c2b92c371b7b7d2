"""`trace=` records a run call by call, keeps no input, and never costs the run its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst.core.outcome import Record
from whilst.core.summary import Summary
from whilst.insight import kept as kept_module
from whilst.insight.chunks import Chunk, Columns, encoded
from whilst.insight.kept import EXAMPLES
from whilst.insight.recorded import read_trace
from whilst.insight.recorder import Recorder
from whilst.insight.spans import FAILED, OK, RETRIED, SLOWEST, Spans
from whilst.insight.tracefile import NoTrace


def some_fail(number: int) -> int:
    if number % 10 == 3:
        raise ValueError(f"no {number}: token=abcdef1234")
    return number


def test_each_call_of_a_run_is_in_its_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    run = whilst.map(some_fail, range(5000), concurrency=4, trace=path)
    outcomes = run.outcomes().list()
    found = read_trace(str(path))
    spans = found.spans
    assert sorted(spans.index) == list(range(5000))
    by_index = {outcome.index: outcome for outcome in outcomes}
    for row in range(0, 5000, 7):
        outcome = by_index[spans.index[row]]
        assert (spans.status[row] >= FAILED) is not outcome.ok
        assert spans.took[row] == pytest.approx(outcome.took, rel=0.01, abs=1e-6)
        assert spans.started[row] == pytest.approx(outcome.started, abs=0.05)
    assert found.kinds.names == ["ValueError"]
    assert found.kinds.counts == [500]
    assert len(found.kinds.examples[0]) == EXAMPLES
    (session,) = found.sessions
    assert session.ending is not None
    assert session.ending["ok"] == 4500
    assert session.beginning.concurrency == 4
    assert session.beginning.total == 5000
    assert [event["event"] for event in session.events if event["event"] != "attempt_failed"] == [
        "run_started",
        "run_ended",
    ]
    assert session.looks[-1].done == 5000
    assert session.looks[-1].permitted == 4


def test_of_async_code_too(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def main() -> None:
        run = whilst.map(double, range(300), trace=str(path))
        assert await run == [2 * number for number in range(300)]
        await asyncio.to_thread(run.report, tmp_path / "run.json")

    asyncio.run(main())
    assert len(read_trace(str(path)).spans) == 300


@pytest.mark.parametrize("form", ["await", "async for", "outcomes", "left early", "a flow"])
def test_it_is_whole_when_async_code_goes_on(form: str, tmp_path: Path) -> None:
    """As in plain code: whoever looks at the file behind the run finds its end."""

    async def double(number: int) -> int:
        return 2 * number

    async def main() -> None:
        for place in range(5):
            path = tmp_path / f"{form} {place}.trace"
            run = whilst.map(whilst.step(double) if form == "a flow" else double, [1, 2, 3], trace=path)
            if form == "outcomes":
                await run.outcomes()
            elif form in ("async for", "left early"):
                async with run:
                    async for _ in run:
                        if form == "left early":
                            break
            else:
                await run
            (session,) = read_trace(str(path)).sessions
            assert session.ending is not None

    asyncio.run(main())


def test_a_plain_block_in_async_code_does_not_wait_for_what_its_own_loop_has_to_end(tmp_path: Path) -> None:
    """It would, for a second and a half, in which the loop stands still."""

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def main() -> None:
        run = whilst.map(double, range(50), trace=tmp_path / "run.trace")
        joined: list[bool] = []
        with run:
            async for _ in run:
                break
            assert run._recorder is not None
            run._recorder.join = lambda within=0.0: joined.append(True)  # type: ignore[method-assign]
        assert joined == []

    asyncio.run(main())


def test_on_virtual_time_the_times_are_virtual(tmp_path: Path, eventually: Callable[..., bool]) -> None:
    from whilst.testing import run as on_virtual_time

    async def wait(number: int) -> int:
        await asyncio.sleep(60)
        return number

    async def main() -> None:
        assert await whilst.map(wait, range(4), concurrency=2, trace=path) == [0, 1, 2, 3]

    path = tmp_path / "run.trace"
    on_virtual_time(main())
    assert eventually(lambda: path.exists() and _recorded(path) == 4), "its thread writes what is left"
    spans = read_trace(str(path)).spans
    assert [round(moment) for moment in spans.started] == [0, 0, 60, 60]
    assert [round(took) for took in spans.took] == [60] * 4


def test_neither_inputs_nor_values_nor_secrets_are_in_it(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    whilst.map(some_fail, range(100), trace=path, name="https://me:hunter2@host/").outcomes().list()
    found = read_trace(str(path))
    assert "hunter2" not in found.name
    assert not found.inputs
    assert found.kinds.examples[0][0].message == "ValueError: no 3: token=…"


def test_while_it_goes_on_it_holds_no_input() -> None:
    class Thing:
        pass

    recorder, _ = recording_to_list()
    thing = Thing()
    gone = weakref.ref(thing)
    recorder.ended((0, thing, thing, None, 1.0, 0.1, 1))
    recorder.ended((1, thing, None, ValueError("no"), 1.0, 0.1, 1))
    del thing
    gc.collect()
    assert gone() is None
    recorder.close()
    recorder.join()


def test_attempts_that_failed_and_inputs_that_were_tried_again(tmp_path: Path) -> None:
    seen = set[int]()

    def second_time(number: int) -> int:
        if number % 2 and number not in seen:
            seen.add(number)
            raise ConnectionResetError("gone")
        return number

    path = tmp_path / "run.trace"
    retry = whilst.Retry(3, base=0.001, budget=None)
    assert whilst.map(second_time, range(20), retry=retry, trace=path).list() == list(range(20))
    found = read_trace(str(path))
    tried = [event for event in found.sessions[0].events if event["event"] == "attempt_failed"]
    assert {event["index"] for event in tried} == seen
    assert {event["kind"] for event in tried} == {"ConnectionResetError"}
    assert all("input" not in event and "error" not in event for event in tried)
    assert {found.spans.index[row] for row, status in enumerate(found.spans.status) if status == RETRIED} == seen


def test_a_flow_is_recorded_with_its_tree_and_the_time_of_each_step(tmp_path: Path) -> None:
    def slowly(number: int) -> int:
        time.sleep(0.002)
        return number

    path = tmp_path / "run.trace"
    flow = whilst.sequence(slowly, whilst.together(a=slowly, b=some_fail))
    whilst.map(flow, range(20), trace=path).outcomes().list()
    (session,) = read_trace(str(path)).sessions
    assert "together" in session.beginning.tree
    assert "some_fail" in session.beginning.tree
    nodes = session.nodes
    assert set(nodes) == {"sequence[0]", "sequence[1].together.a", "sequence[1].together.b"}
    assert nodes["sequence[0]"].calls == 20
    assert nodes["sequence[0]"].seconds >= 0.04
    assert nodes["sequence[1].together.b"].failed == 2


def test_each_attempt_of_a_step_is_in_the_trace_by_index_and_path(tmp_path: Path) -> None:
    seen = set[int]()

    def second_time(number: int) -> int:
        if number % 3 == 1 and number not in seen:
            seen.add(number)
            raise ConnectionResetError("gone")
        return number

    path = tmp_path / "run.trace"
    retry = whilst.Retry(3, base=0.001, budget=None)
    flow = whilst.sequence(second_time_takes, whilst.step(second_time, retry=retry), some_fail)
    whilst.map(flow, range(20), concurrency=4, trace=path).outcomes().list()
    found = read_trace(str(path))
    assert list(found.steps) == ["sequence[0]", "sequence[1]", "sequence[2]"]
    assert [sorted(found.steps[path].index) for path in ("sequence[0]", "sequence[2]")] == [[*range(20)]] * 2
    again = found.steps["sequence[1]"]
    tried = sorted((index, again.attempts.get(row, 1), again.status[row]) for row, index in enumerate(again.index))
    reset = FAILED + found.kinds.names.index("ConnectionResetError")
    assert tried == sorted(
        [(index, 1, reset if index in seen else OK) for index in range(20)] + [(index, 2, RETRIED) for index in seen]
    )
    assert found.kinds.counts[reset - FAILED] == 0, "an input that went well at last has not failed"
    whole = dict(zip(found.spans.index, zip(found.spans.started, found.spans.took, strict=True), strict=True))
    for spans in found.steps.values():
        for index, started, took in zip(spans.index, spans.started, spans.took, strict=True):
            began, all_of_it = whole[index]
            assert began - 1e-3 <= started
            assert started + took <= began + all_of_it + 1e-3


def second_time_takes(number: int) -> int:
    time.sleep(0.002)
    return number


def test_a_run_that_goes_on_from_a_journal_goes_on_in_its_trace(tmp_path: Path) -> None:
    path, journal = tmp_path / "run.trace", tmp_path / "run.db"

    def go(count: int) -> None:
        whilst.map(abs, range(count), journal=journal, trace=path).list()

    go(100)
    go(250)
    found = read_trace(str(path))
    assert [session.passed for session in found.sessions] == [100, 150]
    assert found.sessions[1].recalled == 100
    whilst.map(abs, range(10), trace=path).list()
    assert len(read_trace(str(path)).sessions) == 1, "without a journal it is another run"


@pytest.mark.slow
def test_a_killed_run_leaves_all_but_its_last_second(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    code = f"""
        import time, whilst
        def wait(number):
            time.sleep(0.01)
            return number
        whilst.map(wait, range(10**9), concurrency=8, trace={str(path)!r}).list()
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    ends = time.monotonic() + 30
    try:
        while time.monotonic() < ends and (not path.exists() or _recorded(path) < 100):
            time.sleep(0.05)
        assert read_trace(str(path)).live
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    found = read_trace(str(path))
    assert not found.live
    assert found.sessions[0].killed
    assert len(found.spans) >= 100


def _recorded(path: Path) -> int:
    try:
        return len(read_trace(str(path)).spans)
    except NoTrace:
        return 0


def test_a_trace_that_cannot_be_written_is_said_once_and_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    run = whilst.map(abs, range(10), trace=path)
    os.mkdir(path)
    with pytest.warns(RuntimeWarning, match="the recording ended early, and the run goes on"):
        assert run.list() == list(range(10))
    run.report(tmp_path / "run.html")
    assert "the recording ended early" in (tmp_path / "run.html").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, 'trace must be the name of a file, got 7\n  try: trace="run.trace"'),
        ("", "trace must be the name of a file, got ''"),
        ("/nowhere/at/all/run.trace", "there is no directory /nowhere/at/all"),
        ("/", 'is a directory\n  try: trace="/run.trace"'),
    ],
)
def test_a_trace_that_cannot_be_meant_is_refused_where_it_is_given(given: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        whilst.map(abs, [1], trace=given)
    assert said in str(caught.value)


class ToList:
    """A sink that is a list."""

    def __init__(self) -> None:
        self.spans = Spans()
        self.passed = 0
        self.strides: list[int] = []
        self.ended: dict[str, Any] = {}

    def calls(self, columns: Columns, head: Chunk) -> None:
        rows = columns.rows(head)
        self.spans.add(rows.index, rows.started, rows.took, rows.marks(), stride=head.stride)
        self.passed += head.passed
        self.strides.append(head.stride)

    def look(self, look: Any) -> None: ...

    def events(self, events: Any) -> None: ...

    def nodes(self, nodes: Any) -> None: ...

    def end(self, said: dict[str, Any]) -> None:
        self.ended = said


class Loop:
    """The loop of a test, on which everything is done at once."""

    def call_soon_threadsafe(self, act: Callable[[], None]) -> None:
        pass


def recording_to_list(whole: int = 1 << 30) -> tuple[Recorder, ToList]:
    sink, loop = ToList(), Loop()
    summary = Summary("fetch", None, 0, 0, 0, 0, 0.0, 8)
    return Recorder([sink], loop, lambda: 0.0, lambda: summary, concurrency=8, whole=whole), sink  # type: ignore[arg-type]


def test_past_a_bound_it_samples_keeps_failures_and_the_slowest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "FEW", 10)
    recorder, sink = recording_to_list(whole=8192)
    count = 100_000
    for index in range(count):
        took = 5.0 if index % 9_999 == 0 else 0.01
        error = ValueError("no") if index % 500 == 499 else None
        recorder.ended((index, None, None, error, index * 0.001, took, 1))
    recorder.close()
    recorder.join()
    spans = sink.spans
    assert sink.passed == count, "how many there were is exact"
    kept = dict(zip(spans.index, spans.status, strict=True))
    assert all(kept[index] >= FAILED for index in range(499, count, 500))
    assert all(index in kept for index in range(0, count, 9_999))
    assert SLOWEST in spans.status
    assert OK in spans.status
    assert len(spans) < 45_000
    assert max(sink.strides) >= 8
    assert spans.sampled
    assert sum(spans.weight) == pytest.approx(count, rel=0.02), "each stands for as many as were left out"


def test_no_more_than_a_chunk_of_calls_waits_to_be_handed_over() -> None:
    calls, given, records = kept(2 * kept_module.ROWS + 5)
    for record in records:
        calls.ended(record)
    columns = (calls._index, calls._ends, calls._took)
    assert [len(column) for column in columns] == [5, 5, 5]
    (whole, _), _ = given
    numbers = sum(sys.getsizeof(column[-1]) for column in whole)
    assert sum(map(sys.getsizeof, whole)) / kept_module.ROWS + numbers < 110, "bytes a call"


def test_indices_beyond_32_bits_are_kept_whole() -> None:
    recorder, sink = recording_to_list()
    indices = [7, 2**32 - 1, 2**32, 2**40, 8]
    for index in indices:
        recorder.ended((index, None, None, None, 1.0, 0.1, 1))
    recorder.close()
    recorder.join()
    assert list(sink.spans.index) == indices


@pytest.fixture
def instructions() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Count the instructions of the interpreter that something takes: of these a busy machine makes no more."""
    if sys.version_info < (3, 12):
        pytest.skip("sys.monitoring came with 3.12")
    monitoring, tool, found, here = sys.monitoring, 4, [0], threading.get_ident()

    def count(code: Any, offset: int) -> None:
        found[0] += threading.get_ident() == here  # and not what another test has left running

    def counted(act: Callable[[], object]) -> int:
        found[0] = 0
        gc.disable()  # nor what it has left to be collected
        monitoring.set_events(tool, monitoring.events.INSTRUCTION)
        try:
            act()
        finally:
            monitoring.set_events(tool, 0)
            gc.enable()
        return found[0]

    monitoring.use_tool_id(tool, "test")
    monitoring.register_callback(tool, monitoring.events.INSTRUCTION, count)
    yield counted
    monitoring.free_tool_id(tool)


def kept(count: int) -> tuple[kept_module.Kept, list[tuple[kept_module.Calls, Chunk]], list[Record]]:
    given: list[tuple[kept_module.Calls, Chunk]] = []
    records: list[Record] = [(n, None, None, None, n * 1e-3, 0.01 + n % 97 * 1e-4, 1) for n in range(count)]
    return kept_module.Kept(lambda calls, head: given.append((calls, head)), whole=1 << 40), given, records


def test_a_call_costs_little_on_the_loop(instructions: Callable[[Callable[[], object]], int]) -> None:
    """`make bench` has the figure in µs."""
    calls, _, records = kept(20_000)
    each = instructions(lambda: [calls.ended(record) for record in records]) / len(records)
    assert each < 80, each


def test_calls_are_packed_all_at_once(instructions: Callable[[Callable[[], object]], int]) -> None:
    """Call by call in the interpreter that took more than twice as long as to keep them."""
    calls, given, records = kept(kept_module.ROWS)
    for record in records:
        calls.ended(record)
    ((columns, head),) = given
    assert instructions(lambda: encoded(Columns.packed(*columns), head)) < len(records)


def test_a_finished_run_frees_what_it_recorded(tmp_path: Path) -> None:
    run = whilst.map(abs, range(100), trace=tmp_path / "run.trace")
    run.list()
    recorder = run._recorder
    assert recorder is not None
    assert not recorder._calls._index
    assert not recorder._sinks
    assert recorder._summary is None
