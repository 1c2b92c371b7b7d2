"""A trace for Perfetto and chrome://tracing: a track for each lane, a slice for each call, counters beside them.

Only slices of one piece (`X`), counters (`C`) and names (`M`) are used: begin and end apart (`b`, `e`)
take twice the room, and a million of them make the viewer slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.secrets import bounded
from .lanes import lanes_of
from .recorded import Recorded, Session
from .spans import FAILED, RETRIED, Spans
from .told import json_of
from .words import visible

SLACK = 2e-5  # seconds by which times may be off
MARKS = ("paused", "resumed", "breaker_opened", "call_abandoned", "attempt_failed")


def chrome_trace(recorded: Recorded) -> Iterator[bytes]:
    """Give the trace in pieces of JSON."""
    yield b'{"displayTimeUnit":"ms","otherData":{"whilst":"report 1"},"traceEvents":[\n'
    first = True
    for event in _events(recorded):
        yield (b"" if first else b",\n") + json_of(event)
        first = False
    yield b"\n]}\n"


def _events(recorded: Recorded) -> Iterator[dict[str, Any]]:
    title = visible(recorded.name or "a run")
    yield {"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": title}}
    yield from _slices(recorded, recorded.spans, title, 1)
    for session in recorded.sessions:
        yield from _moments(session)
    for number, path in enumerate(sorted(recorded.steps), 2):
        name = visible(bounded(path, 160))
        yield {"ph": "M", "pid": number, "tid": 0, "name": "process_name", "args": {"name": name}}
        yield from _slices(recorded, recorded.steps[path], name, number)


def _slices(recorded: Recorded, spans: Spans, title: str, pid: int) -> Iterator[dict[str, Any]]:
    """Give the calls of inputs, or those of a step, as a group of tracks."""
    names, order = recorded.kinds.names, spans.in_order()
    lanes = lanes_of(spans, order, SLACK)
    for lane in range(max(lanes, default=-1) + 1):
        yield {"ph": "M", "pid": pid, "tid": lane + 1, "name": "thread_name", "args": {"name": f"lane {lane}"}}
        yield {"ph": "M", "pid": pid, "tid": lane + 1, "name": "thread_sort_index", "args": {"sort_index": lane}}
    for row, lane in zip(order, lanes, strict=True):
        status = spans.status[row]
        args: dict[str, Any] = {"index": spans.index[row]}
        name = title
        if status >= FAILED:
            name = args["error.type"] = visible(names[status - FAILED])
        elif status == RETRIED:
            args["retried"] = True
        if row in spans.attempts:
            args["attempts" if pid == 1 else "attempt"] = spans.attempts[row]
        if spans.weight[row] > 1:
            args["stands for"] = spans.weight[row]
        call = {"ph": "X", "pid": pid, "tid": lane + 1, "ts": _us(spans.started[row]), "dur": _us(spans.took[row])}
        yield {**call, "name": name, "cat": "failed" if status >= FAILED else "call", "args": args}


def _moments(session: Session) -> Iterator[dict[str, Any]]:
    before = None
    for look in session.looks:
        at = {"ph": "C", "pid": 1, "tid": 0, "ts": _us(session.offset + look.t)}
        yield {**at, "name": "in flight", "args": {"calls": look.in_flight, "permitted": look.permitted or 0}}
        if before is not None and look.t > before.t:
            rate = (look.done - before.done) / (look.t - before.t)
            yield {**at, "name": "done a second", "args": {"calls": round(rate, 3)}}
        before = look
    for event in session.events:
        if event.get("event") in MARKS:
            said = {name: value for name, value in event.items() if name not in ("event", "t")}
            moment = _us(session.offset + float(event.get("t") or 0.0))
            yield {"ph": "i", "s": "p", "pid": 1, "tid": 0, "ts": moment, "name": event["event"], "args": said}


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 1)
