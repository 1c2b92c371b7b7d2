"""The small timeline of a notebook shows what was done, however the looks at it fell."""

from __future__ import annotations

from itertools import accumulate, cycle, pairwise

import pytest

from whilst import Summary
from whilst.sinks.timeline import MOST, Timeline


def looked(moments: list[float], rate: float = 100.0, recalled: int = 0) -> Timeline:
    """Return the timeline of a run that does ten at a time, after a tenth of a second each."""
    timeline = Timeline()
    for moment in moments:
        done = int(moment * rate + 1e-9) // 10 * 10
        now = Summary("fetch", None, done + (recalled if moment else 0), 0, 0, 0, moment, 4)
        timeline.seen(now._replace(lane_time={"busy": 4 * moment}, recalled=recalled if moment else 0))
    return timeline


@pytest.mark.parametrize("gaps", [[0.5], [0.5, 0.001], [0.5, 0.5, 0.02], [0.3, 0.1, 0.001]])
@pytest.mark.parametrize("count", [20, 3 * MOST])
def test_a_look_right_after_another_is_no_moment_in_which_nothing_was_done(gaps: list[float], count: int) -> None:
    moments = [0.0, *accumulate(gap for gap, _ in zip(cycle(gaps), range(count), strict=False))]
    timeline = looked(moments)
    columns = timeline.columns
    assert columns[0].began == 0.0
    assert columns[-1].ended == pytest.approx(moments[-1])
    assert all(before.ended == after.began for before, after in pairwise(columns))
    assert min(column.rate for column in columns) >= 40.0
    assert len(columns) <= MOST


def test_what_came_from_a_journal_is_no_work() -> None:
    assert max(column.rate for column in looked([0.0, 0.5, 1.0, 1.5], recalled=1_000_000).columns) == pytest.approx(100)
