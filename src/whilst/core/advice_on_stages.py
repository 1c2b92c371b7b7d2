"""What would make a flow with stages faster? The stage for which the others wait is what counts."""

from __future__ import annotations

from .account import BUSY, CONSUMER, LIMIT, ORDER, PUSHBACK, RETRIES, SOURCE, START, TAIL
from .advice import Advice
from .advice_words import FULL, LEAST_SHARE, percent, raised
from .summary import BUSY_CPU, LATE, Summary

OF_OTHERS = (SOURCE, CONSUMER, ORDER, TAIL, START)  # why a stage is idle that is not what the others wait for


def on_stages(now: Summary) -> tuple[Advice, ...]:
    """Speak of the stage for which the others wait: the one that itself waits least for its neighbours."""
    waits = {path: sum(it.get(reason, 0.0) for reason in OF_OTHERS) for path, it in now.stages.items() if it}
    path = min(waits, key=lambda it: waits[it], default="")
    if not path or waits[path] > 1.0 - LEAST_SHARE:
        return ()
    others = f"The other stages wait for {path}" if len(waits) > 1 else f"{path} is what bounds this flow"
    for reason, share in now.stages[path].items():
        if reason not in OF_OTHERS and share >= LEAST_SHARE:
            advice = _on_stage(now, path, others, reason, share, share / (1.0 - waits[path]))
            if advice is not None:
                return (advice,)
    return ()


def _on_stage(now: Summary, path: str, others: str, reason: str, share: float, own: float) -> Advice | None:
    """Say what one stage waits for; `own` is the share of that in the time in which it does not wait for others."""
    evidence = f"{path}: {percent(share)} {reason}"
    if reason.startswith(LIMIT):
        limit, busy = reason.removeprefix(LIMIT), now.stages[path].get(BUSY, 0.0)
        most = f", and makes the flow at most {1.0 / (1.0 - share):.1f}x as fast" if busy and share < 1.0 else ""
        change = raised(now, limit)
        return Advice(
            text=f"{others}, which is held by {limit}: a higher limit lets it go on{most}",
            evidence=evidence,
            condition="the other side permits more",
            change={"step": path, **change} if change is not None else None,
        )
    if reason == PUSHBACK:
        text, condition = f"{others}, which the other side holds back", ""
    elif reason == RETRIES:
        text = f"{others}, where items that failed wait for another attempt: fewer failures, or a shorter wait, help"
        condition = "the other side needs no time to recover"
    elif reason == BUSY and own >= FULL and now.late < LATE and now.cpu < BUSY_CPU * now.elapsed:
        slots = max(1, round(sum(now.stage_time[path].values()) / now.elapsed))
        bound = f"concurrency={slots}"
        argument, step = now.given_by.get(bound, ("", ""))
        if argument == "limit" and step.startswith(path):  # more lanes would all wait for it
            return Advice(
                text=f"{others}, where {bound} of its limit is in use all the time: twice as many make it at most 2.0x",
                evidence=evidence,
                condition="the other side permits more",
                change=raised(now, bound),
            )
        return Advice(
            text=f"{others}: concurrency={2 * slots} there makes the flow at most 2.0x as fast",
            evidence=evidence,
            condition="the other side answers more calls at once as quickly",
            change={"step": path, "concurrency": 2 * slots},
        )
    else:
        return None
    return Advice(text=text, evidence=evidence, condition=condition)
