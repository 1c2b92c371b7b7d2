"""The counts of a run, and the line that says them."""

import copy
import pickle
from types import MappingProxyType
from typing import Any

import pytest

from whilst import Summary
from whilst.core.timings import Timings


def summary(**changes: Any) -> Summary:
    return Summary("fetch", None, 0, 0, 0, 0, 2.0, 8)._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "fetch: 0 ok in 2.00 s (0/s)"),
        ({"ok": 1234}, "fetch: 1,234 ok in 2.00 s (617/s)"),
        ({"ok": 10, "total": 40}, "fetch: 10 ok of 40 in 2.00 s (5/s)"),
        ({"ok": 40, "total": 40}, "fetch: 40 ok in 2.00 s (20/s)"),
        (
            {"ok": 1, "failed": 3, "failures": {"429": 2, "ValueError": 1}},
            "fetch: 1 ok, 3 failed (2 429, 1 ValueError) in 2.00 s (2/s)",
        ),
        ({"retried": 2, "hedged": 9}, "fetch: 0 ok in 2.00 s (0/s), 2 retries, 9 hedged"),
        ({"in_flight": 8}, "fetch: 0 ok in 2.00 s (0/s), 8 in flight"),
        (
            {"abandoned": 2, "left_behind": ("2 x f() (a.py line 3)",)},
            "fetch: 0 ok in 2.00 s (0/s), 2 left behind: 2 x f() (a.py line 3)",
        ),
    ],
)
def test_a_summary_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert str(summary(**changes)) == line


def test_finished_and_rate_follow_from_the_counts() -> None:
    now = summary(ok=6, failed=2)
    assert (now.finished, now.rate) == (8, 4.0)


def test_the_rate_of_no_time_is_zero() -> None:
    assert summary(ok=6, elapsed=0.0).rate == 0.0


def test_a_summary_is_frozen() -> None:
    with pytest.raises(AttributeError):
        summary().ok = 1  # type: ignore[misc]


def of_calls(*took: float, **changes: Any) -> Summary:
    timings = Timings()
    for index, seconds in enumerate(took):
        timings.add(seconds, index)
    return summary(called=len(took), timings=timings.snapshot(), **changes)


def test_what_calls_waited_is_what_the_process_did_not_compute() -> None:
    now = of_calls(1.0, 1.0, 2.0, cpu=0.5)
    assert (now.sequential, now.worked, now.waited) == (4.0, 0.5, 3.5)
    busy = of_calls(0.25, cpu=1.0)  # the process computed for other things, too
    assert (busy.sequential, busy.worked, busy.waited) == (0.25, 0.25, 0.0)


def test_the_best_speed_up_is_bounded_by_the_longest_call_the_lanes_and_the_processor() -> None:
    assert of_calls(*[1.0] * 8, cpu=0.1).speedup == 4.0
    assert of_calls(*[1.0] * 8, cpu=0.1).best_speedup == 8.0  # eight lanes
    assert of_calls(*[1.0] * 8, cpu=0.1, concurrency=5).best_speedup == 5.0
    assert of_calls(*[1.0] * 6, 2.0, cpu=0.1).best_speedup == 4.0  # the longest
    assert of_calls(*[1.0] * 8, cpu=1.6).best_speedup == 5.0  # the processor
    assert of_calls(*[1.0] * 8, cpu=1.9).speedup is None  # they computed
    assert of_calls(*[1.0] * 8, stage_time={"each": {"busy": 8.0}}).best_speedup is None


def test_a_summary_can_be_pickled_and_copied() -> None:
    now = of_calls(1.0, 2.0, failures=MappingProxyType({"429": 2}), step_time=MappingProxyType({"a": {"busy": 1.0}}))
    now = now._replace(levels=MappingProxyType({4: (9, 1.0, 1.0)}))
    for other in (pickle.loads(pickle.dumps(now)), copy.deepcopy(now), copy.copy(now)):
        assert other.to_dict() == now.to_dict()
        assert str(other) == str(now)
        assert (type(other), other.levels) == (Summary, now.levels)
