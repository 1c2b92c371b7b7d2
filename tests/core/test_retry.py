"""Which failures are tried again, after how long, and how many retries there may be in all."""

from __future__ import annotations

import pickle
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst.core.attempt import Attempts
from whilst.core.budget import MEMORY, RESERVE, Budget
from whilst.core.pushback import Pushback
from whilst.core.retry import Retry

RESET = ConnectionResetError("reset")
BUSY = Pushback("429 Too Many Requests")
TIMEOUT = Pushback("timeout", timeout=True)


# -- waits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "draw", "pushback", "wait"),
    [
        (1, 1.0, None, 0.1),
        (2, 1.0, None, 0.2),
        (3, 1.0, None, 0.4),
        (4, 1.0, None, 0.8),
        (3, 0.5, None, 0.2),
        (3, 0.0, None, 0.0),
        (9, 1.0, None, 20.0),  # the cap
        (1, 1.0, BUSY, 1.0),  # a side that said "slower" is given ten times as long
        (2, 1.0, BUSY, 2.0),
        (1, 1.0, TIMEOUT, 0.1),  # nobody said anything
        (1, 0.0, Pushback("503", retry_after=7.0), 7.0),
        (1, 1.0, Pushback("503", retry_after=7.0), 7.1),  # it said when, and the run keeps to a pace after it
        (1, 1.0, Pushback("503", retry_after=0.0), 1.0),
        (9, 1.0, Pushback("503", retry_after=300.0), 320.0),  # the cap bounds what nobody asked for
    ],
)
def test_how_long_a_retry_waits(attempt: int, draw: float, pushback: Pushback | None, wait: float) -> None:
    assert Retry(attempts=10, cap=20.0)._wait(RESET, attempt, draw, pushback) == pytest.approx(wait)


@pytest.mark.parametrize(("gated", "wait"), [(True, 7.0), (False, 7.4)])
def test_what_a_gate_lets_go_on_together_adds_nothing_to_a_retry_after(gated: bool, wait: float) -> None:
    attempts = Attempts(Retry(attempts=10), 0.0, lambda: 1.0, gated=gated)
    told = {"attempt": 3, "first": 0.0, "calls": 100, "now": 0.0}
    assert attempts.wait(RESET, Pushback("503", retry_after=7.0), **told) == pytest.approx(wait)
    assert attempts.wait(RESET, None, **told) == pytest.approx(0.4)


@pytest.mark.parametrize(("gated", "longest"), [(True, 1.0), (False, 5.0)])
def test_whoever_is_told_when_to_come_again_by_a_gate_does_not_wait_for_the_budget(gated: bool, longest: float) -> None:
    attempts = Attempts(Retry(), 0.0, lambda: 0.0, gated=gated)
    told = Pushback("429", retry_after=1.0)
    waits = [attempts.wait(RESET, told, attempt=1, first=0.0, calls=60, now=0.0) for _ in range(200)]
    assert (max(wait or 0.0 for wait in waits) == longest) if gated else (max(wait or 0.0 for wait in waits) > longest)


@given(
    attempt=st.integers(1, 10_000),
    draw=st.floats(0, 1),
    base=st.floats(0, 100),
    more=st.floats(0, 1e300),
    asked=st.none() | st.floats(0, 86_400),
)
def test_a_wait_is_between_nothing_and_the_cap_on_top_of_what_was_asked_for(
    attempt: int, draw: float, base: float, more: float, asked: float | None
) -> None:
    retry = Retry(attempts=10_001, base=base, cap=base + more)
    wait = retry._wait(RESET, attempt, draw, None if asked is None else Pushback("429", retry_after=asked))
    assert wait is not None
    assert (asked or 0.0) <= wait <= (asked or 0.0) + retry.cap
    if asked is None:
        assert wait <= base * 2.0 ** min(attempt - 1, 60)


def test_a_cap_below_a_second_holds_for_a_side_that_said_slower_too() -> None:
    assert Retry(base=0.01, cap=0.5)._wait(RESET, 1, 1.0, BUSY) == 0.5


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_last_attempt_is_followed_by_none(attempts: int) -> None:
    retry = Retry(attempts=attempts)
    waits = [retry._wait(RESET, attempt, 0.5, None) for attempt in range(1, attempts + 1)]
    assert [wait is None for wait in waits] == [False] * (attempts - 1) + [True]


