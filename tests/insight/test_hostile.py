"""What is in a trace may be anybody's: no content of a block breaks a report, and no secret comes out of one."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "core"))
from canaries import CANARY, TEXTS

import whilst
from whilst.insight import tracefile
from whilst.insight.as_json import json_report
from whilst.insight.chrome import chrome_trace
from whilst.insight.chunks import Chunk, Columns
from whilst.insight.filing import FileSink
from whilst.insight.live import Live
from whilst.insight.page import page
from whilst.insight.recorded import Beginning, read_trace
from whilst.insight.spans import FAILED, Node
from whilst.insight.tracefile import Appender, NoTrace

NUMBERS = st.one_of(st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False))
TEXT = st.text(max_size=12)
NAMES = st.sampled_from(
    [
        "event",
        "t",
        "why",
        "ok",
        "failed",
        "account",
        "advice",
        "text",
        "change",
        "elapsed",
        "notes",
        "failures",
        "recalled",
    ]
)
THINGS = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(NAMES, TEXT), inner, max_size=5)),
    max_leaves=12,
)
CHUNKS = st.tuples(*[st.one_of(st.integers(-3, 40), NUMBERS)] * 4, st.just([[0, 7, 2]]), st.just(["a"]), st.just([1]))
BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([tracefile.LOOK, tracefile.EVENTS, tracefile.END, tracefile.NODES, b"else"]), THINGS),
        st.tuples(st.just(tracefile.EVENTS), st.lists(st.dictionaries(NAMES, THINGS, max_size=4), max_size=3)),
        st.tuples(st.just(tracefile.END), st.dictionaries(NAMES, THINGS, max_size=8)),
        st.tuples(st.just(tracefile.CALLS), CHUNKS),
    ),
    max_size=5,
)


@settings(max_examples=60)
@given(BLOCKS)
def test_no_block_breaks_a_report_whatever_it_says(blocks: list[tuple[bytes, Any]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/run.trace"
        sink = FileSink(path, Beginning("fetch", 1e300, -5, -1), goes_on=False)
        sink.begin()
        file = sink._file
        assert isinstance(file, Appender)
        for kind, said in blocks:
            text = json.dumps(said).encode()
            if kind == tracefile.CALLS:
                text = zlib.compress(len(text).to_bytes(4, "little") + text + bytes(20))
            file.write(kind, text)
        file.close()
        found = read_trace(path)
        assert page(found)
        json.loads(b"".join(json_report(found)))
        json.loads(b"".join(chrome_trace(found)))


def test_a_trace_of_nothing_but_an_end_is_none(tmp_path: Path) -> None:
    file = Appender(str(tmp_path / "run.trace"), goes_on=False)
    file.write_json(tracefile.END, {"ok": 1})
    file.close()
    with pytest.raises(NoTrace, match="no run in it"):
        read_trace(str(tmp_path / "run.trace"))


HALF = "caf\udce9"


def test_half_of_a_character_ends_no_recording_and_no_report(tmp_path: Path) -> None:
    """As in the name of a file that is not UTF-8: in an input, a failure, the name of the run, of a step."""

    def fail(text: str) -> None:
        if "caf" in text:
            raise ValueError(text)

    inputs, path, journal = [HALF, "a", "b"], tmp_path / "run.trace", tmp_path / "run.db"
    of_map = whilst.map(fail, inputs, trace=path, journal=journal, name=HALF)
    of_map.outcomes().list()
    flow = whilst.together(**{HALF: fail})
    of_flow = whilst.map(flow, inputs, trace=tmp_path / "flow.trace")
    of_flow.outcomes().list()
    untraced = whilst.map(fail, inputs, name=HALF)
    untraced.outcomes().list()
    for run in (of_map, of_flow, untraced):
        for name in ("a.html", "a.json", "a.chrome.json"):
            run.report(tmp_path / name)
            assert "caf\\udce9" in (tmp_path / name).read_text("utf-8").replace("\\\\", "\\")
        summary = run.summary()
        assert (str(summary) + summary._repr_html_()).encode()
    for trace in (path, tmp_path / "flow.trace"):
        found = read_trace(str(trace))
        assert (sum(session.passed for session in found.sessions), found.sessions[0].killed) == (3, False)
    from whilst.reporting import recorded_of, rendered

    for form in ("html", "json", "chrome"):
        assert b"".join(rendered(recorded_of(str(journal)), form))


def test_half_of_a_character_is_shown_while_the_run_goes_on() -> None:
    live = Live()
    summary = whilst.map(abs, [], name=HALF).summary()._replace(failures={HALF: 1}, failed=1, notes=(HALF,))
    shown = live.begin(Beginning(HALF, 1.8e9, tree=HALF, limits=(HALF,), journal=HALF), lambda: summary)
    head = Chunk(1, 0.0, 1, 1, [(0, FAILED, 1)], [HALF], [1], [(0, 0, HALF, 1, 0.1)], path="")
    shown.calls(Columns.of([0], [0.0], [0.1]), head)
    shown.calls(Columns.of([0], [0.0], [0.1]), Chunk(1, 0.0, 1, 1, path=HALF))
    shown.events([{"event": HALF, "t": 0.0}])
    shown.nodes({HALF: Node(1, 1, 0.1, 0.1)})
    assert live.page(None)
    assert live.news(None, None)[1]
    shown.end({"name": HALF, "failures": {HALF: 1}})
    assert live.page(1)
    assert live.news(1, None)[1]


def test_no_canary_comes_out_of_a_trace_a_page_or_a_span(tmp_path: Path) -> None:
    def fail(text: str) -> None:
        kind = type("Error", (Exception,), {})
        kind.__name__ = text[:80]
        raise kind(text)

    path, journal = tmp_path / "run.trace", tmp_path / "run.db"
    run = whilst.map(fail, TEXTS, stop_after=10_000, retry=2, trace=path, journal=journal, name=TEXTS[0])
    run.outcomes().list()
    written = [zlib.decompress(data) if kind == tracefile.CALLS else data for kind, data in tracefile.blocks(str(path))]
    assert len(written) > 3
    for name in ("a.html", "a.json", "a.chrome.json"):
        run.report(tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    from whilst.reporting import recorded_of, write_report

    for name in ("b.html", "b.json"):
        write_report(recorded_of(str(journal)), str(tmp_path / name))
        written.append((tmp_path / name).read_bytes())
    for text in written:
        assert CANARY.encode() not in text
    assert len(TEXTS) >= 50


def test_no_canary_comes_out_of_spans() -> None:
    pytest.importorskip("opentelemetry.sdk")
    from test_otel import Kept

    def fail(text: str) -> None:
        raise RuntimeError(text)

    kept = Kept()
    whilst.otel.instrument(sample=0.5, tracer_provider=kept.provider)
    try:
        for name in TEXTS[:20]:
            whilst.map(fail, TEXTS, stop_after=10_000, name=name).outcomes().list()
    finally:
        whilst.otel.uninstrument()
    assert len(kept.calls()) > 100
    for span in kept.spans():
        assert CANARY not in span.to_json()
