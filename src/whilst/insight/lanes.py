"""In which lane is a call drawn? In the lowest that is free when it starts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from .spans import Spans


def lanes_of(spans: Spans, order: Iterable[int], slack: float = 0.0) -> list[int]:
    """Return the lane of each row of `order`, which is that of the starts.

    A lane is free again `slack` seconds before its call ends: moments are rounded.
    """
    started, took = spans.started, spans.took
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    found: list[int] = []
    many = 0
    for row in order:
        start = started[row]
        while busy and busy[0][0] <= start + slack:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, many = many, many + 1
        heapq.heappush(busy, (start + took[row], lane))
        found.append(lane)
    return found
