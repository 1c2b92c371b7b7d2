"""What a run makes of each Retry-After there may be: in a header, or in what the function raises itself."""

from __future__ import annotations

import asyncio
import itertools
import time
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from kit import virtually

import whilst
from whilst.core.pushback import CAP

LATENCY, REFUSED_AT = 0.1, 40


class Busy(Exception):
    def __init__(self, **headers: str) -> None:
        super().__init__("429 Too Many Requests")
        self.response = SimpleNamespace(status_code=429, headers={k.replace("_", "-"): v for k, v in headers.items()})


def dated(seconds: float) -> Any:
    return Busy(Retry_After=formatdate(time.time() + seconds, usegmt=True), Date=formatdate(time.time(), usegmt=True))


AT_ONCE = {
    "0": lambda: Busy(Retry_After="0"),
    "0.0": lambda: Busy(Retry_After="0.0"),
    "milliseconds": lambda: Busy(Retry_After_Ms="0", Retry_After="9"),
    "a date of now": lambda: dated(0.0),
    "a date of the past": lambda: dated(-3600.0),
    "1970": lambda: Busy(Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
    "raised by hand": lambda: whilst.Throttled("429 busy", retry_after=0),
}
NOTHING = {
    "negative": lambda: Busy(Retry_After="-1"),
    "a word": lambda: Busy(Retry_After="soon"),
    "empty": lambda: Busy(Retry_After=""),
    "no such day": lambda: Busy(Retry_After="Wed, 31 Feb 2024 00:00:00 GMT"),
    "an exponent": lambda: Busy(Retry_After="1e3"),
    "not a number": lambda: Busy(Retry_After="nan"),
    "none": lambda: Busy(),
}
LONG = {
    "huge": (lambda: Busy(Retry_After="99999999"), CAP),
    "endless": (lambda: Busy(Retry_After="9" * 90), CAP),
    "the year 9999": (lambda: Busy(Retry_After="Fri, 31 Dec 9999 23:59:59 GMT"), CAP),
    "a date": (lambda: dated(30.0), 30.0),
    "seconds": (lambda: Busy(Retry_After="30"), 30.0),
    "raised by hand": (lambda: whilst.Throttled("busy", retry_after=30), 30.0),
    "raised by hand, huge": (lambda: whilst.Throttled("busy", retry_after=10**9), CAP),
}


async def gaps(make: Any, refusals: int) -> tuple[float, whilst.Summary]:
    """Return the longest time in which no call started, when so many in a row were refused, and the summary."""
    starts: list[float] = []
    clock = asyncio.get_running_loop().time

    async def call(item: int) -> int:
        starts.append(clock())
        number = len(starts)
        await asyncio.sleep(LATENCY)
        if REFUSED_AT <= number < REFUSED_AT + refusals:
            raise make()
        return item

    run = whilst.map(call, range(200), concurrency=4, ordered=False, retry=whilst.Retry(9, base=0.01))
    await run.outcomes()
    return max(later - earlier for earlier, later in itertools.pairwise(starts)), run.summary()


@virtually
@pytest.mark.parametrize("said", AT_ONCE)
async def test_whoever_says_to_come_back_at_once_holds_nothing_up_however_often(said: str) -> None:
    longest, summary = await gaps(AT_ONCE[said], refusals=12)
    assert longest < 2 * LATENCY
    assert (summary.ok, summary.rejected) == (200, 12)
    assert not any("permits" in note or "paused" in note for note in summary.notes)


@virtually
@pytest.mark.parametrize("said", NOTHING)
async def test_what_says_nothing_is_as_if_there_were_none(said: str) -> None:
    """One refusal is left to the retry; many in a row are taken for those of a limit."""
    longest, summary = await gaps(NOTHING[said], refusals=1)
    assert longest < 2 * LATENCY
    assert (summary.ok, summary.rejected) == (200, 1)
    longest, summary = await gaps(NOTHING[said], refusals=12)
    assert 2 * LATENCY < longest < 3.0
    assert summary.ok == 200


@virtually
@pytest.mark.parametrize("said", LONG)
async def test_a_long_one_is_kept_up_to_an_hour(said: str) -> None:
    make, seconds = LONG[said]
    longest, summary = await gaps(make, refusals=1)
    assert seconds <= longest <= seconds + 2 * LATENCY + 0.2
    assert summary.ok == 200
    if seconds == CAP:
        assert any("capped at 3600 s" in note for note in summary.notes)
