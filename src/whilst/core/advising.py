"""What would make such a run faster? At most three sentences, from where its lane-time went.

A figure is announced (`gain`) only where this run has shown it: the other side has answered so many calls at once, or
levels of concurrency were compared. Whether more at once than that would help cannot be known from one level, so there
the sentence says "at most", and under which condition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from .account import BUSY, CONSUMER, JOURNAL, LIMIT, ORDER, PUSHBACK, RETRIES, SOURCE, START, TAIL
from .advice import Advice
from .advice_on_stages import on_stages
from .advice_on_workers import computed_share, on_start, on_workers
from .advice_words import (
    FULL,
    LEAST_GAIN,
    LEAST_SHARE,
    MOST,
    counted,
    lanes_that,
    most_of,
    percent,
    raised,
    rate,
    room_of,
    spent_on,
    time_of,
)
from .budget import ways_out
from .scaling import Level, knee_of, levels_of
from .summary import BUSY_CPU, LATE, MANY_QUEUED, Summary, kinds_of

LEAST_CALLS = 20
LEAST_TIME = 0.2  # seconds; of what is over sooner nothing need be said
LEAST_OF_STREAMS = 2.0  # seconds; a few inputs may be streams of many items
FAILING = "failing"  # a cause beside the reasons of the account: a part of what is busy
SHORT = 100e-6  # seconds; a call that takes less is over before it could be sent anywhere
SEVERAL = 5  # refusals; fewer say nothing of what the other side permits
SENT = "the function and its inputs can be sent to other processes"


def advice_on(now: Summary) -> tuple[Advice, ...]:
    """Return what would help most, the most important first."""
    several = now.called >= LEAST_CALLS
    if not now.lane_time or now.elapsed < (LEAST_TIME if several else LEAST_OF_STREAMS):
        return ()
    if found := on_stages(now):
        return found[:MOST]
    if not several:
        return ()
    account = now.account
    failing = FAILING, account.get(BUSY, 0.0) * _failed_share(now)
    causes = sorted([*account.items(), failing], key=lambda cause: -cause[1])
    said = {
        advice.text: advice
        for reason, share in causes
        if share >= LEAST_SHARE and (advice := _on(reason)(now, reason, share)) is not None
    }
    return tuple(said.values())[:MOST]


def _on(reason: str) -> Callable[[Summary, str, float], Advice | None]:
    return _on_limit if reason.startswith(LIMIT) else _RULES.get(reason, _on_nothing)


# -- one rule a reason ------------------------------------------------------------------------------------------------


def _on_nothing(now: Summary, reason: str, share: float) -> Advice | None:
    return None


def _on_busy(now: Summary, reason: str, share: float) -> Advice | None:
    if not now.keeps_up:
        return _on_process(now)
    if (computed := computed_share(now)) is not None:
        return on_workers(now, computed)
    levels = _levels(now)
    if len(levels) > 1:
        return _on_levels(now, levels)
    if share < FULL or now.levels:  # it has looked for more by itself
        return None
    most = min(2.0, now.elapsed / now.wanted if now.wanted > 0 else 2.0, room_of(now))
    if most < LEAST_GAIN:
        return None
    if now.bounded:
        return Advice(
            text=f"{now.bounded} of its limit is what bounds this run: twice that makes it at most {most:.1f}x as fast",
            evidence=f"all calls that it permits were in flight ({percent(share)}), {now.rate:,.0f}/s",
            condition="the other side answers more calls at once as quickly",
            change=raised(now, now.bounded),
        )
    return Advice(
        text=f"All {now.concurrency} lanes were in calls: concurrency={2 * now.concurrency} makes this at most "
        f'{most:.1f}x as fast; concurrency="adaptive" finds out',
        evidence=f"{percent(share)} busy, {now.rate:,.0f}/s at one level of concurrency",
        condition="the other side answers more calls at once as quickly",
        change={"concurrency": "adaptive"},
    )


def _levels(now: Summary) -> list[Level]:
    """Return what calls took at each number of them in flight; what the other side refused is no level to go to."""
    typical = now.times.mean / now.times.p50 if now.times.p50 > 0 else 1.0
    levels = levels_of(now.levels, typical)
    return [level for level in levels if level.slots <= now.concurrency] if now.rejected else levels


def _on_levels(now: Summary, levels: list[Level]) -> Advice | None:
    """Compare: what was measured may be announced, what lies beyond the highest level may not."""
    aim = knee_of(levels)
    least = max(_time_with(now, aim), now.wanted, now.elapsed / room_of(now))  # seconds
    gain = now.elapsed / least if now.elapsed >= LEAST_GAIN * least else None
    above = [level for level in levels if level.slots > aim.slots and level.calls >= level.slots]  # a whole round of it
    few = f"More than {aim.slots} calls at once get little more done" if above else ""
    shown = sorted({levels[0], levels[len(levels) // 2], aim, levels[-1]})
    evidence = "; ".join(f"{it.slots} at once took {_measured(it)}" for it in shown)
    if gain is None:
        return Advice(text=few, evidence=evidence, change=_concurrency(now, aim)) if few else None
    return Advice(
        text=f"{few}{'; ' if few else ''}concurrency={aim.slots} from the start makes this {gain:.1f}x as fast",
        evidence=evidence,
        condition="the other side still bears what it bore in this run",
        gain=gain,
        change=_concurrency(now, aim),
    )


def _measured(level: Level) -> str:
    """Say what calls took at a level that was seen, and how many that is a second."""
    return f"{time_of(level.mean)} each" + (f", {rate(level.slots / level.mean)}" if level.mean > 0.0 else "")


def _time_with(now: Summary, level: Level) -> float:
    """Return how long these calls take with so many in flight from the start: in whole rounds, the longest one last."""
    one_long = now.called * level.took / level.slots + now.times.longest - level.took
    return max(ceil(now.called / level.slots) * level.took, one_long)


def _concurrency(now: Summary, level: Level) -> dict[str, Any] | None:
    """Return the argument that has so many calls in flight."""
    return raised(now, now.bounded, level.slots) if now.bounded else {"concurrency": level.slots}


def _on_process(now: Summary) -> Advice:
    """Say what the process has no time for: it has no processor, it computes, or somebody holds its loop and waits."""
    spent, half = _processor_time(now), now.elapsed / 2
    if now.wanted < half:
        return Advice(
            text="Something holds the event loop and waits there, so more calls at once get no more done: a function "
            "that waits without `await` must be a plain def, which gets threads; `whilst doctor` names the line",
            evidence=spent,
        )
    if now.queued >= MANY_QUEUED and now.cpu < half:
        return Advice(
            text=f"This machine has other work: the run's loop got a processor for {percent(1.0 - now.queued)} of the "
            "time in which it wanted one, so more calls at once get no more done",
            evidence=spent,
        )
    if now.wanted >= BUSY_CPU * now.elapsed:
        return _on_processor(now)
    return Advice(
        text="This process hardly keeps up with its calls, so more of them at once get little more done; "
        'executor="process" uses all processors',
        evidence=spent,
        condition=SENT,
        change={"executor": "process"},
    )


def _processor_time(now: Summary) -> str:
    late = f"; the loop was late by {time_of(now.late)}, usually" if now.late >= LATE else ""
    return f"{now.cpu:.1f} s of processor time in {now.elapsed:.1f} s{late}"


def _on_processor(now: Summary) -> Advice:
    if now.times.mean < SHORT:
        return Advice(
            text=f"The calls take {time_of(now.times.mean)} and wait for nothing: a plain loop is as fast",
            evidence=_processor_time(now),
        )
    return Advice(
        text="The calls compute rather than wait: more of them at once in this process get no more done; "
        'executor="process" uses all processors',
        evidence=_processor_time(now),
        condition=SENT,
        change={"executor": "process"},
    )


def _on_source(now: Summary, reason: str, share: float) -> Advice | None:
    most = most_of(now)
    if most < LEAST_GAIN or not now.keeps_up:  # it may be us who do not come to reading it
        return None
    return Advice(
        text=f"The source gives {rate(now.rate)}, the calls could take {rate(now.rate * most)}: inputs that come "
        f"faster make this at most {most:.1f}x as fast",
        evidence=lanes_that(now, share, "waited for the next input"),
        condition="the source can be read in larger pieces, or several of it at once",
    )


def _on_consumer(now: Summary, reason: str, share: float) -> Advice | None:
    most = most_of(now)
    if most < LEAST_GAIN or now.elapsed < SHORT * now.finished:
        return None
    return Advice(
        text="Your loop is slower than the calls: what it does, done in the calls or in a second stage, makes this at "
        f"most {most:.1f}x as fast",
        evidence=lanes_that(now, share, "waited for whoever takes the outcomes"),
        condition="that need not be done one after the other",
    )


def _on_order(now: Summary, reason: str, share: float) -> Advice | None:
    least = max(now.elapsed * (1.0 - share), now.times.longest, now.wanted, now.elapsed / room_of(now))  # seconds
    if now.elapsed < LEAST_GAIN * least or share >= 1.0:
        return None
    gain = now.elapsed / least
    return Advice(
        text=f"ordered=False makes this {gain:.1f}x as fast: outcomes need not wait for a slow input before them",
        evidence=lanes_that(now, share, "waited because an early input was slow"),
        condition="the order of the outcomes does not matter",
        gain=gain,
        change={"ordered": False},
    )


def _on_limit(now: Summary, reason: str, share: float) -> Advice | None:
    limit = reason.removeprefix(LIMIT)
    most = most_of(now, but=limit)
    if most < LEAST_GAIN:
        return None
    return Advice(
        text=f"{limit} is what bounds this run: the calls could take {rate(now.rate * most)}, so a higher limit makes "
        f"this at most {most:.1f}x as fast",
        evidence=lanes_that(now, share, f"were held by {limit}"),
        condition="the other side permits more",
        change=raised(now, limit),
    )


def _on_pushback(now: Summary, reason: str, share: float) -> Advice | None:
    if not now.rejected:
        return _on_breaker(now, share)
    evidence = (
        f'{counted(now.rejected, "call was", "calls were")} told "slower"; {lanes_that(now, share, "waited for that")}'
    )
    if now.rejected < SEVERAL:
        return Advice(
            text=f"The other side had this run wait for {time_of(share * now.elapsed)}: a rate= below what it permits, "
            "or fewer calls at once, gets as much done without its refusals",
            evidence=evidence,
            condition="it refuses because the calls are too many",
        )
    permitted = (now.called - now.rejected) / now.elapsed  # calls: what a journal gave back was no call
    if permitted <= 0.0:  # no rate is low enough
        return None
    return Advice(
        text=f'The other side let {rate(permitted)} through: rate="{rate(permitted)}" gets as much done without its '
        "refusals; whether it permits more, this run has not shown",
        evidence=evidence,
        condition="that is what it always permits",
        change={"rate": rate(permitted)},
    )


def _on_breaker(now: Summary, share: float) -> Advice:
    """Nobody said "slower": so few calls went well that all were held back, until one did again."""
    failed = f"; calls that failed: {spent_on(now.failed_time)}" if now.failed_time else ""
    return Advice(
        text="So many calls failed that the run paused, again and again, and called one at a time to see whether the "
        "other side is back: what makes them fail costs the time; Retry(breaker=False) does not pause",
        evidence=f"{lanes_that(now, share, 'waited for that')}{failed}",
        condition="the other side is not down and can bear calls that fail",
    )


def _on_failing(now: Summary, reason: str, share: float) -> Advice | None:
    busy = now.account.get(BUSY, 0.0)
    failed = share / busy if busy else 0.0
    timeouts = now.failed_time.get("TimeoutError", 0.0)
    evidence = f"calls that failed: {spent_on(now.failed_time)}, of {time_of(now.sequential)}"
    if timeouts > sum(now.failed_time.values()) / 2:
        return Advice(
            text=f"{percent(failed)} of the time in calls was spent on calls that ran into their timeout: a shorter "
            "timeout= ends them sooner",
            evidence=evidence,
            condition="calls that take so long do not answer any more",
        )
    return Advice(
        text=f"{percent(failed)} of the time in calls was spent on calls that failed: without them this is at most "
        f"{1.0 / (1.0 - share):.1f}x as fast"
        if share < 1.0
        else "All of the time was spent on calls that failed",
        evidence=evidence,
        condition="what makes them fail can be mended",
    )


def _failed_share(now: Summary) -> float:
    """Return the share of the time in calls that was spent on calls that failed."""
    whole = now.sequential
    return min(1.0, sum(now.failed_time.values()) / whole) if whole > 0 and now.failed < now.finished else 0.0


def _on_retries(now: Summary, reason: str, share: float) -> Advice | None:
    budget = now.retry_waits.get("budget", 0.0)
    evidence = f"{now.retried:,} retries; {lanes_that(now, share, 'waited for another attempt')}"
    outs = ways_out(now.notes)
    if outs and budget > sum(now.retry_waits.values()) / 2:
        return Advice(
            text=f"Retries wait for their budget: {' or '.join(outs)} lets more of them through",
            evidence=evidence,
            condition="the failures do not come from too many calls",
            change={"retry": outs[0]} if len(outs) == 1 else None,
        )
    kinds = f" ({kinds_of(now.failures)})" if now.failures else ""
    return Advice(
        text=f"The end waits for inputs that failed and are tried again{kinds}: fewer failures, or a shorter wait, "
        "Retry(base=…), end it sooner",
        evidence=evidence,
        condition="the other side needs no time to recover",
    )


def _on_journal(now: Summary, reason: str, share: float) -> Advice | None:
    return Advice(
        text='Lanes wait for the disk: a journal with commit="buffered" makes this at most '
        f"{most_of(now):.1f}x as fast",
        evidence=lanes_that(now, share, "waited for the journal"),
        condition="calls whose rows were not written yet may be made again after a crash",
        change={"commit": "buffered"},
    )


def _on_tail(now: Summary, reason: str, share: float) -> Advice | None:
    best, speedup = now.best_speedup, now.speedup
    gain = min(best / speedup, room_of(now)) if best is not None and speedup is not None else 1.0
    if gain < LEAST_GAIN or not now.done:
        return None
    slow = ", ".join(str(it.index) for it in now.times.slowest[:3])
    full = now.peak >= now.concurrency and not now.levels  # else there were not as many lanes all the time
    return Advice(
        text=f"The end waits for a few slow inputs ({slow}): with the slowest ones first this is "
        f"{'' if full else 'at most '}{gain:.1f}x as fast",
        evidence=lanes_that(now, share, "had no input left while others were in calls"),
        condition="it is known beforehand which inputs are slow",
        gain=gain if full else None,
    )


_RULES: Mapping[str, Callable[[Summary, str, float], Advice | None]] = {
    BUSY: _on_busy,
    SOURCE: _on_source,
    CONSUMER: _on_consumer,
    ORDER: _on_order,
    PUSHBACK: _on_pushback,
    RETRIES: _on_retries,
    FAILING: _on_failing,
    START: on_start,
    JOURNAL: _on_journal,
    TAIL: _on_tail,
}
