"""The counts of a run, and the line that says them."""

from typing import Any

import pytest

from whilst import Summary


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
