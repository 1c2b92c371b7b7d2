"""A recording as one JSON object, for programs; its format has a number, and docs/report.md says what stands in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from .figures import figures_of
from .recorded import Recorded
from .spans import FAILED, Spans
from .told import json_of, plain

FORMAT = "whilst report 1"


def json_report(recorded: Recorded) -> Iterator[bytes]:
    """Give the object in pieces: what is known of the whole first, the calls last, one a line."""
    whole = json_of(_whole(recorded))
    yield whole[:-1] + b',"calls":[\n'
    yield from _calls(recorded, recorded.spans, "attempts")
    if recorded.steps:
        yield b'\n],"step_calls":[\n'
        before = b""
        for path in sorted(recorded.steps):
            listed = b"".join(_calls(recorded, recorded.steps[path], "attempt", path))
            if listed:
                yield before + listed
                before = b",\n"
    yield b"\n]}\n"


def _calls(recorded: Recorded, spans: Spans, attempt: str, path: str = "") -> Iterator[bytes]:
    """Give calls in the order in which they started; those of a step with its path."""
    names, first = recorded.kinds.names, True
    for row in spans.in_order():
        status = spans.status[row]
        call: dict[str, Any] = {
            **({"path": path} if path else {}),
            "index": spans.index[row],
            "started": round(spans.started[row], 7),
            "took": round(spans.took[row], 7),
            "ok": status < FAILED,
        }
        if status >= FAILED:
            call["kind"] = names[status - FAILED]
        if row in spans.attempts:
            call[attempt] = spans.attempts[row]
        if spans.weight[row] > 1:
            call["stands_for"] = spans.weight[row]
        if not path and (text := recorded.inputs.get(spans.index[row])) is not None:
            call["input"] = text
        yield (b"" if first else b",\n") + json_of(call)
        first = False


def _whole(recorded: Recorded) -> dict[str, Any]:
    figures, kinds = figures_of(recorded), recorded.kinds
    return {
        "format": FORMAT,
        "name": recorded.name,
        "timed": recorded.timed,
        "seconds": recorded.seconds,
        "count": figures.calls,
        "failed": figures.failed,
        "worked": figures.worked,
        "percentiles": figures.percentiles,
        "sampled": recorded.spans.sampled,
        "failures": [
            {"kind": name, "count": count, "examples": [asdict(example) for example in examples]}
            for name, count, examples in zip(kinds.names, kinds.counts, kinds.examples, strict=True)
        ],
        "runs": [
            {
                **msgspec.to_builtins(session.beginning),
                "offset": session.offset,
                "seconds": session.seconds,
                "calls": session.passed,
                "recalled": session.recalled,
                "summary": plain(session.ending),
                "looks": msgspec.to_builtins(session.looks),
                "nodes": msgspec.to_builtins(session.nodes),
                "events": plain(session.events),
            }
            for session in recorded.sessions
        ],
    }
