"""The same recording for Perfetto and for programs; `run.report` chooses by the name."""

from __future__ import annotations

import gzip
import json
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from recordings import flow_recording, recording

import whilst
from whilst.insight.chrome import chrome_trace
from whilst.insight.lanes import lanes_of
from whilst.insight.tracefile import NoTrace
from whilst.reporting import form_of, give_inputs, is_report, recorded_of, write_report


def events(count: int, **given: Any) -> list[dict[str, Any]]:
    found = json.loads(b"".join(chrome_trace(recording(count, **given))))
    assert found["displayTimeUnit"] == "ms"
    listed: list[dict[str, Any]] = found["traceEvents"]
    return listed


def test_every_call_is_a_slice_of_one_lane_and_slices_of_a_lane_never_overlap() -> None:
    slices = [event for event in events(2000) if event["ph"] == "X"]
    assert sorted(event["args"]["index"] for event in slices) == list(range(2000))
    for tid in {event["tid"] for event in slices}:
        mine = sorted((event["ts"], event["ts"] + event["dur"]) for event in slices if event["tid"] == tid)
        assert all(before[1] <= after[0] + 21 for before, after in pairwise(mine)), "to the 20 µs that times are off"
    assert len({event["tid"] for event in slices}) == 32


def test_only_kinds_of_events_that_viewers_are_quick_with() -> None:
    found = events(500, runs=2)
    assert {event["ph"] for event in found} <= {"X", "C", "M", "i"}
    assert all(event["ts"] >= 0 and event.get("dur", 0) >= 0 for event in found if event["ph"] != "M")
    named = {event["tid"] for event in found if event["name"] == "thread_name"}
    assert {event["tid"] for event in found if event["ph"] == "X"} <= named


def test_failures_have_their_kind_and_counters_tell_what_was_in_flight() -> None:
    found = events(3000)
    failed = [event for event in found if event.get("cat") == "failed"]
    assert failed
    assert {event["args"]["error.type"] for event in failed} == {"429", "TimeoutError", "ValueError"}
    flight = [event for event in found if event["name"] == "in flight"]
    assert flight[0]["args"]["permitted"] == 32
    assert flight[-1]["args"]["permitted"] == 24


def test_steps_of_a_flow_are_groups_of_tracks_and_listed_behind_the_calls(tmp_path: Path) -> None:
    found = json.loads(b"".join(chrome_trace(flow_recording(100))))["traceEvents"]
    groups = {event["pid"]: event["args"]["name"] for event in found if event["name"] == "process_name"}
    assert groups == {1: "fetch", 2: "sequence.load", 3: "sequence.save"}
    assert sum(event["ph"] == "X" and event["pid"] == 3 for event in found) == 110
    assert sum(event.get("args", {}).get("attempt") == 2 for event in found) == 10
    write_report(flow_recording(100), str(tmp_path / "run.json"))
    listed = json.loads((tmp_path / "run.json").read_text())["step_calls"]
    mine = [call for call in listed if call["index"] == 13]
    assert [(call["path"], call["ok"], call.get("attempt", 1), call.get("kind")) for call in mine] == [
        ("sequence.load", True, 1, None),
        ("sequence.save", False, 1, "429"),
        ("sequence.save", True, 2, None),
    ]


def test_a_call_is_a_dozen_bytes_when_it_is_zipped(tmp_path: Path) -> None:
    path = tmp_path / "run.chrome.json.gz"
    write_report(recording(20_000), str(path))
    assert path.stat().st_size <= 16 * 20_000
    assert len(json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]) > 20_000


def test_lanes_are_as_few_as_calls_at_once() -> None:
    spans = recording(1000, lanes=7).spans
    assert max(lanes_of(spans, spans.in_order())) == 6


def test_the_name_says_in_which_form(tmp_path: Path) -> None:
    run = whilst.map(abs, range(50), trace=tmp_path / "run.trace")
    run.list()
    for name in ("run.html", "run.json", "run.chrome.json", "run.json.gz", "run.perfetto.json.gz"):
        run.report(tmp_path / name)
        assert is_report(str(tmp_path / name))
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["format"] == "whilst report 1"
    assert found["count"] == 50
    assert len(found["calls"]) == 50
    assert {"index", "started", "took", "ok"} == set(found["calls"][0])
    assert found["runs"][0]["summary"]["ok"] == 50
    with pytest.raises(ValueError, match=r"run.pdf: its ending names no form of a report\n  try: run.html"):
        run.report(tmp_path / "run.pdf")
    assert form_of("x/run.HTM") == "html"
    assert form_of("run.trace") is None


def test_a_file_that_is_neither_trace_nor_journal_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("hello")
    with pytest.raises(ValueError, match="neither a trace nor a journal"):
        recorded_of(str(path))


def test_a_trace_and_its_journal_together_know_each_call_by_its_input(tmp_path: Path) -> None:
    """Indices of the trace are of its own run; inputs that failed are called once more in the next, and known twice."""
    journal, trace = tmp_path / "run.db", tmp_path / "run.trace"
    chance = random.Random(4)

    def call(text: str) -> str:
        time.sleep(chance.random() / 500)
        if text.endswith("3"):
            raise ValueError("no")
        return text

    for most in (40, 90, 300):
        texts = [f"item {number}" for number in range(most)]
        found = whilst.map(call, texts, concurrency=5, journal=journal, trace=trace).outcomes().list()
        assert len(found) == most
    found = recorded_of(str(trace), str(journal))
    assert [session.passed for session in found.sessions] == [40, 50 + 4, 210 + 9]
    assert found.inputs == {number: f"item {number}" for number in range(300)}
    alone = recorded_of(str(trace))
    assert give_inputs(alone, str(journal)) == 40 + 54 + 219
    write_report(found, str(tmp_path / "run.json"))
    calls = json.loads((tmp_path / "run.json").read_text())["calls"]
    assert all(call["input"] == f"item {call['index']}" for call in calls)


def test_another_journal_names_no_call(tmp_path: Path) -> None:
    for name, seconds in (("one", 0.001), ("two", 0.004)):
        rows = [seconds + number % 7 * seconds / 20 for number in range(30)]
        whilst.map(time.sleep, rows, journal=tmp_path / f"{name}.db", trace=tmp_path / f"{name}.trace").list()
    with pytest.raises(
        NoTrace, match=r"is not the journal of .*one\.trace\n  try: whilst report .* --journal .*one\.db"
    ):
        recorded_of(str(tmp_path / "one.trace"), str(tmp_path / "two.db"))


def test_of_a_journal_that_was_made_in_several_runs_each_is_shown(tmp_path: Path) -> None:
    journal = tmp_path / "run.db"
    for count in (20, 50):
        whilst.map(abs, range(count), journal=journal).list()
    found = recorded_of(str(journal))
    assert [session.passed for session in found.sessions] == [20, 30]
    assert found.timed
    assert found.inputs[49] == "49"
    assert found.sessions[1].offset > 0
