"""How is a summary told: in lines, as what JSON can hold, as HTML?"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, cast

from .account import BUSY, meaning
from .secrets import encodable, without_secrets
from .summary import LATE, MANY_QUEUED

if TYPE_CHECKING:
    from .advice import Advice
    from .summary import Summary
    from .timings import Times

LEAST_TOLD = 0.005  # a share; less is not worth a word
MOST_REASONS = 4
NO_BREAK = "\u00a0"
WIDTH = 79  # columns of a line below the first one: a terminal has 80
MOST_PARTS = 8  # steps and stages
MOST_NOTES = 5
LISTS = ("left_behind", "notes", "held")
COUNTS = (
    "name", "total", "ok", "failed", "finished", "rate", "in_flight", "abandoned", "elapsed", "concurrency", "done",
    "recalled", "retried", "hedged", "shared", "waiting", "rejected", "paused", "stopping", "peak", "called", "cpu",
    "wanted", "queued", "late", "keeps_up", "processors",
    "sequential", "waited", "worked", "speedup", "best_speedup",
)  # fmt: skip
MAPPINGS = ("failures", "account", "lane_time", "retry_waits", "failed_time", "join_time", "steps", "stages", "workers")


def as_dict(now: Summary) -> dict[str, Any]:
    """Return what JSON can hold of a summary, without secrets."""
    from dataclasses import asdict  # a command that shows its progress does not need it

    found: dict[str, Any] = {name: getattr(now, name) for name in COUNTS}
    found |= {name: [without_secrets(text) for text in getattr(now, name)] for name in LISTS}
    found |= {name: _plain(getattr(now, name)) for name in MAPPINGS}
    times = now.times
    found["times"] = {**times._asdict(), "slowest": [slow._asdict() for slow in times.slowest]}
    found["hanging"] = [slow._asdict() for slow in now.hanging]
    found["advice"] = [asdict(it) for it in now.advice]
    found["name"] = without_secrets(now.name)
    return found


def told(now: Summary) -> str:
    """Return the counts in a line, and below it what else there was, where the time went and what would help.

    >>> from whilst import Summary
    >>> now = Summary("fetch", None, 100, 0, 0, 0, 2.0, 4, lane_time={"busy": 6.8, "source": 1.2}, called=100)
    >>> print(told(now))
    fetch: 100 ok in 2.00 s (50/s)
      lanes   85 % busy, 15 % waiting for the next input (source)
    """
    return encodable("\n".join([now.line, *wrapped([*noted(now), *details(now), *advised(now.advice)])]))


def wrapped(lines: Iterable[str], width: int = WIDTH) -> list[str]:
    """Return lines of at most this width, what is cut off below its beginning."""
    paper = textwrap.TextWrapper(width, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False)
    return [row.replace(NO_BREAK, " ") for line in lines for row in paper.wrap(_NUMBER.sub(NO_BREAK, line))]


def noted(now: Summary) -> list[str]:
    """Return the lines that say what else there was: what a stage skipped, what waited, what was set aside.

    >>> from whilst import Summary
    >>> noted(Summary("fetch", 2, 2, 0, 0, 0, 2.0, 4, notes=("each skipped 1 item that failed (1 KeyError)",)))
    ['  note    each skipped 1 item that failed (1 KeyError)']
    """
    lines = [f"  note    {without_secrets(note)}" for note in now.notes[:MOST_NOTES]]
    if len(now.notes) > MOST_NOTES:
        lines.append(f"  note    and {len(now.notes) - MOST_NOTES:,} more, in .notes")
    return lines


def details(now: Summary) -> list[str]:
    """Return the lines that say where the time went."""
    if not now.called:
        return []
    lines = [f"  lanes   {lanes_in_words(now.account)}"] if now.lane_time else []
    if not now.keeps_up and (now.late >= LATE or now.queued >= MANY_QUEUED):
        lines.append(f"  loop    {_kept_from_work(now)}")
    if now.speedup is not None and now.times.calls:
        lines.append(f"  time    {_replaced(now)}")
    if now.times.p50:
        lines.append(f"  {'inputs' if now.step_time else 'calls ':6}  {times_in_words(now.times)}")
    if now.hanging:
        lines.append("  hanging " + ", ".join(f"input {it.index} for {brief(it.took)}" for it in now.hanging[:3]))
    if now.retry_waits:
        waits = ", ".join(f"{brief(took)} {retry_wait(why)}" for why, took in now.retry_waits.items())
        lines.append(f"  retries waited {waits}")
    if now.workers:
        lines.append(f"  workers {_workers(now.workers)}")
    return lines + _parts("stage", now.stages) + _steps(now.steps) + _joins(now)


def advised(advice: Iterable[Advice]) -> list[str]:
    """Return the lines that say what would help."""
    lines: list[str] = []
    for it in advice:
        lines.append(f"  advice  {it.text}")
        rest = "; ".join(part for part in (it.evidence, f"if {it.condition}" if it.condition else "") if part)
        if rest:
            lines.append(f"          ({rest})")
    return lines


def lanes_in_words(account: Mapping[str, float], most: int = MOST_REASONS) -> str:
    """Say what lanes did, the largest share first.

    >>> lanes_in_words({"limit: rate=100/s": 0.881, "busy": 0.117, "tail": 0.002})
    '88 % held by rate=100/s, 12 % busy'
    """
    parts = [(reason, share) for reason, share in account.items() if share >= LEAST_TOLD][:most]
    return ", ".join(f"{100 * share:.0f} % {_words(reason)}" for reason, share in parts)


def times_in_words(times: Times) -> str:
    """Say how long calls took.

    >>> from whilst.core.timings import Slow, Times
    >>> times_in_words(Times(900, 0.02, 0.018, 0.03, 0.2, 0.9, 1.5, (Slow(17, 1.5), Slow(4, 0.9))))
    'p50 18 ms, p90 30 ms, p99 200 ms, p99.9 900 ms, max 1.5 s; slowest: inputs 17, 4'
    """
    named = {"p50": times.p50, "p90": times.p90, "p99": times.p99, "p99.9": times.p999, "max": times.longest}
    text = ", ".join(f"{name} {brief(took)}" for name, took in named.items())
    if times.sampled:
        text += " (of calls below 25 µs, one in sixteen was timed)"
    if len(times.slowest) < 2 or times.longest < 2 * times.p50:
        return text
    return f"{text}; slowest: inputs {', '.join(f'{it.index}' for it in times.slowest[:3])}"


def retry_wait(why: str) -> str:
    """Say for what an input waited before another attempt.

    >>> retry_wait("budget")
    'for the retry budget'
    """
    return _WAITS.get(why, why)


def brief(seconds: float) -> str:
    """Say a time with two or three digits.

    >>> [brief(it) for it in (0.0000042, 0.00042, 0.0123, 0.95, 1.23, 75.2, 4000, 20_000)]
    ['4.2 µs', '420 µs', '12 ms', '950 ms', '1.2 s', '75 s', '67 min', '5.6 h']
    """
    for unit, size, below in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 600.0), ("min", 60.0, 7200.0)):
        if seconds < below:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / 3600)} h"


def as_html(now: Summary, drawing: str = "") -> str:
    """Return a summary for a notebook: the counts, the account as a bar, what would help. Text alone, and inert.

    `drawing` is more of it, in the place of the bar.
    """
    bar = "".join(
        f'<span title="{escape(meaning(reason))}" style="display:inline-block;height:12px;width:{100 * share:.2f}%;'
        f'background:{colour_of(reason)}"></span>'
        for reason, share in now.account.items()
        if share >= LEAST_TOLD
    )
    first, *rest = [escape(without_secrets(line)) for line in told(now).split("\n")]
    shown = f'<div style="width:100%;max-width:560px;line-height:0;white-space:nowrap">{bar}</div>' if bar else ""
    shown = drawing or shown
    more = f'<pre style="margin:4px 0">{chr(10).join(rest)}</pre>' if rest else ""
    return f'<div style="font-family:monospace"><div>{first}</div>{shown}{more}</div>'


def colour_of(reason: str) -> str:
    """Return the colour of a reason: told apart by the colour-blind, on light and dark.

    >>> colour_of("busy"), colour_of("limit: rate=1/s")
    ('#0072b2', '#e69f00')
    """
    return _COLOURS.get(reason.partition(":")[0], "#999999")


# -- private, in order of use -----------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<=\d) (?=\S)|(?<=-j) ")  # a number and its unit stay together

_COLOURS = {  # Okabe and Ito's
    "busy": "#0072b2",
    "limit": "#e69f00",
    "pushback": "#d55e00",
    "paused": "#d55e00",
    "retries": "#cc79a7",
    "source": "#56b4e9",
    "consumer": "#009e73",
    "order": "#009e73",
    "journal": "#f0e442",
}

_WAITS = {
    "backoff": "by the backoff of retry=",
    "retry_after": "because the other side named a time",
    "budget": "for the retry budget",
}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        held = cast("Mapping[object, Any]", value)
        return {without_secrets(str(key)): _plain(inner) for key, inner in held.items()}
    return value


def _words(reason: str) -> str:
    if reason == BUSY:
        return BUSY
    said = meaning(reason)
    return said if reason.startswith("limit") else f"{said} ({reason})"


def _replaced(now: Summary) -> str:
    best = now.best_speedup
    text = f"{brief(now.sequential)} of calls in {brief(now.elapsed)}: {now.speedup:.1f}x"
    return f"{text}, at best {best:.1f}x" if best is not None and now.done else text


def _kept_from_work(now: Summary) -> str:
    late = [f"usually late by {brief(now.late)} for what is due"] if now.late >= LATE else []
    got = f"got a processor for {100 * (1 - now.queued):.0f} % of the time in which it wanted one"
    return ", ".join(late + [got] * (now.queued >= MANY_QUEUED))


def _parts(kind: str, parts: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [f"  {kind}   {path}: {lanes_in_words(spent, 3)}" for path, spent in [*parts.items()][:MOST_PARTS] if spent]


def _workers(workers: Mapping[str, Mapping[str, Any]]) -> str:
    said = [
        f"{name}: {it['calls']:,.0f} calls in {brief(it['seconds'])}" for name, it in [*workers.items()][:MOST_REASONS]
    ]
    return ", ".join(said) + (f" and {len(workers) - len(said):,} more" if len(workers) > len(said) else "")


def _steps(steps: Mapping[str, Mapping[str, float]]) -> list[str]:
    heavy = sorted(steps.items(), key=lambda it: -sum(it[1].values()))[:MOST_PARTS]
    return [
        f"  step    {path}: {100 * sum(spent.values()):.0f} % of the inputs' time ({lanes_in_words(_whole(spent), 3)})"
        for path, spent in heavy
        if sum(spent.values()) >= LEAST_TOLD
    ]


def _joins(now: Summary) -> list[str]:
    """Say for which branch of a `together` the others waited."""
    found = [(path, *max(waits.items(), key=lambda it: it[1])) for path, waits in now.join_time.items() if waits]
    heavy = sorted((it for it in found if it[2] >= LEAST_TOLD * now.elapsed), key=lambda it: -it[2])[:MOST_PARTS]
    return [f"  join    {path}: the other branches waited {brief(took)} for {branch}" for path, branch, took in heavy]


def _whole(spent: Mapping[str, float]) -> dict[str, float]:
    total = sum(spent.values())
    return {reason: part / total for reason, part in spent.items()}


def _digits(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"
