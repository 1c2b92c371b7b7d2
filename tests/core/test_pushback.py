"""What is read as a wish for less, from exceptions of any shape."""

from __future__ import annotations

import errno
import pickle
import socket
import subprocess
import sys
import time
import urllib.error
from datetime import timedelta
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import whilst
from whilst.core.evidence import MOST_CAUSES, chain_of, leaves_of
from whilst.core.headers import advice_of
from whilst.core.pushback import CAP, Pushback, described_status, host_of, pushback_of, status_of
from whilst.core.retried import retried_inside, retries_of
from whilst.core.retry_info import retry_delay

NOW = 1_700_000_000.0
BUSY = "429 Too Many Requests"


def told(**attributes: object) -> Exception:
    """Make an exception as some client would."""
    error = Exception("no")
    vars(error).update(attributes)
    return error


def answered(status: int, **headers: object) -> Exception:
    """Make an exception that carries a response, header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return told(response=SimpleNamespace(status_code=status, headers=named))


# Where a status is found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (told(status=429), 429),
        (told(http_status=429, code="rate_limit"), 429),  # stripe, spotipy
        (told(resp=SimpleNamespace(status=429)), 429),  # googleapiclient
        (told(status_code=429), 429),
        (told(code=429), 429),
        (told(response=SimpleNamespace(status_code=503)), 503),
        (told(response=SimpleNamespace(status=503)), 503),
        (told(response={"ResponseMetadata": {"HTTPStatusCode": 400}}), 400),
        (told(details={"status": 404}), 404),
        (urllib.error.HTTPError("http://x", 404, "no", None, None), 404),  # type: ignore[arg-type]
        (told(status=200), None),
        (told(status=600), None),
        (told(status="429"), None),
        (told(status=True), None),
        (told(status=429.0), None),
        (told(code=4), None),
        (told(response=None), None),
        (told(response={"ResponseMetadata": None}), None),
        (told(response={"ResponseMetadata": {"HTTPStatusCode": "400"}}), None),
    ],
)
def test_a_status_is_found_where_clients_keep_it(error: Exception, status: int | None) -> None:
    assert status_of(error) == status


def raised(
    error: BaseException, *, cause: BaseException | None = None, while_handling: BaseException | None = None
) -> Any:
    error.__cause__, error.__context__ = cause, while_handling
    error.__suppress_context__ = cause is not None
    return error


def test_the_nearest_exception_counts() -> None:
    assert status_of(raised(RuntimeError(), cause=told(status=503))) == 503
    assert status_of(raised(RuntimeError(), while_handling=told(status=503))) == 503
    assert status_of(raised(told(status=404), while_handling=told(status=503))) == 404
    hidden = raised(RuntimeError(), while_handling=told(status=503))
    hidden.__suppress_context__ = True
    assert status_of(hidden) is None


def test_a_mistake_made_while_handling_is_a_mistake() -> None:
    busy = answered(503, Retry_After="7")
    assert status_of(raised(KeyError("x"), while_handling=busy)) is None
    assert pushback_of(raised(KeyError("x"), while_handling=busy), NOW) is None
    assert pushback_of(raised(RuntimeError("x"), cause=busy), NOW) == Pushback("503 Service Unavailable", 7.0)


def test_headers_may_be_on_the_cause() -> None:
    assert pushback_of(raised(told(status=429), cause=answered(429, Retry_After="7")), NOW) == Pushback(BUSY, 7.0)


def test_circles_and_crowds_end() -> None:
    one, two = RuntimeError(1), RuntimeError(2)
    one.__cause__, two.__cause__ = two, one
    assert list(chain_of(one)) == [one, two]
    long: BaseException = told(status=429)
    for _ in range(10_000):
        long = raised(RuntimeError(), cause=long)
    assert len(list(chain_of(long))) == MOST_CAUSES
    assert pushback_of(long, NOW) is None
    group = ExceptionGroup("deep", [TimeoutError()])
    for _ in range(500):
        group = ExceptionGroup("deeper", [group])
    assert leaves_of(group) == []
    assert pushback_of(group, NOW) is None


@pytest.mark.parametrize(
    ("status", "text"), [(401, "401 Unauthorized"), (429, BUSY), (503, "503 Service Unavailable"), (599, "599")]
)
def test_a_status_is_described(status: int, text: str) -> None:
    assert described_status(status) == text


# Which host it was ---------------------------------------------------------------------------------------------------


def at(url: object) -> Exception:
    return told(request=SimpleNamespace(url=url))


@pytest.mark.parametrize(
    ("error", "host"),
    [
        (at("https://api.example.com/v1?key=canary"), "api.example.com"),
        (at("https://me:canary@API.example.com:8443/"), "api.example.com"),
        (at("https://canary@api.example.com"), "api.example.com"),
        (at("http://a@b@c.example/"), "c.example"),
        (at("http://[::1]:80/x"), "::1"),
        (at("http://me:canary/x@api.example.com/"), ""),  # its host is "me" and its port is no number
        (at("http://api.example.com\\@canary/"), "api.example.com"),
        (at("http://api.example.com\n.canary/"), ""),
        (at("/only/a/path?canary"), ""),
        (at("canary"), ""),
        (at(None), ""),
        (at(7), ""),
        (told(response=SimpleNamespace(url="http://b.example/")), "b.example"),
        (told(request_info=SimpleNamespace(url="http://c.example/")), "c.example"),
        (told(url="http://d.example/"), "d.example"),
        (told(host="e.example"), "e.example"),
        (told(host="e.example/canary"), ""),
        (told(conn=SimpleNamespace(host="f.example")), "f.example"),
        (told(pool=SimpleNamespace(host="g.example")), "g.example"),
        (told(kwargs={"endpoint_url": "https://h.example/x"}), "h.example"),
        (
            told(details={"causes": [{"message": "error sending request for url (http://i.example/canary)"}]}),
            "i.example",
        ),
        (raised(RuntimeError(), cause=told(host="j.example")), "j.example"),
        (Exception("http://canary.example/"), ""),
    ],
)
def test_the_host_is_told_and_nothing_beside_it(error: Exception, host: str) -> None:
    assert host_of(error) == host


@given(st.text(alphabet="canary:/@?#[]\\.%0 \n", max_size=40))
def test_a_password_never_gets_into_a_host(password: str) -> None:
    escaped = "".join(f"%{ord(character):02x}" if not character.isalnum() else character for character in password)
    assert host_of(at(f"https://me:{escaped}@api.example.com/{password}")) == "api.example.com"


# How long to wait ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        (7, 7.0),
        (1.5, 1.5),
        (b"7", 7.0),
        (["7"], 7.0),
        (["3", "7", "x"], 7.0),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(NOW + 60)), 60.0),
        (time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(NOW + 60)), 60.0),
        (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + 60)), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("3600", 3600.0),
        # several lines, as requests and httpx join them
        ("5, 10", 10.0),
        (f"{formatdate(NOW + 60, usegmt=True)}, {formatdate(NOW + 70, usegmt=True)}", 70.0),
        (f"7,{time.strftime('%A, %d-%b-%y %H:%M:%S GMT', time.gmtime(NOW + 60))}", 60.0),
        # what the reset of a limit may be, too
        *(("90s", 90.0), ("1m30s", 90.0), ("500ms", 0.5), (str(int(NOW) + 9), 9.0), (str(int(NOW + 9) * 1000), 9.0)),
        # dates with a zone of their own, or none
        (time.strftime("%a, %d %b %Y %H:%M:%S +0200", time.gmtime(NOW + 7260)), 60.0),
        (time.strftime("%Y-%m-%dT%H:%M:%S-05:30", time.gmtime(NOW + 60 - 19800)), 60.0),
        (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW + 60)), 60.0),
        (
            time.strftime("%a %b %d %Y %H:%M:%S GMT+0100 (Central European Standard Time)", time.gmtime(NOW + 3660)),
            60.0,
        ),
        ("99999999", CAP),
        ("9" * 90, CAP),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CAP),
    ],
)
def test_retry_after_is_read_in_every_form(given_: object, seconds: float) -> None:
    pushback = pushback_of(answered(429, Retry_After=given_), NOW)
    assert pushback is not None
    assert pushback.retry_after == seconds
    assert bool(pushback.absurd) is ((seconds == CAP and given_ != "3600") or given_ == ["3", "7", "x"])


@pytest.mark.parametrize(
    "given_",
    [
        *("-1", "soon", "", "1e3", "0x10", "1_000", "٣", "nan", "inf", "7 seconds", "9" * 101),
        *("Wed, 31 Feb 2024 00:00:00 GMT", "Wed, 21 Foo 2015 07:28:00 GMT", "Wed, 21 Oct 2015 25:28:00 GMT"),
        *(-1, True, None, float("nan"), {}, ()),
    ],
)
def test_a_retry_after_that_is_none_is_ignored_and_told(given_: object) -> None:
    pushback = pushback_of(answered(429, Retry_After=given_), NOW)
    assert pushback is not None
    assert pushback.retry_after is None
    assert pushback.absurd.startswith("Retry-After ignored: ")
    assert len(pushback.absurd) < 120


def test_what_is_absurd_is_told() -> None:
    pushback = pushback_of(answered(503, Retry_After="99999999"), NOW)
    assert pushback == Pushback("503 Service Unavailable", CAP, absurd="Retry-After: 99999999 capped at 3600 s")


def test_the_answers_own_clock_counts_where_it_has_one() -> None:
    date, later = formatdate(1e9, usegmt=True), formatdate(1e9 + 90, usegmt=True)
    assert pushback_of(answered(429, Retry_After=later, Date=date), NOW) == Pushback(BUSY, 90.0)
    assert pushback_of(answered(429, Retry_After=later, Date="yesterday"), NOW) == Pushback(BUSY, 0.0)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "7"},
        {"RETRY-AFTER": "7"},
        [("Retry-After", "7")],
        [(b"retry-after", b"7")],
        (("retry-after", "7"), ("x", "y")),
        {"Retry-After-Ms": "7000", "Retry-After": "8"},
        {"x-ms-retry-after-ms": "7000"},
        {"X-Retry-After": "7"},
        {"X-RateLimit-Retry-After": "7"},
        {"X-Rate-Limit-Retry-After-Seconds": "7"},
    ],
)
def test_headers_may_have_any_shape(headers: Any) -> None:
    assert pushback_of(told(status=429, headers=headers), NOW) == Pushback(BUSY, 7.0)
    assert pushback_of(told(response=SimpleNamespace(status_code=429, headers=headers)), NOW) == Pushback(BUSY, 7.0)


@pytest.mark.parametrize(
    "headers", [None, 7, "Retry-After: 7", [1, 2], [("a",)], {1: 2}, {"retry-after": None}, object()]
)
def test_headers_of_the_wrong_type_are_no_headers(headers: object) -> None:
    pushback = pushback_of(told(status=429, headers=headers), NOW)
    assert pushback is not None
    assert (pushback.reason, pushback.retry_after) == (BUSY, None)


# How fast instead ----------------------------------------------------------------------------------------------------

OPENAI = {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "30s"}
IN_HALF_A_MINUTE = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + 30))
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "60",
    "anthropic-ratelimit-requests-reset": IN_HALF_A_MINUTE,
    "anthropic-ratelimit-tokens-reset": IN_HALF_A_MINUTE,
}


@pytest.mark.parametrize(
    ("headers", "rate", "window", "wait"),
    [
        ({"RateLimit": '"default";r=50;t=10'}, 5.0, 10.0, None),
        ({"RateLimit": '"a";r=50;t=10, "b";r=6;t=3'}, 2.0, 3.0, None),  # the tightest
        ({"RateLimit": ['"a";r=50;t=10', '"b";r=6;t=3']}, 2.0, 3.0, None),
        ({"RateLimit": '"with, comma; r=1;t=1000";r=50;t=10'}, 5.0, 10.0, None),
        ({"RateLimit": '"a";r=0;t=10'}, None, None, 10.0),
        ({"RateLimit": '"a";r=0;t=10, "b";r=0;t=30'}, None, None, 30.0),
        ({"RateLimit": '"a";r=0;t=10', "Retry-After": "3"}, None, None, 3.0),  # which takes precedence
        ({"RateLimit": '"a";r=0;t=10', "Retry-After": "soon"}, None, None, 10.0),
        ({"RateLimit": '"a";r=0;t=10', "RateLimit-Policy": '"a";q=30;w=60'}, None, None, 10.0),  # then there are 30
        ({"RateLimit": '"a";r=4;t=10', "Retry-After": "3"}, None, None, 3.0),  # it was refused by some other count
        ({"RateLimit-Policy": '"a";q=30;w=60, "b";q=10;w=1'}, 0.5, 60.0, None),
        ({"RateLimit-Policy": '"a";q=9999;w=60;qu="content-bytes"', "RateLimit": '"a";r=9;t=1'}, None, None, None),
        ({"RateLimit-Policy": '"a";q=60;w=60;qu="requests"'}, 1.0, 60.0, None),
        ({"RateLimit-Policy": "100;w=50, 1000;w=5000"}, 0.2, 3600.0, None),  # an earlier draft
        ({"RateLimit-Limit": "100, 100;w=50"}, 2.0, 50.0, None),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, 10.0, 5.0, None),  # one still earlier
        ({"RateLimit-Remaining": "50", "RateLimit-Reset": "5"}, 10.0, 5.0, None),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "5"}, 10.0, 5.0, None),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": str(int(NOW) + 5)}, 10.0, 5.0, None),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": str(int(NOW + 5) * 1000)}, 10.0, 5.0, None),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": formatdate(NOW + 5, usegmt=True)}, 10.0, 5.0, None),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "5"}, None, None, 5.0),
        ({"X-RateLimit-Remaining": "9, 0", "X-RateLimit-Reset": "1, 60"}, 9.0, 1.0, 60.0),  # two lines, joined
        ({"X-RateLimit-Remaining": ["9", "0"], "X-RateLimit-Reset": ["1", "60"]}, 9.0, 1.0, 60.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) - 5)}, None, None, 0.0),
        ({"x-ratelimit-remaining-requests": "50", "x-ratelimit-reset-requests": "1m40s"}, 0.5, 100.0, None),
        (OPENAI | {"x-ratelimit-remaining-requests": "0"}, 2.0, 30.0, 0.5),  # a bucket, full again in half a minute
        (OPENAI | {"x-ratelimit-remaining-requests": "0", "retry-after-ms": "400"}, None, None, 0.4),
        (OPENAI | {"x-ratelimit-remaining-requests": "30"}, 1.0, 30.0, None),
        (OPENAI | {"x-ratelimit-remaining-requests": "60", "x-ratelimit-reset-requests": "0s"}, None, None, None),
        (ANTHROPIC | {"anthropic-ratelimit-requests-remaining": "0"}, 2.0, 30.0, 0.5),
        (ANTHROPIC | {"anthropic-ratelimit-tokens-remaining": "0"}, None, None, 1.0),
        ({"X-Shopify-Shop-Api-Call-Limit": "40/40"}, 2.0, 20.0, 0.5),
        ({"X-Shopify-Shop-Api-Call-Limit": "400/400"}, 20.0, 20.0, 0.05),
        ({"X-Shopify-Shop-Api-Call-Limit": "41/40"}, None, None, None),
        ({"X-Shopify-Shop-Api-Call-Limit": "many/40"}, None, None, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, None, None, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, None, None, 1.0),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "1s"}, None, None, None),
        ({"RateLimit": '"a";r=1;t=999999999'}, 1 / CAP, CAP, None),
        ({"RateLimit": '"a";r=0;t=999999999'}, None, None, CAP),
        *(
            ({"RateLimit": text}, None, None, None)
            for text in ("", '"', ";;;", "r", "r=5", '"a";r=5', '"a";t=5', '"a";r=-5;t=1', '"a";r=5;t=0', '"a";r=x;t=5')
        ),
        ({"X-RateLimit-Remaining": "many", "X-RateLimit-Reset": "5"}, None, None, None),
        ({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "later"}, None, None, None),
        ({"X-RateLimit-Limit": "5000"}, None, None, None),
    ],
)
def test_rate_limits_are_read_in_every_form(
    headers: dict[str, object], rate: float | None, window: float | None, wait: float | None
) -> None:
    pushback = pushback_of(told(status=429, headers=headers), NOW)
    assert pushback is not None
    assert (pushback.rate, pushback.window, pushback.retry_after) == (rate, window, wait)


header_names = st.sampled_from(
    [
        *("Retry-After", "X-Retry-After", "retry-after-ms", "Date", "RateLimit", "RateLimit-Policy", "RateLimit-Limit"),
        *("RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
        *("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "x-ratelimit-limit-requests"),
        *("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-limit"),
        *("anthropic-ratelimit-requests-reset", "x-shopify-shop-api-call-limit", "grpc-status-details-bin"),
    ]
)
likely = st.lists(
    st.sampled_from(
        ['"a"', ";", "r=", "t=", "q=", "w=", "qu=", ",", '"', " ", "0", "5", "99999999999", "-", ".", "GMT"]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)
header_values = (
    likely | st.text() | st.binary() | st.integers() | st.floats() | st.none() | st.lists(likely, max_size=3)
)


@pytest.mark.slow
@given(st.dictionaries(header_names, header_values), st.sampled_from([403, 404, 429, 500, 503]), st.floats())
def test_no_header_whatever_raises_or_gets_past_the_bounds(headers: Any, status: int, now: float) -> None:
    pushback = pushback_of(told(status=status, headers=headers), now)
    if pushback is not None:
        assert pushback.retry_after is None or 0 <= pushback.retry_after <= CAP
        assert pushback.rate is None or 1 / CAP <= pushback.rate < float("inf")
        assert pushback.window is None or 0 < pushback.window <= CAP
        assert (pushback.rate is None) is (pushback.window is None)
        assert pushback.absurd.isprintable()


@given(st.integers(1, 10**6), st.integers(1, 3600))
def test_calls_left_and_the_time_until_new_ones_are_a_rate(left: int, seconds: int) -> None:
    advice = advice_of({"ratelimit": [f'"a";r={left};t={seconds}']}, now=0.0)
    assert (advice.rate, advice.window) == (max(left / seconds, 1 / CAP), seconds)


# What is pushback and what is not ------------------------------------------------------------------------------------


INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}
HALF = Pushback(BUSY, 3.5)
GOOGLES = Pushback("403 rateLimitExceeded")


def httplib2ish(status: int, **headers: str) -> object:
    """Make a response as httplib2 has it: a dict of its headers, with a status."""
    made = type("Response", (dict,), {"status": status})
    return made({name.replace("_", "-"): text for name, text in headers.items()})


def reasons(reason: str) -> list[dict[str, str]]:
    return [{"domain": "usageLimits", "reason": reason}]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (answered(429), Pushback(BUSY)),
        (answered(503), Pushback("503 Service Unavailable")),
        (answered(529), Pushback("529")),
        (answered(408), Pushback("408 Request Timeout", timeout=True)),
        (answered(504), Pushback("504 Gateway Timeout", timeout=True)),
        (answered(504, Retry_After="2"), Pushback("504 Gateway Timeout", 2.0)),  # then it is the server's word
        (answered(500), None),
        (answered(500, Retry_After="2"), Pushback("500 Internal Server Error", 2.0)),
        (answered(501, Retry_After="2"), None),
        (answered(403), None),
        (answered(403, Retry_After="2"), Pushback("403 Forbidden", 2.0)),
        (answered(403, RateLimit='"a";r=0;t=9'), Pushback("403 Forbidden", 9.0)),
        (answered(403, RateLimit='"a";r=1;t=9'), None),
        (answered(418, Retry_After="2"), Pushback("418 I'm a Teapot", 2.0)),
        (answered(430, Retry_After="2"), Pushback("430", 2.0)),
        (answered(418), None),
        (answered(420), Pushback("420")),
        (answered(401, Retry_After="2"), None),
        (answered(404, Retry_After="2"), None),
        (ConnectionRefusedError(), Pushback("connection refused")),
        (OSError(errno.ECONNREFUSED, "refused"), Pushback("connection refused")),
        (ConnectionResetError(), None),
        (BrokenPipeError(), None),
        (TimeoutError(), Pushback("timeout", timeout=True)),
        (whilst.Throttled(), Pushback("the other side asks to slow down")),
        (whilst.Throttled("full", retry_after=2), Pushback("full", 2.0)),
        (whilst.Throttled("", retry_after=0), Pushback("Throttled", 0.0)),
        (whilst.Throttled("x", retry_after=1e9), Pushback("x", CAP, absurd="retry_after: 1000000000 capped at 3600 s")),
        (raised(RuntimeError(), cause=whilst.Throttled("full", retry_after=2)), Pushback("full", 2.0)),
        (told(response={"Error": {"Code": "SlowDown"}}), Pushback("SlowDown")),
        (told(sqlstate="53300"), Pushback("too many connections (53300)")),
        (told(status=429, code="insufficient_quota"), None),
        # clients that keep it somewhere else: stripe, googleapiclient, google-api-core, google-genai, and their like
        (told(http_status=429, code="rate_limit", headers={"Retry-After": "2"}), Pushback(BUSY, 2.0)),
        (told(http_status=429, code="lock_timeout"), None),  # an object is in use
        (told(resp=httplib2ish(status=429, retry_after="5")), Pushback(BUSY, 5.0)),
        (told(resp=httplib2ish(status=403), error_details=reasons("rateLimitExceeded")), GOOGLES),
        (told(code=403, errors=reasons("userRateLimitExceeded")), Pushback("403 userRateLimitExceeded")),
        (told(code=403, errors=reasons("quotaExceeded")), None),
        (told(code=429, details=[SimpleNamespace(retry_delay=SimpleNamespace(seconds=3, nanos=5 * 10**8))]), HALF),
        (told(code=429, details={"error": {"details": [{"@type": "x"}, INFO]}}), HALF),
        (told(code=429, error_details=[INFO]), HALF),
        (told(code=429, details=[INFO], headers={"Retry-After": "2"}), Pushback(BUSY, 2.0)),
        (told(code=429, details=[INFO | {"retryDelay": "soon"}]), Pushback(BUSY)),
        # an exception that asks to wait by itself: Telegram's clients, discord.py and others, without a status
        (told(retry_after=7), Pushback("Exception", 7.0)),
        (told(retry_after=timedelta(seconds=7)), Pushback("Exception", 7.0)),
        (told(retry_after=1e9), Pushback("Exception", CAP, absurd="retry_after: 1000000000 capped at 3600 s")),
        (told(status=429, retry_after=7.5), Pushback(BUSY, 7.5)),
        (told(status=429, retry_after=7.5, headers={"Retry-After": "8"}), Pushback(BUSY, 8.0)),
        (told(status=403, retry_after=7), Pushback("403 Forbidden", 7.0)),
        (told(status=404, retry_after=7), None),
        *((told(retry_after=odd), None) for odd in (None, True, -1, float("nan"), float("inf"), "7", timedelta(-1))),
        (raised(RuntimeError(), cause=told(retry_after=7)), Pushback("Exception", 7.0)),
        (raised(KeyError(), cause=told(retry_after=7)), None),
        (KeyError("x"), None),
        (KeyboardInterrupt(), None),
        (FileNotFoundError(2, "no"), None),
    ],
)
def test_what_is_taken_for_pushback(error: BaseException, expected: Pushback | None) -> None:
    assert pushback_of(error, NOW) == expected


@pytest.mark.parametrize(
    ("reason", "limits"),
    [
        ("429 Too Many Requests", "surely"),
        ("gRPC RESOURCE_EXHAUSTED", "surely"),
        ("botocore ThrottlingException", "surely"),
        ("503 SlowDown", "surely"),
        ("503 Service Unavailable", "perhaps"),
        ("404 Not Found", ""),
        ("connection refused", ""),
        ("gRPC UNAVAILABLE", ""),
    ],
)
def test_whether_there_were_too_many_calls_is_told_by_the_status_or_the_word(reason: str, limits: str) -> None:
    assert Pushback(reason).limits == limits


def test_of_a_group_the_longest_wait_counts() -> None:
    group = ExceptionGroup(
        "", [TimeoutError(), answered(429, Retry_After="3"), KeyError(), answered(503, Retry_After="9")]
    )
    assert pushback_of(group, NOW) == Pushback("503 Service Unavailable", 9.0)
    assert pushback_of(ExceptionGroup("", [TimeoutError(), KeyError()]), NOW) == Pushback("timeout", timeout=True)
    assert pushback_of(ExceptionGroup("", [TimeoutError(), ConnectionRefusedError()]), NOW) == Pushback(
        "connection refused"
    )
    assert pushback_of(ExceptionGroup("", [KeyError()]), NOW) is None


# Exceptions that bite ------------------------------------------------------------------------------------------------


class Bites(Exception):
    """Whose every attribute raises, and which is not what it says."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")


