"""What is the state of a limit at one moment, in numbers and in a line of text?"""

from __future__ import annotations

from typing import NamedTuple


class LimitStatistics(NamedTuple):
    """The state of a `Limit` at one moment.

    Attributes:
        concurrency: how many calls may be in flight, for each key if there are keys; None if there is no limit. If it
            is adaptive, the number found so far; if it is a function of the key, its result. The largest over all keys.
        in_flight: how many calls are in flight.
        waiting: how many wait for a permit; a run that waits for many permits counts as one.
        rates: the rates as they were given, the shortest period first.
        adaptive: whether the concurrency is "adaptive".
        keys: how many keys of `by` are remembered; without `by`, 1 after the first use.
        paused_for: seconds until the last pause of a key is over; 0.0 if there is none.
        started: calls that have started so far.
        rejected: how many of them the other side refused.
        found: what an adaptive limit has found, or why it is slow, in words; for one key, if there are several.
        paused_by: what your program has paused, and since when: "paused by limit.pause() since 14:02".
    """

    concurrency: int | None
    in_flight: int
    waiting: int
    rates: tuple[str, ...] = ()
    adaptive: bool = False
    keys: int = 0
    paused_for: float = 0.0
    started: int = 0
    rejected: int = 0
    found: str = ""
    paused_by: str = ""


def in_words(now: LimitStatistics, *, keyed: bool) -> str:
    """Return the state as the limit's `repr` tells it: `12/32 in flight, 100/s, 3 waiting`."""
    parts = [f"{now.in_flight}{'' if keyed or now.concurrency is None else f'/{now.concurrency}'} in flight"]
    if keyed and now.concurrency is not None:
        parts.append(f"{now.concurrency} per key")
    if keyed:
        parts.append(f"{now.keys:,} key{'' if now.keys == 1 else 's'}")
    parts += ["adaptive"] if now.adaptive else []
    parts += now.rates
    parts += [f"{now.waiting} waiting"] if now.waiting else []
    parts += [now.found] if now.found else []
    parts += [f"paused for {now.paused_for:.3g} s"] if now.paused_for else []
    parts += [now.paused_by] if now.paused_by else []
    return ", ".join(parts)
