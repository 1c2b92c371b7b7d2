"""Which figures does a report state in words, of calls that were recorded?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Final, NamedTuple

from .recorded import Recorded
from .spans import FAILED, SLOWEST, Spans

SLOW: Final = 12  # calls that are listed
PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))


@dataclass(frozen=True, slots=True)
class Slow:
    """One of the calls that took longest."""

    index: int
    started: float
    took: float
    attempts: int
    kind: str


class Figures(NamedTuple):
    """What is stated of the calls.

    Attributes:
        calls: how many there were, exactly.
        ok, failed: how many of them went well in the end, and how many did not.
        retried: rows that took more than one attempt, as far as they were kept.
        worked: seconds that all calls took together; of a flow, those of its steps.
        percentiles: seconds by name, `max` last; empty without calls.
        slowest: the calls that took longest.
    """

    calls: int
    ok: int
    failed: int
    retried: int
    worked: float
    percentiles: dict[str, float]
    slowest: list[Slow]


def figures_of(recorded: Recorded) -> Figures:
    """Count."""
    spans, kinds = recorded.spans, recorded.kinds
    failed = sum(kinds.counts)
    calls = sum(session.passed for session in recorded.sessions)
    return Figures(
        calls,
        max(0, calls - failed),
        failed,
        len(spans.attempts),
        _worked(recorded),
        percentiles(spans),
        _slowest(recorded),
    )


def percentiles(spans: Spans) -> dict[str, float]:
    """Return how long calls took: half of them at most `p50`, and so on."""
    kept: Sequence[float] = spans.took
    if spans.sampled:  # those that were kept for taking long would count twice
        kept = [took for took, status in zip(spans.took, spans.status, strict=True) if status != SLOWEST]
    took = sorted(kept)
    if not took:
        return {}
    found = {name: took[min(len(took) - 1, int(share * len(took)))] for name, share in PERCENTILES}
    return {**found, "max": max(spans.took)}


def _worked(recorded: Recorded) -> float:
    """Add up what calls took; an input of a flow also waits between its steps, which no call does."""
    nodes = [node for session in recorded.sessions for node in session.nodes.values()]
    if nodes:
        return sum(node.seconds for node in nodes)
    spans = recorded.spans
    if not spans.sampled:
        return sum(spans.took)
    return sum(took * weight for took, weight in zip(spans.took, spans.weight, strict=True))


def _slowest(recorded: Recorded) -> list[Slow]:
    spans, names = recorded.spans, recorded.kinds.names
    rows = nlargest(SLOW, range(len(spans)), key=spans.took.__getitem__)
    return [
        Slow(
            spans.index[row],
            spans.started[row],
            spans.took[row],
            spans.attempts.get(row, 1),
            _kind(spans.status[row], names),
        )
        for row in rows
    ]


def _kind(status: int, names: Sequence[str]) -> str:
    return names[status - FAILED] if FAILED <= status < FAILED + len(names) else ""