# -- the judge ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "error", "wait"),
    [
        (whilst.transient, RESET, 0.1),
        (whilst.transient, TypeError("mine"), None),
        (whilst.transient, whilst.Throttled(), 0.1),
        (KeyError, KeyError("x"), 0.1),
        (ConnectionError, ExceptionGroup("", [RESET, ConnectionRefusedError()]), 0.1),
        (ConnectionError, ExceptionGroup("", [RESET, ExceptionGroup("", [RESET])]), 0.1),
        (ConnectionError, ExceptionGroup("", [RESET, KeyError("x")]), None),  # as by default: all of it must be
        ((KeyError, OSError), ExceptionGroup("", [RESET, KeyError("x")]), 0.1),
        (ExceptionGroup, ExceptionGroup("", [KeyError("x")]), 0.1),
        (KeyError, RESET, None),
        (LookupError, KeyError("a subclass"), 0.1),
        ((KeyError, OSError), RESET, 0.1),
        ((KeyError, ValueError), RESET, None),
        (lambda _: True, KeyError(), 0.1),
        (lambda _: False, RESET, None),
        (lambda _: None, RESET, None),
        (lambda _: 3, RESET, 3.0),
        (lambda _: 0, RESET, 0.0),
        (lambda _: 0.25, RESET, 0.25),
        (lambda _: 1e9, RESET, 1e9),  # the judge knows best
        (BaseException, KeyboardInterrupt(), None),  # the consumer's, whatever the judge says
        (lambda _: True, SystemExit(), None),
    ],
)
def test_what_the_judge_says(on: Any, error: BaseException, wait: float | None) -> None:
    assert Retry(on=on)._wait(error, 1, 1.0, None) == wait


def test_the_judge_is_given_the_exception_itself() -> None:
    seen = []
    Retry(on=seen.append)._wait(RESET, 1, 0.5, None)
    assert seen == [RESET]


def test_the_seconds_of_a_judge_stand_for_those_that_were_asked_for() -> None:
    assert Retry(on=lambda _: 0.5)._wait(RESET, 1, 1.0, Pushback("429", retry_after=60.0)) == 0.5


@pytest.mark.parametrize("garbage", ["soon", -1, -0.001, float("nan"), float("inf"), [], object(), b"1"])
def test_a_judge_that_returns_garbage_is_told_so(garbage: object) -> None:
    with pytest.raises(ValueError, match=r"Retry\(on=…\) must return True, False, None or seconds of at least 0, got"):
        Retry(on=lambda _: garbage)._wait(RESET, 1, 0.5, None)  # type: ignore[arg-type,return-value]


