"""What do the headers of an answer say about waiting, and about how many calls are welcome?

Retry-After as in RFC 9110 section 10.2.3; how many calls are left as in `counts.py`. What cannot be read is ignored;
what is beyond reason is capped and told.
"""

from __future__ import annotations

from typing import Final

from .counts import Left, counts_of, policies_of
from .fields import Headers, clock_of, number, texts, until
from .frozen import NamedTuple
from .outcome import short

__all__ = ["CAP", "Advice", "Headers", "Left", "advice_of", "capped", "left_of"]

# An hour: quotas by the hour are common and a client that asks earlier is refused again; who cannot wait for so long
# has a deadline. Quotas by the day cost one refused call an hour.
CAP: Final = 3600.0

WAITS: Final = (  # the standard's name, and what some send in its place
    *("retry-after", "x-retry-after", "x-ratelimit-retry-after"),
    *("x-rate-limit-retry-after", "x-rate-limit-retry-after-seconds"),
)
IN_MILLISECONDS: Final = ("retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms")  # OpenAI, Azure, gRPC's A6


class Advice(NamedTuple):
    """What headers say; see `Pushback` for the fields."""

    retry_after: float | None = None
    rate: float | None = None
    window: float | None = None
    absurd: str = ""


def advice_of(headers: Headers, now: float) -> Advice:
    """Read all that the headers of a refusal say.

    Where Retry-After says when to come again, that is enough: how many calls are left is then of some other limit, as
    on GitHub, whose refusals for too much in a minute say what is left of the hour.

    Args:
        headers: names in lower case.
        now: the wall clock, used only where the answer has no Date of its own.

    >>> advice_of({"retry-after": ["120"]}, now=0.0).retry_after
    120.0
    >>> advice = advice_of({"ratelimit": ['"minute";r=50;t=10']}, now=0.0)
    >>> advice.rate, advice.window
    (5.0, 10.0)
    """
    told: list[str] = []
    asked = _retry_after(headers, now, told)
    if asked is not None:
        return Advice(asked, absurd="; ".join(told))
    counts = counts_of(headers, now)
    waits = [left.wait for left in counts if left.calls == 0]
    if waits:
        asked = capped(max(waits), "rate limit reset", told)
    rates = [(_rate(left), left.seconds) for left in counts]
    if not counts:
        rates = [(calls / seconds, seconds) for calls, seconds in policies_of(headers) if seconds > 0]
    rates = [(rate, seconds) for rate, seconds in rates if rate > 0]
    if not rates:
        return Advice(asked, absurd="; ".join(told))
    rate, window = min(rates)
    return Advice(asked, max(rate, 1 / CAP), min(window, CAP), "; ".join(told))


def left_of(headers: Headers, now: float) -> Left | None:
    """Return how many calls are left, the fewest where there are several counts; None where the headers do not say.

    `now` is as in `advice_of`.

    >>> left_of({"x-ratelimit-remaining": ["4999"], "x-ratelimit-reset": ["1700000060"]}, now=1_700_000_000.0)
    Left(calls=4999.0, seconds=60.0, refill=0.0)
    """
    counts = counts_of(headers, now)
    if not counts:
        return None
    left = counts[0] if len(counts) == 1 else min(counts, key=lambda it: (it.calls, -it.seconds))
    return left if left.seconds <= CAP else left._replace(seconds=CAP)


def left_as_told(headers: Headers, status: int | None, now: float) -> Left | None:
    """Do the same for an answer that may be a refusal: none are left until its Retry-After, then.

    >>> left_as_told({"retry-after": ["2"]}, 429, now=0.0)
    Left(calls=0.0, seconds=2.0, refill=0.0)
    """
    if status is None or status >= 400:
        wait = _retry_after(headers, now, [])
        if wait is not None:
            return Left(0.0, wait)
    return left_of(headers, now)


def capped(seconds: float, what: str, told: list[str]) -> float:
    """Return a wait of at most `CAP`, and tell when it was more."""
    if seconds <= CAP:
        return seconds
    told.append(f"{what}: {seconds:.12g} capped at {CAP:g} s")
    return CAP


def _rate(left: Left) -> float:
    if left.refill:
        return left.refill
    return left.calls / left.seconds if left.seconds > 0 else 0.0


def _retry_after(headers: Headers, now: float, told: list[str]) -> float | None:
    """Return the longest wait that is asked for; a form in milliseconds is the more exact one."""
    exact = [wait for text in texts(headers, *IN_MILLISECONDS) if (wait := number(text)) is not None]
    if exact:
        return capped(max(exact) / 1000, "Retry-After-Ms", told)
    name = next((name for name in WAITS if name in headers), "")
    if not name:
        return None
    clock, waits = clock_of(headers, now), list[float]()
    for text in texts(headers, name):
        if (wait := until(text, clock)) is not None:
            waits.append(wait)
        else:
            told.append(f"Retry-After ignored: {short(text, 40)} is neither seconds nor a date")
    return capped(max(waits), "Retry-After", told) if waits else None