class Snake:
    """An attribute that raises wherever it is touched."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __iter__(self) -> Any:
        raise RuntimeError("iter")

    def __str__(self) -> str:
        raise RuntimeError("str")

    __hash__ = None  # type: ignore[assignment]


class Endless(dict[str, str]):
    """Headers without end."""

    def items(self) -> Any:
        while True:
            yield ("x", "y")


PLACES = [
    *(
        "status",
        "status_code",
        "code",
        "response",
        "headers",
        "request",
        "url",
        "reason",
        "errno",
        "details",
        "sqlstate",
    ),
    *("pgcode", "sqlite_errorname", "trailing_metadata", "conn", "pool", "host", "kwargs", "orig", "os_error", "raw"),
    *("request_info", "retry_after", "retries", "exceptions", "resp", "http_status", "error_details", "errors"),
]


def everything_about(error: BaseException) -> None:
    pushback_of(error, NOW)
    status_of(error)
    host_of(error)
    whilst.transient(error)
    retried_inside(error)


THINGS: dict[str, Any] = {
    "bites": Snake,
    "has no end": Endless,
    "is a class": lambda: Snake,
    "counts for ever": lambda: iter(lambda: 1, 2),
    "gives what bites": lambda: Snake,
    "holds what bites": lambda: {"status": Snake(), "Retry-After": Snake(), "Error": Snake(), "get": Snake()},
    "lists what bites": lambda: [Snake(), ("Retry-After", Snake())],
}


@pytest.mark.parametrize("make", THINGS.values(), ids=THINGS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_an_exception_carries_makes_it_bite(place: str, make: Any) -> None:
    thing = make()
    for carrier in (told(), OSError(), told(status=429), socket.gaierror(), whilst.Throttled()):
        setattr(carrier, place, thing)
        everything_about(carrier)
        everything_about(told(response=carrier))
        everything_about(raised(RuntimeError(carrier, thing), cause=carrier))


def test_an_exception_that_bites_is_of_no_known_kind() -> None:
    everything_about(Bites())
    everything_about(ExceptionGroup("", [Bites()]))
    assert pushback_of(Bites(), NOW) is None
    assert retries_of(Snake()) == ""


@given(st.binary(max_size=80))
def test_details_of_grpc_that_are_damaged_say_nothing(noise: bytes) -> None:
    wait = retry_delay([noise])
    assert wait is None or 0 <= wait < 1e12


def test_judging_imports_no_client() -> None:
    code = (
        "import sys; before = set(sys.modules); import whilst, whilst.core.pushback, whilst.core.retried\n"
        "whilst.transient(OSError())\n"
        "print({'requests', 'urllib3', 'httpx', 'aiohttp', 'botocore', 'grpc', 'redis', 'psycopg', 'openai', 'asyncio',"
        " 'socket', 'random', 'email', 'http.client', 'ssl'} & set(sys.modules) - before)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "set()\n"


# Saying it oneself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, -0.001, float("nan"), float("inf")])
def test_a_wait_that_cannot_be_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="retry_after must be at least 0 seconds and finite, got"):
        whilst.Throttled(retry_after=bad)


@pytest.mark.parametrize("bad", ["2", b"2", True, [], object()])
def test_a_wait_that_is_no_number_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="retry_after must be a number of seconds, got"):
        whilst.Throttled(retry_after=bad)


def test_a_timedelta_is_refused_with_the_way_to_write_it() -> None:
    import datetime

    with pytest.raises(TypeError, match=r"try: retry_after=….total_seconds\(\)"):
        whilst.Throttled(retry_after=datetime.timedelta(seconds=2))  # type: ignore[arg-type]


def test_throttled_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(whilst.Throttled("full", retry_after=2)))
    assert (str(error), error.retry_after) == ("full", 2.0)
    assert str(whilst.Throttled()) == "the other side asks to slow down"
