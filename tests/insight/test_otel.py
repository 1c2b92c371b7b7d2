"""Spans: one a run, some of its calls, all failures and slow ones; what a client traces inside a call is below it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

import whilst

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import StatusCode


class Kept:
    """The spans that were made."""

    def __init__(self, **given: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**given)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def run(self) -> ReadableSpan:
        (found,) = [span for span in self.spans() if span.name.startswith("whilst ")]
        return found

    def calls(self) -> list[ReadableSpan]:
        return [span for span in self.spans() if "whilst.index" in (span.attributes or {})]


@pytest.fixture
def kept() -> Iterator[Kept]:
    yield Kept()
    whilst.otel.uninstrument()


def index_of(span: ReadableSpan) -> Any:
    return (span.attributes or {})["whilst.index"]


def test_a_run_is_a_span_and_each_call_a_child_of_it(kept: Kept) -> None:
    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    assert whilst.map(abs, range(5), concurrency=3, name="fetch").list() == [0, 1, 2, 3, 4]
    run = kept.run()
    assert run.name == "whilst fetch"
    assert dict(run.attributes or {}) == {
        "whilst.run": "fetch",
        "whilst.concurrency": 3,
        "whilst.total": 5,
        "whilst.ok": 5,
        "whilst.failed": 0,
    }
    assert sorted(map(index_of, kept.calls())) == [0, 1, 2, 3, 4]
    for span in kept.calls():
        assert span.parent is not None
        assert run.context is not None
        assert span.parent.span_id == run.context.span_id
        assert (span.attributes or {})["whilst.attempt"] == 1
        assert (
            (run.start_time or 0) - 10**7
            <= (span.start_time or 0)
            <= (span.end_time or 0)
            <= (run.end_time or 0) + 10**7
        )


def test_the_run_is_a_child_of_the_span_in_which_it_was_made(kept: Kept) -> None:
    whilst.otel.instrument(tracer_provider=kept.provider)
    with kept.provider.get_tracer("mine").start_as_current_span("request") as mine:
        whilst.map(abs, [1]).list()
    parent = kept.run().parent
    assert parent is not None
    assert parent.span_id == mine.get_span_context().span_id


@pytest.mark.parametrize("colour", ["blocking", "async", "returns an awaitable"])
def test_the_span_of_a_call_is_current_while_it_runs(kept: Kept, colour: str) -> None:
    seen: dict[int, int] = {}

    def note(number: int) -> int:
        seen[number] = trace.get_current_span().get_span_context().span_id
        return number

    async def later(number: int) -> int:
        await asyncio.sleep(0.001)
        return note(number)

    fn: Any = {"blocking": note, "async": later, "returns an awaitable": lambda number: later(number)}[colour]
    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    assert whilst.map(fn, range(20), concurrency=4).list() == list(range(20))
    assert {index_of(span): span.context.span_id for span in kept.calls() if span.context} == seen
    assert not trace.get_current_span().get_span_context().is_valid, "and nothing is, afterwards"


def test_failures_have_a_span_however_few_calls_are_sampled(kept: Kept) -> None:
    def fails(number: int) -> int:
        if number == 7:
            raise ValueError("no token=abcdef1234")
        return number

    whilst.otel.instrument(sample=0.0, tracer_provider=kept.provider)
    whilst.map(fails, range(20), name="https://me:hunter2@host/").outcomes().list()
    (span,) = kept.calls()
    assert index_of(span) == 7
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError: no token=…"
    assert "hunter2" not in str([(each.name, dict(each.attributes or {})) for each in kept.spans()])


def test_a_failure_that_was_sampled_has_one_span_not_two(kept: Kept) -> None:
    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    whilst.map(int, ["1", "x"]).outcomes().list()
    assert sorted(map(index_of, kept.calls())) == [0, 1]
    (failed,) = [span for span in kept.calls() if "error.type" in (span.attributes or {})]
    assert index_of(failed) == 1


def test_each_attempt_that_failed_has_its_own(kept: Kept) -> None:
    tries = iter([ConnectionResetError("gone"), ConnectionResetError("gone"), None])

    def third_time(number: int) -> int:
        error = next(tries)
        if error is not None:
            raise error
        return number

    whilst.otel.instrument(sample=0.0, tracer_provider=kept.provider)
    assert whilst.map(third_time, [5], retry=whilst.Retry(3, base=0.001)).list() == [5]
    assert [(span.attributes or {})["whilst.attempt"] for span in kept.calls()] == [1, 2]


@pytest.mark.parametrize("sample", [0.0, 1.0])
@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("colour", ["blocking", "async", "stubborn"])
def test_a_call_that_ran_out_of_its_time_has_one_span_of_the_kind_that_is_counted(
    kept: Kept, colour: str, flow: bool, sample: float
) -> None:
    go_on = threading.Event()

    async def later(number: int) -> None:
        await asyncio.sleep(30)

    async def stubborn(number: int) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise ValueError("instead of the cancellation") from None

    fn: Any = {"blocking": lambda number: go_on.wait(30), "async": later, "stubborn": stubborn}[colour]
    whilst.otel.instrument(sample=sample, tracer_provider=kept.provider)
    try:
        run = whilst.map(whilst.sequence(fn, str) if flow else fn, [5], timeout=0.05)
        run.outcomes().list()
        (kind,) = run.summary().failures
        assert kind == "TimeoutError" or colour == "stubborn"
        ended = {span.end_time for span in kept.calls()}
    finally:
        go_on.set()
    (span,) = kept.calls()
    assert index_of(span) == 0
    assert (span.attributes or {})["error.type"] == kind
    assert span.status.status_code is StatusCode.ERROR
    assert ended == {span.end_time}, "when it was given up, not when its thread came home"


def test_the_step_of_a_part_that_ran_out_of_its_time_says_so(kept: Kept) -> None:
    async def later(number: int) -> None:
        await asyncio.sleep(30)

    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    part = whilst.step(whilst.sequence(abs, later), timeout=0.05)
    (outcome,) = whilst.map(part, [1]).outcomes().list()
    assert isinstance(outcome.error, TimeoutError)
    kinds = {(span.attributes or {})["whilst.path"]: (span.attributes or {}).get("error.type") for span in kept.calls()}
    assert sorted(kinds.values(), key=str) == [None, "TimeoutError"], kinds


def test_a_step_that_fails_by_its_own_timeout_is_told_once(kept: Kept) -> None:
    async def later(number: int) -> None:
        await asyncio.sleep(30)

    whilst.otel.instrument(sample=0.0, tracer_provider=kept.provider)
    whilst.map(whilst.sequence(abs, whilst.step(later, timeout=0.05)), [1]).outcomes().list()
    (span,) = kept.calls()
    assert (span.attributes or {})["whilst.path"] == "sequence[1]"


def test_an_answer_that_was_not_wanted_is_a_failure_in_its_span(kept: Kept) -> None:
    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    retry = whilst.Retry(2, base=0.001, on_value=lambda value: value == 0)
    run = whilst.map(abs, [0, 1], retry=retry)
    run.outcomes().list()
    (kind,) = run.summary().failures
    failed = [span for span in kept.calls() if (span.attributes or {}).get("error.type") == kind]
    assert [index_of(span) for span in failed] == [0, 0]
    assert len(kept.calls()) == 3


def test_both_calls_of_a_hedge_have_a_span_that_ends(kept: Kept) -> None:
    begun: list[int] = []

    async def late_once(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(30 if len(begun) == 61 else 0.002)
        return number

    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    run = whilst.map(whilst.step(late_once, hedge=True), range(80), concurrency=4)
    assert run.list() == [*range(80)]
    assert len(kept.calls()) == len(begun) == 80 + run.summary().hedged
    both = [(span.attributes or {}).get("error.type") for span in kept.calls() if index_of(span) == 60]
    assert sorted(both, key=str) == ["CancelledError", None], "the one that was not needed was cancelled"


def test_slow_calls_have_a_span_too(kept: Kept) -> None:
    def waits(number: int) -> None:
        time.sleep(0.1 if number == 3 else 0)

    whilst.otel.instrument(sample=0.0, slow=0.09, tracer_provider=kept.provider)
    whilst.map(waits, range(10), concurrency=1).list()
    (span,) = kept.calls()
    assert index_of(span) == 3
    assert (span.end_time or 0) - (span.start_time or 0) >= 0.09e9


def test_slow_is_five_times_the_mean_where_nothing_else_is_said(kept: Kept) -> None:
    def waits(number: int) -> None:
        time.sleep(0.3 if number == 90 else 0.005)

    whilst.otel.instrument(sample=0.0, tracer_provider=kept.provider)
    whilst.map(waits, range(100), concurrency=1).list()
    assert 90 in map(index_of, kept.calls())
    assert len(kept.calls()) < 20


def test_what_utf_8_cannot_hold_is_escaped_in_spans(kept: Kept) -> None:
    def fails(number: int) -> None:
        if number == 0:
            raise whilst.Throttled("caf\udce9", retry_after=0.2)
        raise ValueError("caf\udce9")

    whilst.otel.instrument(sample=0.5, tracer_provider=kept.provider)
    with pytest.raises(whilst.Stopped):
        whilst.map(fails, range(9), name="caf\udce9", stop_after=3).outcomes().list()
    whilst.map(whilst.together(**{"caf\udce9": fails}), [1, 2]).outcomes().list()
    assert len(kept.calls()) >= 5
    for span in kept.spans():
        said = [span.name, span.attributes, span.status.description, [(it.name, it.attributes) for it in span.events]]
        assert json.dumps(said, default=dict, ensure_ascii=False).encode()


def test_of_many_failures_a_hundred_a_second_have_one_and_the_rest_is_counted(kept: Kept) -> None:
    def fails(number: int) -> None:
        raise KeyError(number)

    whilst.otel.instrument(sample=0.0, tracer_provider=kept.provider)
    with pytest.raises(whilst.Stopped):
        whilst.map(fails, range(2000), stop_after=1500).outcomes().list()
    left_out = (kept.run().attributes or {})["whilst.spans_left_out"]
    assert isinstance(left_out, int)
    assert left_out > 0
    assert len(kept.calls()) + left_out >= 1500


def test_a_run_that_ends_early_says_why(kept: Kept) -> None:
    whilst.otel.instrument(tracer_provider=kept.provider)
    with pytest.raises(whilst.Stopped):
        whilst.map(int, ["x"] * 9, stop_after=3).outcomes().list()
    run = kept.run()
    assert run.status.status_code is StatusCode.ERROR
    assert (run.attributes or {})["error.type"] == "Stopped"


def test_steps_of_a_flow_are_told_apart_by_their_path(kept: Kept) -> None:
    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    whilst.map(whilst.sequence(abs, whilst.together(a=str, b=float)), [-1, -2]).list()
    paths = [(span.attributes or {})["whilst.path"] for span in kept.calls()]
    assert sorted(paths) == sorted(["sequence[0]", "sequence[1].together.a", "sequence[1].together.b"] * 2)


def test_what_is_rare_is_told_in_the_span_of_the_run(kept: Kept) -> None:
    asked: list[int] = []

    def busy_once(number: int) -> int:
        asked.append(number)
        if len(asked) == 1:
            raise whilst.Throttled(retry_after=0.5)
        return number

    whilst.otel.instrument(tracer_provider=kept.provider)
    assert whilst.map(busy_once, range(3), concurrency=1, retry=3).list() == [0, 1, 2]
    assert "whilst.paused" in [event.name for event in kept.run().events]


def test_where_the_run_is_not_sampled_nothing_is(kept: Kept) -> None:
    off = Kept(sampler=ParentBased(ALWAYS_OFF))
    whilst.otel.instrument(sample=1.0, tracer_provider=off.provider)
    assert whilst.map(int, ["1", "x"]).outcomes().list()
    assert off.spans() == []


def test_what_the_client_traces_is_below_the_call_and_not_recorded_where_that_is_not(kept: Kept) -> None:
    requests = pytest.importorskip("requests")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests").RequestsInstrumentor()
    instrumentation.instrument(tracer_provider=kept.provider)
    try:
        with answering() as url:

            def get(number: int) -> int:
                return int(requests.get(f"{url}{number}", timeout=10).status_code)

            whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
            assert whilst.map(get, range(6), concurrency=3).list() == [200] * 6
            calls = {span.context.span_id: index_of(span) for span in kept.calls() if span.context}
            below = [span for span in kept.spans() if span.name == "GET"]
            assert sorted(calls[span.parent.span_id] for span in below if span.parent) == list(range(6))
            kept.exporter.clear()
            whilst.otel.instrument(sample=0.0, tracer_provider=kept.provider)
            assert whilst.map(get, range(6)).list() == [200] * 6
            assert [span.name for span in kept.spans()] == [kept.run().name]
    finally:
        instrumentation.uninstrument()


class answering:
    """A server that answers everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    def __enter__(self) -> str:
        self.server = HTTPServer(("127.0.0.1", 0), self.Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_uninstrumented_nothing_is_made_any_more(kept: Kept) -> None:
    whilst.otel.instrument(sample=1.0, tracer_provider=kept.provider)
    whilst.otel.uninstrument()
    whilst.otel.uninstrument()
    whilst.map(abs, [1]).list()
    assert kept.spans() == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sample": 2}, "sample must be a share from 0 to 1, got 2\n  try: sample=0.01"),
        ({"sample": "all"}, "sample must be a share of the calls, got 'all'"),
        ({"slow": -1}, "slow must be"),
    ],
)
def test_arguments_that_cannot_be_meant(given: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        whilst.otel.instrument(**given)
    assert said in str(caught.value)


def test_opentelemetry_is_loaded_for_who_asks_for_it_alone() -> None:
    code = "import sys, whilst; whilst.map(abs, [1]).list(); print('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_without_it_the_message_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None\nimport whilst\nwhilst.otel"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert "try: pip install 'whilst[otel]'" in said
