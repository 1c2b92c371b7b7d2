"""What would make a run faster whose calls are made in worker processes of this machine?"""

from __future__ import annotations

from .advice import Advice
from .advice_words import LEAST_GAIN, lanes_that, percent, room_of, time_of
from .summary import Summary

COMPUTES = 0.5  # of the time of a call; from then on it is the processors that count


def on_start(now: Summary, reason: str, share: float) -> Advice | None:
    """Speak of lanes that waited for workers to start."""
    computed = computed_share(now)
    if computed is None:
        return None
    if computed < COMPUTES:
        return on_workers(now, computed)
    return Advice(
        text=f"Workers take {time_of(share * now.elapsed)} to start: what the program imports at its beginning they "
        "import too; a longer run, or an import inside the function that needs it, costs less",
        evidence=lanes_that(now, share, "were being started"),
    )


def on_workers(now: Summary, computed: float) -> Advice | None:
    """Speak of calls that worker processes of this machine make."""
    evidence = f"the calls computed for {percent(computed)} of their time, in {now.concurrency} worker processes"
    if computed < COMPUTES:
        return Advice(
            text='The calls wait rather than compute, so they need no processes: executor="thread" starts at once, '
            "and makes many more of them at once",
            evidence=evidence,
            condition="the function may be called on several threads",
            change={"executor": "thread", "concurrency": max(32, now.concurrency)},
        )
    if now.concurrency < now.processors:
        most = min(now.processors / now.concurrency, room_of(now))
        if most < LEAST_GAIN:
            return None
        return Advice(
            text=f"The calls compute, and there are {now.processors} processors: concurrency={now.processors} makes "
            f"this at most {most:.1f}x as fast",
            evidence=evidence,
            condition="other programs leave them free",
            change={"concurrency": now.processors},
        )
    return Advice(
        text=f"The calls compute, and there is a worker for each of the {now.processors} processors: more of them get "
        "no more done here; other machines would (whilst.ray)",
        evidence=evidence,
    )


def computed_share(now: Summary) -> float | None:
    """Return for which share of their time the calls of worker processes computed; None where that is not known."""
    known = [it for it in now.workers.values() if it.get("computed") is not None]
    seconds = float(sum(it["seconds"] for it in known))
    if not now.processors or seconds <= 0 or len(known) < len(now.workers):
        return None
    return min(1.0, float(sum(it["computed"] for it in known)) / seconds)
