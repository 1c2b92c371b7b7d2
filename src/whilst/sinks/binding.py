"""What binds a run now? What its lanes have done in the last seconds, and if it is a pipeline, its stages."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from ..core.account import BUSY, CONSUMER, LIMIT, ORDER, PUSHBACK, SOURCE, START, TAIL, shares
from ..core.summary import Summary

RECENT = 5.0  # seconds that "now" is
MOST = 0.5  # of the lane-time; what takes less binds nothing
_WORDS = {
    SOURCE: "waits for its source",
    CONSUMER: "waits for its consumer",
    ORDER: "waits for a slow input",
    BUSY: "all lanes busy",
    PUSHBACK: "held back by the other side",
    START: "",
    TAIL: "the last ones",
}
_BEHIND = "this process does not keep up"
_NEIGHBOURS = (SOURCE, CONSUMER, ORDER, TAIL)

Parts = Mapping[str, Mapping[str, float]]


class Binding:
    """Compares what summaries say of lane-time.

    >>> binding = Binding()
    >>> first = Summary("fetch", None, 0, 0, 0, 0, 1.0, 4, lane_time={"busy": 4.0})
    >>> binding.seen(first)
    >>> binding.seen(first._replace(elapsed=2.0, lane_time={"busy": 4.5, "limit: rate=9/s": 3.5}))
    >>> binding.words
    'held by rate=9/s'
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Mapping[str, float], Parts]] = deque()
        self._keeps_up = True

    def seen(self, now: Summary) -> None:
        """Take note of a summary."""
        if self._seen and now.elapsed <= self._seen[-1][0]:
            return
        self._keeps_up = now.keeps_up
        self._seen.append((now.elapsed, now.lane_time, now.stage_time))
        while len(self._seen) > 2 and now.elapsed - self._seen[1][0] >= RECENT:
            self._seen.popleft()

    @property
    def words(self) -> str:
        """What binds it; "" if nothing does, or nothing can be said."""
        if len(self._seen) < 2:
            return ""
        (_, before, parts_before), (_, after, parts) = self._seen[0], self._seen[-1]
        stages = {path: _since(parts_before.get(path, {}), spent) for path, spent in parts.items()}
        if len(stages) > 1:
            return _slowest(stages)
        reason, share = next(iter(_since(before, after).items()), ("", 0.0))
        if share < MOST:
            return ""
        if reason == BUSY and not self._keeps_up:
            return _BEHIND
        return f"held by {reason.removeprefix(LIMIT)}" if reason.startswith(LIMIT) else _WORDS.get(reason, reason)


def _since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return shares({reason: max(0.0, spent - before.get(reason, 0.0)) for reason, spent in after.items()})


def _slowest(stages: Mapping[str, Mapping[str, float]]) -> str:
    """Name the stage for which the others wait: the one that waits least for them."""
    waits = {path: sum(spent.get(it, 0.0) for it in _NEIGHBOURS) for path, spent in stages.items() if spent}
    path = min(waits, key=lambda it: waits[it], default="")
    if not path or waits[path] > MOST:
        return ""
    reason = next(iter(stages[path]))
    by = f", held by {reason.removeprefix(LIMIT)}" if reason.startswith(LIMIT) else ""
    return f"waits for {path}{by}"
