"""An answer of an API that was seen before is read at a glance, and says the same as a long look does."""

from __future__ import annotations

import time
import timeit
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.counts import NAMES
from whilst.core.glance import AGAIN, MANY, SELDOM, Glance
from whilst.core.headers import left_of

NOW = 1_700_000_000.0
DATE = formatdate(NOW, usegmt=True)
GITHUB = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999", "x-ratelimit-reset": str(int(NOW) + 60)}
OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-tokens": "300ms",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "60",
    "anthropic-ratelimit-requests-remaining": "50",
    "anthropic-ratelimit-requests-reset": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + 10)),
}
DRAFT = {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'}
CLAUDE = ANTHROPIC | {
    f"anthropic-ratelimit-{what}-{name}": text
    for what in ("tokens", "input-tokens", "output-tokens")
    for name, text in (("limit", "80000"), ("remaining", "79000"), ("reset", "2023-11-14T22:13:30Z"))
}
DRAFTS = {
    "ratelimit": '"burst";r=50;t=30, "day";r=900;t=3000',
    "ratelimit-policy": '"burst";q=100;w=60, "day";q=1000;w=86400',
}
SHOPIFY = {"x-shopify-shop-api-call-limit": "32/40"}
OLD = {"ratelimit-limit": "100", "ratelimit-remaining": "50", "ratelimit-reset": "30", "ratelimit-policy": "100;w=60"}
BOTH = OLD | GITHUB
HUBSPOT = {
    "x-hubspot-ratelimit-interval-milliseconds": "10000",
    "x-hubspot-ratelimit-max": "100",
    "x-hubspot-ratelimit-remaining": "87",
}
SENTRY = {f"x-sentry-rate-limit-{name}": text for name, text in (("remaining", "39"), ("reset", str(int(NOW) + 1)))}
LINEAR = {
    f"x-ratelimit-{what}-{name}": text
    for what, left in (("requests", "4990"), ("complexity", "249000"), ("endpoint-requests", "99"))
    for name, text in (("limit", "5000"), ("remaining", left), ("reset", str((int(NOW) + 60) * 1000)))
}
OTHERS = {"content-type": "application/json", "date": DATE, "etag": "x", "vary": "y"}


def at_length(headers: dict[str, str]) -> object:
    return left_of({name: [text] for name, text in headers.items() if name in NAMES}, NOW)


texts = st.sampled_from(
    ["0", "5", "60", "1.5s", "120ms", "6m0s", "", "x", "-1", "1e3", "inf", DATE, "1700000060", "9" * 20]
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(NAMES - {"ratelimit", "ratelimit-policy", "date"})), texts), max_size=8
    )
)
def test_at_a_glance_an_answer_says_what_it_says_at_length(answers: list[dict[str, str]]) -> None:
    for answer in answers:
        glance = Glance()
        looks = [glance.at(answer, lambda: NOW) for _ in range(3)]
        assert looks == [at_length(answer)] * 3


lists = st.sampled_from(
    [
        '"a";r=5;t=10',
        '"a";r=5;t=10, "b";r=4;t=20',
        '"a";r=5;t=10,"b";r=5;t=90',
        '"a";r=5;t=9999999',
        '"a";t=10;r=5',
        "limit=9, remaining=3, reset=5",
        '"a";r=x;t=1',
        "",
        "1",
    ]
)
policies = st.sampled_from(
    ['"a";q=100;w=60', '"a";q=100;w=60;qu="content-bytes", "b";q=5;w=9', '"b";qu="requests"', ""]
)
ratios = st.sampled_from(["32/40", "0/40", "40/40", "41/40", "x/40", "4/", "1234567/8", "", " 3/40"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "ratelimit": lists,
                "ratelimit-policy": policies,
                "x-shopify-shop-api-call-limit": ratios,
                "x-ratelimit-remaining": texts,
                "x-ratelimit-reset": texts,
                "x-ratelimit-remaining-tokens": st.sampled_from(["0", "0.0", "00", "7", ""]),
                "x-ratelimit-reset-tokens": texts,
                "date": st.just(DATE),
            },
        ),
        min_size=2,
        max_size=6,
    )
)
def test_it_says_the_same_when_all_were_looked_for_anew(answers: list[dict[str, str]]) -> None:
    glance = Glance()
    for answer in answers:
        glance.at(answer, lambda: NOW)  # of the families that the answers before had
    last = [glance.at(answers[-1], lambda: NOW) for _ in range(AGAIN + 2)]
    assert last[-1] == at_length(answers[-1])


def test_no_answer_is_missed_while_all_are_looked_for_anew() -> None:
    glance = Glance()
    seen = [glance.at(GITHUB, lambda: NOW) for _ in range(3 * AGAIN)]
    assert seen == [at_length(GITHUB)] * len(seen)


@pytest.mark.parametrize(
    "api", [GITHUB, OPENAI, ANTHROPIC, CLAUDE, DRAFT, DRAFTS, SHOPIFY, OLD, HUBSPOT, SENTRY, LINEAR]
)
def test_one_api_after_the_other_is_read_as_well(api: dict[str, str]) -> None:
    glance = Glance()
    for other in (GITHUB, api, OTHERS, DRAFT, api, OPENAI, api, api):
        assert glance.at(OTHERS | other, lambda: NOW) == at_length(OTHERS | other)


def test_several_families_in_one_answer_are_all_read() -> None:
    glance = Glance()
    fewest = [glance.at(BOTH | {"x-ratelimit-remaining": str(left)}, lambda: NOW) for left in (4999, 49, 3)]
    assert [left.calls for left in fewest if left is not None] == [50.0, 49.0, 3.0]


def test_where_tokens_run_out_that_counts() -> None:
    glance = Glance()
    glance.at(OPENAI, lambda: NOW)
    spent = OPENAI | {"x-ratelimit-remaining-tokens": "0"}
    assert glance.at(spent, lambda: NOW) == at_length(spent)


def test_answers_that_say_nothing_are_looked_at_seldom_until_one_says_something() -> None:
    glance = Glance()
    for _ in range(MANY):
        assert glance.at(OTHERS, lambda: NOW) is None
    heard = [glance.at(GITHUB, lambda: NOW) for _ in range(SELDOM + 3)]
    assert 0 < sum(left is None for left in heard) < SELDOM
    assert heard[-1] == at_length(GITHUB)


@pytest.mark.parametrize(
    ("api", "most"),
    [*((api, 2.0) for api in (GITHUB, OPENAI, ANTHROPIC, CLAUDE, DRAFT, DRAFTS, SHOPIFY, OLD)), ({}, 0.5)],
)
def test_a_glance_costs_two_microseconds_and_next_to_nothing_where_there_is_none(
    api: dict[str, str], most: float
) -> None:
    """The rows `answers` of the bench hold that; ten times as much would be another way to look."""
    glance, answer = Glance(), OTHERS | api

    def look() -> None:
        glance.at(answer, time.time)

    cost = min(timeit.repeat(look, timer=time.thread_time, number=1000, repeat=9)) / 1000
    assert cost <= 10 * most * 1e-6
