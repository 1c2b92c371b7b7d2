"""What are the numbers of a run at one moment, as a chart draws them: what is in flight, and what is permitted?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, NamedTuple

import msgspec

from ..core.rates import parse_rates
from ..core.secrets import without_secrets
from ..core.summary import Summary


class Look(msgspec.Struct, omit_defaults=True):
    """The numbers of a moment.

    Attributes:
        t: seconds from the start of the run.
        done, ok, failed, recalled, in_flight, waiting, retried, rejected, abandoned: as in `Summary`.
        permitted: how many calls may be in flight at this moment, as far as that is one number.
        rate: how many may start a second, likewise.
        paused: seconds until calls go on.
        held: what holds calls up, in words.
    """

    t: float
    done: int = 0
    ok: int = 0
    failed: int = 0
    recalled: int = 0
    in_flight: int = 0
    waiting: int = 0
    retried: int = 0
    rejected: int = 0
    abandoned: int = 0
    permitted: int | None = None
    rate: float | None = None
    paused: float = 0.0
    held: tuple[str, ...] = ()


class Permitted(NamedTuple):
    """What limits allow at one moment; None where they say nothing, or something else for each key."""

    at_once: int | None
    a_second: float | None


def look_at(now: Summary, allowed: Permitted) -> Look:
    """Return the numbers of a summary."""
    return Look(
        t=round(now.elapsed, 4),
        done=now.finished,
        ok=now.ok,
        failed=now.failed,
        recalled=now.recalled,
        in_flight=now.in_flight,
        waiting=now.waiting,
        retried=now.retried,
        rejected=now.rejected,
        abandoned=now.abandoned,
        permitted=allowed.at_once,
        rate=allowed.a_second,
        paused=round(now.paused, 3),
        held=tuple(map(without_secrets, now.held)),
    )


def permitted(concurrency: int, limits: Iterable[Any]) -> Permitted:
    """Return what a run's concurrency and its limits allow together, where they do so for all calls alike."""
    at_once, a_second = float(concurrency or inf), inf
    for limit in limits:
        if limit.keyed:
            continue
        now = limit.statistics()
        if now.concurrency is not None:
            at_once = min(at_once, now.concurrency)
        a_second = min([a_second, *a_second_of(now.rates)])
    return Permitted(None if at_once == inf else int(at_once), None if a_second == inf else a_second)


def a_second_of(rates: Sequence[str]) -> list[float]:
    """Return rates as calls a second.

    >>> a_second_of(["100/s", "6000/h"])
    [100.0, 1.6666666666666667]
    """
    return [rate.amount / rate.period for rate in parse_rates(list(rates))] if rates else []
