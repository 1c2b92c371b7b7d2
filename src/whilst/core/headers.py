"""What do the headers of an answer say about waiting, and about how many calls a second are welcome?

Retry-After as in RFC 9110 section 10.2.3; RateLimit and RateLimit-Policy as in the IETF draft
draft-ietf-httpapi-ratelimit-headers, its present form (`"name";r=5;t=30`) and its earlier ones; X-RateLimit-* as
GitHub, OpenAI and many others send them. What cannot be read is ignored; what is beyond reason is capped and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from .evidence import is_a
from .outcome import short

# An hour: quotas by the hour are common and a client that asks earlier is refused again; who cannot wait for so long
# has a deadline. Quotas by the day cost one refused call an hour.
CAP: Final = 3600.0

Headers: TypeAlias = "Mapping[str, list[object]]"  # names in lower case, every value of a name
MOST_ITEMS = 16  # of a list of policies
IN_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms")  # OpenAI, Azure, gRPC's A6
EPOCH_FROM = 1e9  # a reset that is larger is a point in time, not a duration (thirty years)
MILLISECONDS_FROM = 1e11


class Advice(NamedTuple):
    """What headers say; see `Pushback` for the fields."""

    retry_after: float | None = None
    rate: float | None = None
    window: float | None = None
    absurd: str = ""


class Left(NamedTuple):
    """How many calls are left until there are new ones, and in how many seconds that is."""

    calls: float
    seconds: float


def advice_of(headers: Headers, now: float) -> Advice:
    """Read all that headers say; `now` is the wall clock, used only where the answer has no Date of its own.

    >>> advice_of({"retry-after": ["120"]}, now=0.0).retry_after
    120.0
    >>> advice = advice_of({"ratelimit": ['"minute";r=50;t=10']}, now=0.0)
    >>> advice.rate, advice.window
    (5.0, 10.0)
    """
    told: list[str] = []
    clock = _clock(headers, now)
    left = list(_allowances(headers, clock))
    spent = max((reset for remaining, reset in left if remaining == 0), default=None)
    asked = _retry_after(headers, clock, told)
    if asked is None and spent is not None:  # the draft: Retry-After takes precedence over the reset
        asked = capped(spent, "rate limit reset", told)
    rates = [(remaining / span, span) for remaining, span in (*left, *_policies(headers)) if remaining > 0 < span]
    if not rates:
        return Advice(asked, absurd="; ".join(told))
    rate, window = min(rates)
    return Advice(asked, max(rate, 1 / CAP), min(window, CAP), "; ".join(told))


def left_of(headers: Headers, now: float) -> Left | None:
    """Return how many calls are left, the fewest where there are several counts; None where the headers do not say.

    `now` is as in `advice_of`.

    >>> left_of({"x-ratelimit-remaining": ["4999"], "x-ratelimit-reset": ["1700000060"]}, now=1_700_000_000.0)
    Left(calls=4999.0, seconds=60.0)
    """
    counts = [Left(calls, min(seconds, CAP)) for calls, seconds in _allowances(headers, _clock(headers, now))]
    return min(counts, key=lambda it: (it.calls, -it.seconds), default=None)


def capped(seconds: float, what: str, told: list[str]) -> float:
    """Return a wait of at most `CAP`, and tell when it was more."""
    if seconds <= CAP:
        return seconds
    told.append(f"{what}: {seconds:.12g} capped at {CAP:g} s")
    return CAP


def _clock(headers: Headers, now: float) -> float:
    """Return the time by the clock of who answered, so that a wrong one here harms nothing."""
    return next((at for it in headers.get("date", ()) if (at := _date(_text(it) or "")) is not None), now)


# Retry-After ---------------------------------------------------------------------------------------------


def _retry_after(headers: Headers, clock: float, told: list[str]) -> float | None:
    """Return the longest wait that is asked for; a form in milliseconds is the more exact one."""
    exact = [it for name in IN_MILLISECONDS for it in headers.get(name, ())]
    waits = [wait for it in exact if (wait := _number(_text(it) or "")) is not None]
    if waits:
        return capped(max(waits) / 1000, "Retry-After-Ms", told)
    waits = [wait for it in headers.get("retry-after", ()) if (wait := _wait(it, clock, told)) is not None]
    return capped(max(waits), "Retry-After", told) if waits else None


def _wait(value: object, clock: float, told: list[str]) -> float | None:
    text = _text(value)
    if text is None:
        told.append(f"Retry-After ignored: a {type(value).__name__}")
        return None
    if (seconds := _number(text)) is not None:
        return seconds
    if (at := _date(text)) is not None:
        return max(0.0, at - clock)
    told.append(f"Retry-After ignored: {short(text, 40)} is neither seconds nor a date")
    return None


# RateLimit ------------------------------------------------------------------------------------------------


def _allowances(headers: Headers, clock: float) -> Iterator[tuple[float, float]]:
    """Give (calls left, seconds until there are new ones), from every form of the headers."""
    foreign = {name for name, given in _items(headers, "ratelimit-policy") if _is_foreign(given)}
    for name, given in _items(headers, "ratelimit"):
        if name not in foreign and {"r", "t"} <= given.keys():
            yield float(given["r"]), float(given["t"])
    merged = {key: value for _, given in _items(headers, "ratelimit") for key, value in given.items()}
    if {"remaining", "reset"} <= merged.keys():  # the draft of 2021: one header, `limit=9, remaining=3, reset=5`
        yield float(merged["remaining"]), float(merged["reset"])
    for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit"):
        yield from _pairs(headers, f"{prefix}-remaining", f"{prefix}-reset", clock)
        yield from _pairs(headers, f"{prefix}-remaining-requests", f"{prefix}-reset-requests", clock)
        for left, reset in _pairs(headers, f"{prefix}-remaining-tokens", f"{prefix}-reset-tokens", clock):
            if left == 0:  # tokens are not calls, but without any left no call is answered
                yield left, reset


def _pairs(headers: Headers, remaining: str, reset: str, clock: float) -> Iterator[tuple[float, float]]:
    for left, until in zip(headers.get(remaining, ()), headers.get(reset, ()), strict=False):
        calls, seconds = _number(_text(left) or ""), _until(_text(until) or "", clock)
        if calls is not None and seconds is not None:
            yield calls, seconds


def _policies(headers: Headers) -> Iterator[tuple[float, float]]:
    """Give (calls, seconds of the window) of every policy: `"name";q=100;w=60`, earlier `100;w=60`."""
    for header in ("ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit"):
        for name, given in _items(headers, header):
            quota = given.get("q", name)
            if not _is_foreign(given) and "w" in given and _number(quota) is not None:
                yield float(quota), float(given["w"])


def _is_foreign(given: Mapping[str, str]) -> bool:
    """Whether a policy counts something other than calls, such as bytes."""
    return given.get("qu", "requests") != "requests"


def _items(headers: Headers, header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give (name, parameters) of every member of a list such as `"a";r=5;t=1, "b";r=9;t=60`."""
    for value in headers.get(header, ()):
        members = re.findall(r'(?:"[^"]*"|[^",])+', (_text(value) or "")[:2000])
        for member in members[:MOST_ITEMS]:
            name, *parameters = re.findall(r'(?:"[^"]*"|[^";])+', member) or [""]
            given = (it.strip().partition("=") for it in (name, *parameters) if "=" in it)
            read = {key.strip(): text.strip().strip('"') for key, _, text in given}
            yield name.strip(), {key: it for key, it in read.items() if key == "qu" or _number(it) is not None}


