"""How is said in an advice how much, how fast and how long, and which argument changes it?"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from .account import BUSY
from .rates import parse_rates
from .summary import Summary

RATE = "rate="  # and what a limit of that name permits
MOST = 3
LEAST_SHARE = 0.2  # of the lane-time
LEAST_GAIN = 1.1
FULL = 0.9  # busy lanes from which on more of them are the question


def most_of(now: Summary, *, but: str = "") -> float:
    """Return how many times as fast this is with every lane in a call all the time.

    That is as far as the processor lets it, and the rates that it is given, but for one of this name.
    """
    busy = now.account.get(BUSY, 0.0)
    most = min(1.0 / busy if busy > 0 else 1.0, room_of(now, but=but))
    return min(most, now.elapsed / now.wanted) if now.wanted > 0 else most


def room_of(now: Summary, *, but: str = "") -> float:
    """Return how many times as many calls a second its rates permit, leaving out one; at least 1, inf without any.

    >>> now = Summary("f", None, 80, 0, 0, 0, 2.0, 4, called=80, given_by={"rate=60/s": ("rate", "")})
    >>> room_of(now), room_of(now, but="rate=60/s")
    (1.5, inf)
    """
    each = now.called / now.elapsed if now.elapsed > 0 else 0.0  # calls a second
    limits = [name for name, (_, step) in now.given_by.items() if name.startswith(RATE) and not step and name != but]
    rates = [found for name in limits for found in parse_rates(name.removeprefix(RATE))]
    return max(1.0, min((it.amount / it.period for it in rates), default=inf) / each) if each > 0 else inf


def raised(now: Summary, limit: str, number: int | None = None) -> dict[str, Any] | None:
    """Return the argument that doubles a limit of this name, or sets it to a number; None if that changes more.

    >>> given = {"rate=9/s": ("rate", ""), "concurrency=4": ("limit", "")}
    >>> now = Summary("f", None, 0, 0, 0, 0, 1.0, 4, given_by=given)
    >>> raised(now, "rate=9/s"), raised(now, "concurrency=4"), raised(now, "rate=9/s per key")
    ({'rate': '18/s'}, {'limit': 'Limit(concurrency=8)'}, None)
    """
    argument, step = now.given_by.get(limit, ("", ""))
    name, _, value = limit.partition("=")
    amount, _, period = value.partition("/")
    if not argument:
        return None
    twice = f"{2 * float(amount) if number is None else number:g}"
    new = f"{twice}/{period}" if name == "rate" else int(float(twice))
    change = (
        {name: new} if argument == name else {"limit": f'Limit({name}="{new}")' if period else f"Limit({name}={new})"}
    )
    return {"step": step, **change} if step else change


def lanes_that(now: Summary, share: float, did: str) -> str:
    """Say how many lanes did something, on average, by its share of the lane-time."""
    lanes = share * now.concurrency
    return f"on average {lanes:.{0 if lanes >= 9.5 else 1}f} of {now.concurrency} lanes {did} ({percent(share)})"


def spent_on(seconds: Mapping[str, float]) -> str:
    """Say on what kinds of failures most of the time was spent."""
    most = sorted(seconds.items(), key=lambda it: -it[1])[:MOST]
    return ", ".join(f"{time_of(took)} with {kind}" for kind, took in most)


def counted(number: int, one: str, many: str) -> str:
    """Return a number with what is counted."""
    return f"{number:,} {one if number == 1 else many}"


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.0f} %"


def rate(each: float) -> str:
    """Return so many a second, as a rate that can be given."""
    return f"{each:,.0f}/s".replace(",", "") if each >= 10 else f"{each:.2g}/s"


def time_of(seconds: float) -> str:
    """Return a time, short."""
    from .telling import brief

    return brief(seconds)