def test_what_the_judge_raises_comes_out() -> None:
    def broken(error: BaseException) -> bool:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Retry(on=broken)._wait(RESET, 1, 0.5, None)


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        ({"attempts": 0}, ValueError, "attempts must be at least 1, got 0"),
        ({"attempts": -3}, ValueError, "attempts must be at least 1, got -3"),
        ({"attempts": 2.5}, TypeError, "attempts must be"),
        ({"attempts": True}, TypeError, "attempts must be"),
        ({"attempts": "3"}, TypeError, "attempts must be"),
        ({"base": -0.1}, ValueError, "base must be at least 0 and finite, got -0.1"),
        ({"base": "0.1"}, TypeError, r"base must be a number \(seconds\), got '0.1'"),
        ({"cap": float("inf")}, ValueError, "cap must be at least 0 and finite, got inf"),
        ({"cap": float("nan")}, ValueError, "cap must be at least 0 and finite, got nan"),
        ({"base": 2.0, "cap": 1.0}, ValueError, "cap must be at least base, .* got 1.0"),
        ({"total": 0}, ValueError, "total must be more than 0 seconds, got 0"),
        ({"total": -1}, ValueError, "total must be at least 0 and finite, got -1"),
        ({"total": True}, TypeError, r"total must be a number \(seconds\), got True"),
        ({"budget": -0.2}, ValueError, "budget must be at least 0 and finite, got -0.2"),
        ({"budget": "20%"}, TypeError, r"budget must be a number \(a share of the calls\), got '20%'"),
        ({"breaker": 1}, TypeError, "breaker must be True or False, got 1"),
        (
            {"on": 500},
            TypeError,
            r"on must be exception types or a function of the exception, got 500\n  try: on=lambda e",
        ),
        ({"on": int}, TypeError, "on must be exception types or a function"),
        ({"on": ()}, TypeError, r"on must be exception types or a function of the exception, got \(\)"),
        ({"on": (KeyError, "x")}, TypeError, "on must be exception types or a function"),
        ({"on": None}, TypeError, "on must be exception types or a function of the exception, got None"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_construction(bad: dict[str, Any], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        Retry(**bad)


def test_what_retry_may_be_given() -> None:
    retry = Retry(attempts=7)
    assert Retry._of(None) is None
    assert Retry._of(retry) is retry
    assert Retry._of(1) == Retry(attempts=1)
    assert Retry._of(4) == Retry(attempts=4)


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (0, ValueError, r"retry must be at least 1 attempt \(the first call counts\), got 0"),
        (True, TypeError, r"retry must be a number of attempts or a whilst.Retry, got True\n  try: retry=3"),
        ("3", TypeError, "retry must be a number of attempts or a whilst.Retry, got '3'"),
        (2.0, TypeError, "retry must be a number of attempts or a whilst.Retry, got 2.0"),
    ],
)
def test_what_retry_may_not_be_given(bad: object, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        whilst.map(str, [1], retry=bad)  # type: ignore[call-overload]


# -- the budget -----------------------------------------------------------------------------------------------------


def test_calls_earn_a_share_of_retries_at_once() -> None:
    budget = Budget(0.2, 0.0)
    assert [budget.withdraw(50, 0.0) for _ in range(10)] == [0.0] * 10
    assert budget.withdraw(50, 0.0) == pytest.approx(1 / RESERVE)


def test_without_calls_there_are_ten_a_second() -> None:
    budget = Budget(0.2, 0.0)
    waits = [budget.withdraw(0, 0.0) for _ in range(100)]
    assert waits == pytest.approx([(n + 1) / RESERVE for n in range(100)])


def test_what_calls_earned_is_forgotten() -> None:
    budget = Budget(0.2, 0.0)
    assert budget.withdraw(500, 0.0) == 0.0
    assert budget.withdraw(500, 10 * MEMORY) == pytest.approx(1 / RESERVE)


def test_a_count_of_calls_that_falls_earns_nothing_twice() -> None:
    budget = Budget(0.2, 0.0)
    assert [budget.withdraw(calls, 0.0) == 0.0 for calls in (5, 0, 5, 0, 5)] == [True] + [False] * 4


def test_a_wait_that_is_too_long_takes_nothing_out() -> None:
    budget = Budget(0.2, 0.0)
    assert budget.withdraw(0, 0.0, within=0.05) is None
    assert budget.withdraw(0, 0.0, within=1 / RESERVE) is None
    assert budget.withdraw(0, 0.0) == pytest.approx(1 / RESERVE)


@settings(max_examples=200)
@given(
    share=st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    events=st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.05, 1.0, 30.0]), st.integers(-3, 40)), max_size=120),
)
def test_retries_never_exceed_the_share_of_calls_plus_ten_a_second(
    share: float, events: list[tuple[float, int]]
) -> None:
    budget, now, calls, first = Budget(share, 0.0), 0.0, 0, [(0.0, 0)]
    made: list[float] = []
    for gap, more in events:
        now += gap
        seen = calls + more  # retries that stand in line again are not counted for a while
        calls = max(calls, seen)
        first.append((now, calls))
        wait = budget.withdraw(max(0, seen), now)
        assert wait is not None
        made.append(now + wait)
    for moment in {0.0, *made}:
        so_far = sum(1 for one in made if one <= moment)
        earned = max(total for when, total in first if when <= moment)
        assert so_far <= share * earned + RESERVE * moment + 1e-6


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (True, 0.05),
        (0, 0.0),
        (3, 3.0),
        (2.5, 2.5),
        (False, "wanted"),
        (None, "wanted"),
        ("x", None),
        (-1, None),
        (inf, None),
    ],
)
def test_what_a_judge_of_values_answers(answer: Any, wait: object) -> None:
    retry = Retry(on_value=lambda value: answer)
    unwanted = retry._unwanted({"state": "queued"})
    assert (unwanted is None) == (wait == "wanted")
    if unwanted is not None:
        assert unwanted.value == {"state": "queued"}
        assert retry._wait(unwanted, 1, 0.5, None) == wait
        assert retry._wait(unwanted, 5, 0.5, None) is None, "used up"
        assert Retry(on_value=lambda value: True)._wait(unwanted, 1, 0.5, None) is None, "it is another one's"


def test_without_a_judge_every_value_is_wanted() -> None:
    assert Retry()._unwanted(None) is None


def test_an_unwanted_value_can_be_pickled_without_who_said_so() -> None:
    unwanted = Retry(on_value=lambda value: True)._unwanted([1])
    assert unwanted is not None
    unwanted.add_note("input 3")
    again = pickle.loads(pickle.dumps(unwanted))
    assert (str(again), again.value, again.__notes__) == (str(unwanted), [1], ["input 3"])


def test_a_retry_because_of_a_value_costs_nothing_of_the_budget() -> None:
    def waits_of(error: Exception | None) -> float:
        assert error is not None
        attempts = Attempts(retry, 0.0, lambda: 0.0)
        waits = [attempts.wait(error, None, attempt=1, first=0.0, calls=1, now=0.0) for _ in range(50)]
        return max(wait or 0.0 for wait in waits)

    retry = Retry(on_value=lambda value: True, base=0.0)
    assert waits_of(ConnectionError()) > 4
    assert waits_of(retry._unwanted(1)) == 0.0