def _until(text: str, clock: float) -> float | None:
    """Return the seconds until a reset, given as seconds, as `6m0s` or `20ms`, or as a point in time."""
    number = _number(text)
    if number is None:
        at = _date(text)
        return _duration(text) if at is None else max(0.0, at - clock)
    if number < EPOCH_FROM:
        return number
    return max(0.0, (number if number < MILLISECONDS_FROM else number / 1000) - clock)


def _duration(text: str) -> float | None:
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    if not re.fullmatch(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms]))+", text, re.ASCII):
        return None
    return sum(float(count) * units[unit] for count, unit in re.findall(r"([\d.]+)(ms|[dhms])", text))


# Values ---------------------------------------------------------------------------------------------------


def _text(value: object) -> str | None:
    """Return a header's value as text; None for what no header can be."""
    if is_a(value, str):
        return value.strip()
    if is_a(value, bytes):
        return value.decode("latin-1").strip()
    if is_a(value, (int, float)) and not is_a(value, bool):
        return repr(value)
    return None


def _number(text: str) -> float | None:
    """Return a number without sign, exponent or underscore; those that overflow are refused too."""
    if not re.fullmatch(r"\d{1,100}(?:\.\d{0,100})?", text, re.ASCII):
        return None
    return float(text)


MONTHS = " jan feb mar apr may jun jul aug sep oct nov dec"
# RFC 9110 section 5.6.7: the form to use (day of two digits, also with a numeric zone as mail has it), and two old ones
DATES = (
    r"[a-z]{3,9}, (?P<d>\d\d?)[ -](?P<m>[a-z]{3})[ -](?P<y>\d{4}|\d\d) (?P<t>\d\d:\d\d:\d\d) (?:GMT|UTC|[+-]0000)",
    r"[a-z]{3} (?P<m>[a-z]{3}) {1,2}(?P<d>\d{1,2}) (?P<t>\d\d:\d\d:\d\d) (?P<y>\d{4})",
    r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)T(?P<t>\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z",
)


def _date(text: str) -> float | None:
    """Return the seconds since 1970 of a point in time; `email.utils` would load random, socket and os.

    >>> _date("Sun, 06 Nov 1994 08:49:37 GMT") == _date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777.0
    True
    """
    found = next((match for form in DATES if (match := re.fullmatch(form, text, re.ASCII | re.IGNORECASE))), None)
    if found is None:
        return None
    name = found["m"].lower()
    month = int(name) if name.isdigit() else (MONTHS.find(f" {name}") + 4) // 4  # 0 for what is no month
    year = int(found["y"])
    if len(found["y"]) == 2:  # of the 1900s, when it was written, or of the 2000s
        year += 1900 if year >= 70 else 2000
    hour, minute, second = map(int, found["t"].split(":"))
    try:  # a leap second counts as the one before
        from datetime import UTC, datetime  # loaded when used

        return datetime(year, month, int(found["d"]), hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except (ValueError, ImportError):  # the 31st of February; or no file can be opened, which may be the very failure
        return None
