"""How many calls are left, as answers that overtake each other say."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from whilst.core.allowance import Allowance
from whilst.core.headers import Left, left_as_told, left_of
from whilst.core.throttle import Throttle


def told(*answers: tuple[float, float, int, float]) -> Allowance:
    allowance = Allowance()
    for left, seconds, others, now in answers:
        allowance.tell(left, seconds, others, now)
    return allowance


@pytest.mark.parametrize(
    ("answers", "now", "in_flight", "room", "delay"),
    [
        ([(5, 10, 0, 0.0)], 1.0, 1, 5, 0.0),
        ([(5, 10, 3, 0.0)], 1.0, 1, 2, 0.0),  # three others are on their way there
        ([(2, 10, 3, 0.0)], 1.0, 1, 0, 9.0),
        ([(0, 10, 0, 0.0)], 4.0, 0, 0, 6.0),
        ([(5, 10, 0, 0.0), (9, 10, 0, 0.5)], 1.0, 0, 5, 0.0),  # an older answer that came late
        ([(2, 10, 2, 0.0), (3, 10, 1, 0.1), (4, 10, 0, 0.1)], 1.0, 0, 2, 0.0),  # so all others had been counted
        ([(5, 10, 0, 0.0), (9, 10, 0, 10.5)], 11.0, 0, 9, 0.0),  # a new window
        ([(5, 1, 0, 0.0), (9, 10, 0, 0.5)], 1.0, 0, 9, 0.0),  # one that ends later than the last
        ([(5, 10, 0, 0.0)], 10.0, 4, 2, 0.0),  # nobody knows: at most six in flight, as six were permitted
        ([(5, 10, 0, 0.0)], 10.0, 6, 0, inf),
        ([(0, 10, 0, 0.0)], 99.0, 0, 1, 0.0),
    ],
)
def test_what_is_left_is_what_the_freshest_answer_said_but_for_calls_it_may_not_have_counted(
    answers: list[Any], now: float, in_flight: int, room: int, delay: float
) -> None:
    allowance = told(*answers)
    assert (allowance.room(in_flight, now), allowance.delay(in_flight, now)) == (room, delay)


def test_calls_that_start_are_counted_and_those_that_did_not_are_not() -> None:
    throttle = Throttle()
    throttle.take(0.0)
    throttle.allow(3, 10, 0.0)
    assert throttle.room(9, 0.0) == 3
    throttle.take(0.0, count=2)
    assert throttle.take_one(0.0)
    assert not throttle.take_one(0.0)
    throttle.undo(0.0, count=1)
    assert throttle.delay(0.0) == 0.0
    assert throttle.room(9, 0.0) == 1
    throttle.take(0.0, count=1)
    assert throttle.delay(4.0) == 6.0
    throttle.shift(100.0)
    assert throttle.delay(104.0) == 6.0
    assert not throttle.idle(104.0)
    throttle.give_back(4)
    assert throttle.room(9, 110.0) == 4
    assert throttle.idle(110.0)


def test_of_a_bucket_calls_come_back_while_it_is_asked() -> None:
    bucket = Allowance()
    bucket.tell(0, 30, 0, 0.0, refill=2.0)
    assert (bucket.room(0, 0.0), bucket.delay(0, 0.0)) == (0, 0.5)
    assert (bucket.room(0, 0.5), bucket.room(0, 10.0), bucket.room(0, 1000.0)) == (
        1,
        20,
        60,
    )  # and no more than it holds
    bucket.take(1)
    assert bucket.delay(1, 0.5) == pytest.approx(0.5)
    bucket.shift(100.0)
    assert (bucket.delay(1, 100.5), bucket.over(129.0), bucket.over(130.0)) == (pytest.approx(0.5), False, True)


def test_an_answer_sets_a_bucket_right_within_what_it_can_know() -> None:
    bucket = Allowance()
    bucket.tell(10, 25, 3, 0.0, refill=2.0)
    assert bucket.room(3, 0.0) == 7  # three may not have been counted
    bucket.tell(10, 25, 2, 0.0, refill=2.0)
    assert bucket.room(2, 0.0) == 8
    bucket.tell(5, 27.5, 2, 0.0, refill=2.0)  # somebody else takes from it
    assert bucket.room(2, 0.0) == 5
    bucket.tell(20, 20, 2, 0.0, refill=2.0)  # an older answer: others, with lower numbers, have come already
    assert bucket.room(2, 0.0) == 5
    bucket.tell(20, 20, 2, 9.0, refill=2.0)
    assert bucket.room(2, 9.0) == 20


def test_on_another_clock_it_is_as_long_ago_that_an_answer_told_of_a_bucket() -> None:
    there, here = Allowance(), Allowance()
    for bucket, began in ((there, 0.0), (here, 100.0)):
        bucket.tell(5, 27.5, 0, 0.0, refill=2.0)
        bucket.shift(began)
        bucket.tell(9, 25.5, 0, began + 1.0, refill=2.0)  # more than can have come back since: it is an older answer
        assert bucket.room(0, began + 1.0) == 7
        bucket.tell(20, 20, 0, began + 9.0, refill=2.0)
        assert bucket.room(0, began + 9.0) == 20


def test_a_window_after_a_bucket_is_counted_as_a_window() -> None:
    bucket = Allowance()
    bucket.tell(10, 25, 0, 0.0, refill=2.0)
    bucket.tell(3, 25, 0, 1.0)
    assert (bucket.room(0, 5.0), bucket.delay(0, 5.0)) == (3, 0.0)


def _given(headers: dict[str, str], remaining: str) -> dict[str, list[object]]:
    return {name: [text.replace("LEFT", remaining)] for name, text in headers.items()}


HUBSPOT = {  # as its guidelines say: the length of the window in milliseconds, not when it ends
    "x-hubspot-ratelimit-daily": "250000",
    "x-hubspot-ratelimit-daily-remaining": "249000",
    "x-hubspot-ratelimit-interval-milliseconds": "10000",
    "x-hubspot-ratelimit-max": "100",
    "x-hubspot-ratelimit-remaining": "LEFT",
}
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
SENTRY = {  # https://docs.sentry.io/api/ratelimits: the reset in seconds since 1970
    "date": DATE.replace("1994", "2022"),
    "x-sentry-rate-limit-limit": "40",
    "x-sentry-rate-limit-remaining": "LEFT",
    "x-sentry-rate-limit-reset": "1667724578",
}
LINEAR = {  # https://linear.app/developers/rate-limiting: in milliseconds since 1970
    "date": DATE.replace("1994", "2022"),
    "x-ratelimit-requests-limit": "5000",
    "x-ratelimit-requests-remaining": "LEFT",
    "x-ratelimit-requests-reset": "1667726377000",
    "x-complexity": "12",
    "x-ratelimit-complexity-limit": "250000",
    "x-ratelimit-complexity-remaining": "249988",
    "x-ratelimit-complexity-reset": "1667726377000",
    "x-ratelimit-endpoint-requests-reset": "1667724637000",
}


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        (
            {
                f"x-ratelimit-{it}-requests": [text]
                for it, text in zip(("limit", "remaining", "reset"), ("60", "57", "1.5s"), strict=True)
            },
            Left(57, 1.5, 2.0),
        ),
        ({"x-shopify-shop-api-call-limit": ["32/40"]}, Left(8, 16, 2.0)),
        ({"x-shopify-shop-api-call-limit": ["0/40"]}, None),
        ({"ratelimit": ['"a";r=50;t=10, "b";r=6;t=3']}, Left(6, 3)),
        ({"ratelimit": ['"a";r=6;t=10, "b";r=6;t=30']}, Left(6, 30)),
        ({"ratelimit-remaining": ["7"], "ratelimit-reset": ["9"]}, Left(7, 9)),
        ({"x-ratelimit-remaining": ["0"], "x-ratelimit-reset": ["86400"]}, Left(0, 3600)),
        ({"x-ratelimit-remaining": ["soon"], "x-ratelimit-reset": ["9"]}, None),
        (_given(HUBSPOT, remaining="87"), Left(87, 10)),
        (_given(HUBSPOT, remaining="0"), Left(0, 10)),
        ({"x-hubspot-ratelimit-remaining": ["87"]}, None),
        (_given(SENTRY, remaining="39"), Left(39, 1)),
        (_given(LINEAR, remaining="4990"), Left(4990, 1800)),
        (_given(LINEAR, remaining="4990") | {"x-ratelimit-complexity-remaining": ["0"]}, Left(0, 1)),
        (_given(LINEAR, remaining="4990") | {"x-ratelimit-endpoint-requests-remaining": ["3"]}, Left(3, 60)),
        ({"ratelimit-policy": ['"a";q=100;w=60']}, None),  # a policy is not what is left of it
        ({"retry-after": ["9"]}, None),  # of an answer that went well it says when to look again
        ({}, None),
    ],
)
def test_headers_say_how_many_calls_are_left(headers: dict[str, list[object]], left: Left | None) -> None:
    assert left_of(headers, 0.0) == left


@pytest.mark.parametrize(
    ("status", "waits"), [(None, True), (200, False), (399, False), (400, True), (429, True), (503, True)]
)
def test_a_retry_after_is_heeded_in_a_refusal_and_where_the_status_is_not_known(
    status: int | None, waits: bool
) -> None:
    headers: dict[str, list[object]] = {
        "retry-after": ["7"],
        "x-ratelimit-remaining": ["3"],
        "x-ratelimit-reset": ["60"],
    }
    left = left_as_told(headers, status, 0.0)
    assert left is not None
    assert (left.calls, left.seconds) == ((0.0, 7.0) if waits else (3.0, 60.0))
