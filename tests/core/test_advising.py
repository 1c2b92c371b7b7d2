"""Advice follows from where the time went; figures only from what was seen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst import Summary
from whilst.core.account import MEANINGS
from whilst.core.budget import Budget
from whilst.core.timings import Timings


def summary(account: dict[str, float], *, took: float = 0.1, called: int = 200, **changes: Any) -> Summary:
    """A run of ten seconds with eight lanes."""
    timings = Timings()
    for index in range(called):
        timings.add(took, index)
    given: dict[str, Any] = {
        "lane_time": {reason: 80 * share for reason, share in account.items()},
        "called": called,
        "peak": 8,
        "cpu": 0.5,
        "done": True,
        "timings": timings.snapshot(),
        **changes,
    }
    return Summary("fetch", called, called, 0, 0, 0, 10.0, 8)._replace(**given)


def drained(share: float) -> str:
    """Return the note of a budget for which retries had to wait."""
    budget = Budget(share, 0.0)
    while not budget.note:
        budget.withdraw(0, 0.0)
    return budget.note


def texts(now: Summary) -> list[str]:
    return [it.text for it in now.advice]


@pytest.mark.parametrize(
    ("account", "changes", "begins", "change"),
    [
        ({"busy": 0.97, "tail": 0.03}, {}, "All 8 lanes were in calls: concurrency=16", {"concurrency": "adaptive"}),
        ({"source": 0.8, "busy": 0.2}, {}, "The source gives 20/s, the calls could take 100/s", None),
        ({"consumer": 0.8, "busy": 0.2}, {}, "Your loop is slower than the calls", None),
        ({"order": 0.5, "busy": 0.5}, {}, "ordered=False makes this 2.0x as fast", {"ordered": False}),
        (
            {"limit: rate=20/s": 0.8, "busy": 0.2},
            {"given_by": {"rate=20/s": ("rate", "")}},
            "rate=20/s is what bounds this run",
            {"rate": "40/s"},
        ),
        (
            {"limit: rate=20/s": 0.8, "busy": 0.2},
            {"given_by": {"rate=20/s": ("limit", "")}},
            "rate=20/s is what bounds this run",
            {"limit": 'Limit(rate="40/s")'},
        ),
        ({"limit: concurrency=2 per key": 0.8, "busy": 0.2}, {}, "concurrency=2 per key is what bounds", None),
        ({"pushback": 0.8, "busy": 0.2}, {"rejected": 2}, "The other side had this run wait for 8.0 s", None),
        (
            {"pushback": 0.8, "busy": 0.2},
            {"failed_time": {"ConnectionError": 1.0}},
            "So many calls failed that the run paused",
            None,
        ),
        (
            {"busy": 0.8, "tail": 0.2},
            {"failed_time": {"ConnectionError": 10.0}, "failed": 100},
            "50 % of the time in calls was spent on calls that failed: without them this is at most 1.7x as fast",
            None,
        ),
        (
            {"busy": 0.8, "tail": 0.2},
            {"failed_time": {"TimeoutError": 15.0}, "failed": 100},
            "75 % of the time in calls was spent on calls that ran into their timeout",
            None,
        ),
        (
            {"busy": 0.9, "start": 0.1},
            {"workers": {"worker 1": {"calls": 200, "seconds": 20.0, "computed": 19.0}}, "processors": 8},
            "The calls compute, and there is a worker for each of the 8 processors",
            None,
        ),
        (
            {"busy": 0.9, "start": 0.1},
            {"workers": {"worker 1": {"calls": 200, "seconds": 20.0, "computed": 19.0}}, "processors": 16},
            "The calls compute, and there are 16 processors: concurrency=16 makes this at most 2.0x",
            {"concurrency": 16},
        ),
        (
            {"start": 0.6, "busy": 0.4},
            {"workers": {"worker 1": {"calls": 200, "seconds": 20.0, "computed": 1.0}}, "processors": 8},
            "The calls wait rather than compute, so they need no processes",
            {"executor": "thread", "concurrency": 32},
        ),
        (
            {"start": 0.6, "busy": 0.4},
            {"workers": {"worker 1": {"calls": 200, "seconds": 20.0, "computed": 19.0}}, "processors": 8},
            "Workers take 6.0 s to start",
            None,
        ),
        (
            {"pushback": 0.8, "busy": 0.2},
            {"rejected": 40, "called": 240},
            "The other side let 20/s through",
            {"rate": "20/s"},
        ),
        ({"retries": 0.8, "busy": 0.2}, {"retried": 9}, "The end waits for inputs that failed", None),
        (
            {"retries": 0.8, "busy": 0.2},
            {"retried": 9, "retry_waits": {"budget": 30.0, "backoff": 1.0}, "notes": (drained(0.2),)},
            "Retries wait for their budget: Retry(budget=0.5) lets",
            {"retry": "Retry(budget=0.5)"},
        ),
        (
            {"retries": 0.8, "busy": 0.2},
            {"retried": 9, "retry_waits": {"budget": 30.0, "backoff": 1.0}, "notes": (drained(1.0),)},
            "Retries wait for their budget: Retry(budget=None) lets",  # and not a smaller one than there was
            {"retry": "Retry(budget=None)"},
        ),
        ({"journal": 0.6, "busy": 0.4}, {}, "Lanes wait for the disk", {"commit": "buffered"}),
        ({"busy": 1.0}, {"cpu": 9.9}, "The calls compute rather than wait", {"executor": "process"}),
        ({"busy": 1.0}, {"cpu": 6.0, "late": 0.006}, "This process hardly keeps up", {"executor": "process"}),
        ({"busy": 1.0}, {"cpu": 0.3, "late": 0.04}, "Something holds the event loop and waits there", None),
        (
            {"busy": 1.0},
            {"cpu": 2.0, "queued": 0.8},
            "This machine has other work: the run's loop got a processor",
            None,
        ),
        (
            {"busy": 1.0},
            {"cpu": 0.2, "queued": 0.7, "late": 0.04},
            "Something holds the event loop and waits there",
            None,
        ),
        ({"busy": 1.0}, {"cpu": 6.0, "queued": 0.96, "late": 0.04}, "The calls compute", {"executor": "process"}),
        ({"busy": 1.0}, {"cpu": 9.9, "queued": 0.8}, "The calls compute rather than wait", {"executor": "process"}),
        ({"busy": 1.0}, {"cpu": 9.9, "took": 1e-6}, "The calls take 1.0 µs and wait for nothing", None),
    ],
)
def test_each_cause_has_its_sentence(
    account: dict[str, float], changes: dict[str, Any], begins: str, change: dict[str, Any] | None
) -> None:
    first = summary(account, **changes).advice[0]
    assert first.text.startswith(begins)
    assert first.change == change
    assert first.evidence


def test_what_the_other_side_permits_is_counted_in_calls() -> None:
    of_a_journal = summary({"pushback": 0.8, "busy": 0.2}, called=60, rejected=40, ok=9_020, recalled=9_000)
    assert of_a_journal.advice[0].change == {"rate": "2/s"}


def test_what_pauses_were_for_is_not_said_to_be_all_that_is_permitted() -> None:
    (advice,) = summary({"pushback": 0.8, "busy": 0.2}, rejected=40, called=240).advice
    assert "permits about" not in advice.text
    assert "only a higher" not in advice.text


def test_what_the_loop_takes_is_not_counted_by_outcomes_that_nobody_has_taken_yet() -> None:
    (advice,) = summary({"consumer": 0.8, "busy": 0.2}).advice
    assert "an outcome" not in advice.text


def test_outcomes_out_of_order_gain_no_more_than_the_longest_call_lets_them() -> None:
    timings = Timings()
    for index in range(200):
        timings.add(8.0 if index == 3 else 0.1, index)
    now = summary({"order": 0.5, "busy": 0.5}, timings=timings.snapshot())
    (advice,) = now.advice
    assert advice.gain == pytest.approx(10.0 / 8.0)
    assert "ordered=False makes this 1.2x" in advice.text
    assert now._replace(elapsed=8.4).advice == ()


RATED: dict[str, Any] = {"given_by": {"rate=21/s": ("rate", "")}}
LEVELS = {4: (150, 0.2, 0.2), 8: (50, 0.2, 0.2)}


@pytest.mark.parametrize("account", [{"busy": 1.0}, {"source": 0.8, "busy": 0.2}, {"order": 0.5, "busy": 0.5}])
@pytest.mark.parametrize("changes", [{}, {"levels": LEVELS}])
def test_a_rate_that_is_given_bounds_whatever_is_said(account: dict[str, float], changes: dict[str, Any]) -> None:
    assert not [it for it in summary(account, **changes, **RATED).advice if it.gain or "as fast" in it.text]
    faster = {"given_by": {"rate=30/s": ("limit", "")}}
    assert [text for text in texts(summary(account, **changes, **faster)) if "1.5x as fast" in text]
    of_a_step = {"given_by": {"rate=21/s": ("rate", "sequence[1]")}}
    assert [text for text in texts(summary(account, **changes, **of_a_step)) if "x as fast" in text], "not by all"


def test_the_limit_that_is_to_be_raised_does_not_bound_what_that_gains() -> None:
    (advice,) = summary({"limit: rate=21/s": 0.8, "busy": 0.2}, **RATED).advice
    assert "at most 5.0x as fast" in advice.text


def test_more_workers_are_not_proposed_where_the_rate_is_all_used() -> None:
    workers = {"worker 1": {"calls": 200, "seconds": 20.0, "computed": 19.0}}
    now = summary({"busy": 1.0}, workers=workers, processors=16)
    assert texts(now)
    assert not texts(now._replace(**RATED))


def test_the_evidence_of_levels_is_what_was_measured() -> None:
    """Of few calls more is feared than was seen; what was seen is what is shown."""
    timings = Timings()
    for index in range(200):
        timings.add(1.1 if index % 20 == 0 else 0.1, index)
    levels = {4: (180, 0.15, 0.1), 8: (20, 0.1, 0.1)}
    (advice,) = summary({"busy": 1.0}, levels=levels, timings=timings.snapshot()).advice
    assert advice.evidence == "4 at once took 150 ms each, 27/s; 8 at once took 100 ms each, 80/s"


def test_the_end_is_told_with_the_inputs_it_waited_for() -> None:
    timings = Timings()
    for index in range(200):
        timings.add(9.0 if index == 199 else 0.1, index)
    now = summary({"tail": 0.7, "busy": 0.3}, timings=timings.snapshot(), elapsed=12.0)
    (advice,) = now.advice
    assert "(199" in advice.text
    assert advice.gain == pytest.approx(12.0 / 9.0)


@pytest.mark.parametrize(
    "now",
    [
        summary({"busy": 1.0}, called=19),
        summary({"busy": 1.0}, elapsed=0.1),
        summary({"pushback": 0.9, "busy": 0.1}, ok=0, failed=200, rejected=200),  # rate="0/s" is none
        summary({"start": 0.9, "busy": 0.1}),
        summary({"paused": 0.9, "busy": 0.1}),
        Summary("fetch", None, 0, 0, 0, 0, 0.0, 8),
    ],
)
def test_nothing_is_said_where_nothing_is_known(now: Summary) -> None:
    assert now.advice == ()


def test_of_one_input_that_is_a_stream_the_stage_is_named_that_its_items_wait_for() -> None:
    stages = {"[0].each": {"busy": 4.0, "consumer": 36.0}, "[1].each": {"busy": 19.0, "source": 1.0}}
    now = summary({"busy": 0.03, "tail": 0.97}, called=1, ok=1, stage_time=stages)
    assert texts(now) == ["The other stages wait for [1].each: concurrency=4 there makes the flow at most 2.0x as fast"]
    assert now._replace(elapsed=1.0).advice == ()


def test_of_one_level_no_gain_is_announced() -> None:
    (advice,) = summary({"busy": 1.0}).advice
    assert advice.gain is None
    assert "at most 2.0x" in advice.text
    assert advice.condition


def test_a_server_that_takes_eight_is_never_promised_that_sixteen_help() -> None:
    levels = {4: (80, 0.1, 0.1), 8: (160, 0.1, 0.1), 16: (161, 0.2, 0.2)}
    (advice,) = summary({"busy": 1.0}, levels=levels, called=800).advice
    assert advice.text.startswith("More than 8 calls at once get little more done")
    assert advice.change == {"concurrency": 8}


def test_beyond_the_highest_level_nothing_is_promised() -> None:
    (advice,) = summary({"busy": 1.0}, levels={4: (150, 0.1, 0.1), 8: (50, 0.1, 0.1)}).advice
    assert advice.change == {"concurrency": 8}
    assert advice.gain == pytest.approx(10.0 / (200 / 8 * 0.1))


def test_what_the_other_side_refused_is_no_level_to_go_to() -> None:
    levels = {4: (80, 0.1, 0.1), 8: (160, 0.1, 0.1), 32: (90, 0.1, 0.01)}
    (advice,) = summary({"busy": 1.0}, levels=levels, rejected=60).advice
    assert advice.change == {"concurrency": 8}


def test_a_few_calls_of_a_level_do_not_hide_that_one_in_many_takes_long() -> None:
    """At eight in flight none of the slow ones was seen: what calls take on the whole counts there too."""
    timings = Timings()
    for index in range(200):
        timings.add(1.1 if index % 20 == 0 else 0.1, index)
    levels = {4: (180, 0.15, 0.1), 8: (20, 0.1, 0.1)}
    (advice,) = summary({"busy": 1.0}, levels=levels, timings=timings.snapshot()).advice
    assert advice.gain == pytest.approx(10.0 / (200 / 8 * 0.15 + 1.1 - 0.15)), "and one of those comes last"


def test_a_source_is_not_blamed_where_it_may_be_this_process_that_does_not_come_to_reading_it() -> None:
    now = summary({"busy": 0.7, "source": 0.3}, cpu=0.3, late=0.03)
    assert [text[:9] for text in texts(now)] == ["Something"]
    assert [text[:10] for text in texts(now._replace(late=0.0))] == ["The source"]


def test_more_at_once_are_worth_at_most_what_the_process_has_time_for() -> None:
    (advice,) = summary({"busy": 1.0}, cpu=3.0, queued=0.55).advice
    assert "at most 1.5x" in advice.text


@given(
    st.dictionaries(st.sampled_from([*MEANINGS, "limit: rate=5/s", "limit: key"]), st.floats(0.01, 1.0), min_size=1),
    st.integers(0, 100_000),
    st.floats(0.0, 1000.0),
    st.floats(0.0, 100.0),
    st.integers(0, 50),
    st.dictionaries(
        st.integers(1, 64), st.tuples(st.integers(0, 1000), st.floats(0.0, 10.0), st.floats(0.0, 10.0)), max_size=5
    ),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_whatever_the_figures_there_are_three_sentences_at_most(
    account: dict[str, float],
    called: int,
    elapsed: float,
    cpu: float,
    rejected: int,
    levels: Any,
    queued: float,
    late: float,
) -> None:
    found = {"rejected": rejected, "levels": levels, "queued": queued, "late": late}
    now = summary(account, called=min(called, 50), elapsed=elapsed, cpu=cpu, **found)
    advice = now._replace(called=called).advice
    assert len(advice) <= 3
    assert all(it.text and (it.gain is None or it.gain > 0) for it in advice)
    str(now)
    now._repr_html_()
    now.to_dict()
