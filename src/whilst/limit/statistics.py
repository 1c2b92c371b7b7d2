"""What is the state of a limit at one moment, in numbers and in a line of text?"""

from __future__ import annotations

from typing import NamedTuple


class LimitStatistics(NamedTuple):
    """The state of a `Limit` at one moment.

    Attributes:
        concurrency: how many may be in flight, for each key if there are keys; None if that has no limit. An adaptive
            one is what was found so far, the largest over all keys.
        in_flight: how many are.
        waiting: how many parties wait for their turn; a run that waits for many permits is one.
        rates: as they were given, the shortest period first.
        adaptive: whether the concurrency is found, rather than given.
        keys: how many values of `by` are remembered; 1 without `by`, once it was used.
        paused_for: seconds until the last key that pauses goes on; 0.0 if none does.
        started: calls so far.
        rejected: those of them that the other side refused.
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
    parts += [f"paused for {now.paused_for:.3g} s"] if now.paused_for else []
    return ", ".join(parts)
