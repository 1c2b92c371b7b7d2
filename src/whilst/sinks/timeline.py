"""How did a run go, drawn as small as a line of text? A column for each span of time: outcomes, and who waited."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ..core.account import meaning, shares
from ..core.summary import Summary
from ..core.telling import brief, colour_of

MOST = 120  # looks that are kept; then every second one goes, so that it stays small however long the run
SHORT = 0.4  # of the time between two looks; a shorter one is a part of the one before it
WIDTH, HEIGHT = 560, 60


class Timeline:
    """What summaries have said, as columns.

    >>> timeline = Timeline()
    >>> for second in range(3):
    ...     timeline.seen(Summary("fetch", None, 10 * second, 0, 0, 0, second, 4, lane_time={"busy": 4.0 * second}))
    >>> [(column.began, column.rate, column.account) for column in timeline.columns]
    [(0, 10.0, {'busy': 1.0}), (1, 10.0, {'busy': 1.0})]
    """

    def __init__(self) -> None:
        self._seen: list[Summary] = []
        self._last = 0.0  # seconds between two looks

    def seen(self, now: Summary) -> None:
        """Take note of a summary."""
        if self._seen and now.elapsed <= self._seen[-1].elapsed:
            return
        if len(self._seen) > 1 and now.elapsed - self._seen[-1].elapsed < SHORT * self._last:
            self._seen.pop()  # of a moment nothing can be said: most likely nothing ended in it
        elif self._seen:
            self._last = now.elapsed - self._seen[-1].elapsed
        self._seen.append(now)
        if len(self._seen) > MOST:
            self._seen = [*self._seen[:-1:2], now]

    @property
    def columns(self) -> list[Column]:
        """What was between two looks."""
        return [Column(before, after) for before, after in zip(self._seen, self._seen[1:], strict=False)]

    def as_svg(self) -> str:
        """Return a drawing: lanes by what they did, and outcomes a second as a line over it; "" of less than two."""
        columns = self.columns
        if len(columns) < 2:
            return ""
        begin, end = columns[0].began, columns[-1].ended
        most = max(column.rate for column in columns) or 1.0
        scale = WIDTH / (end - begin)
        bars = "".join(_bars(column, (column.began - begin) * scale, column.seconds * scale) for column in columns)
        middles = [((column.began + column.ended) / 2 - begin) * scale for column in columns]
        heights = [HEIGHT - 2 - column.rate / most * (HEIGHT - 4) for column in columns]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(middles, heights, strict=True))
        told = escape(f"what the lanes did in {brief(end)}, and the outcomes a second: at most {most:,.0f}")
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" style="max-width:{WIDTH}px;display:block" role="img" '
            f'aria-label="{told}"><title>{told}</title>{bars}'
            f'<polyline points="{points}" fill="none" stroke="#fff" stroke-width="4" stroke-linejoin="round"/>'
            f'<polyline points="{points}" fill="none" stroke="#000" stroke-width="1.5" stroke-linejoin="round"/></svg>'
        )


class Column:
    """What a run did between two looks."""

    def __init__(self, before: Summary, after: Summary) -> None:
        self.began: float = before.elapsed
        self.ended: float = after.elapsed
        self.seconds: float = after.elapsed - before.elapsed
        self.rate: float = max(0, _made(after) - _made(before)) / self.seconds
        self.account: dict[str, float] = shares(_since(before.lane_time, after.lane_time))


def _made(now: Summary) -> int:
    return now.finished - now.recalled


def _since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {reason: max(0.0, spent - before.get(reason, 0.0)) for reason, spent in after.items()}


def _bars(column: Column, at: float, width: float) -> str:
    drawn, top = "", float(HEIGHT)
    for reason, share in column.account.items():
        height = share * HEIGHT
        top -= height
        drawn += (
            f'<rect x="{at:.1f}" y="{top:.1f}" width="{width + 0.3:.1f}" height="{height:.1f}" '
            f'fill="{colour_of(reason)}"><title>{escape(meaning(reason))}</title></rect>'
        )
    return drawn
