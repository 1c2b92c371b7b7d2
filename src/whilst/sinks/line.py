"""What does the line say? Done of how many, the share and the time left first; what does not fit is left out whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from ..core.summary import Summary, kinds_of, pending
from .extent import Extent
from .terminal import columns_of

RECENT = 15.0  # seconds that "now" is: the rate and the time left are of these
ROOMY = 60  # columns; where there are fewer one line has to do
MOST_WORKERS = 3  # whose calls are told of
LONGEST_NAME = 24  # columns; a longer one is cut, so that the numbers have room


class Pace:
    """How fast a run has been lately.

    >>> pace = Pace()
    >>> for second in range(40):
    ...     pace.seen(second, 10 * second if second < 20 else 200 + 50 * (second - 20))
    >>> pace.rate
    50.0
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def seen(self, at: float, finished: int) -> None:
        """Take note of how much was done at a time."""
        if self._seen and at <= self._seen[-1][0]:
            return
        self._seen.append((at, finished))
        while len(self._seen) > 2 and at - self._seen[1][0] >= RECENT:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Outcomes a second; 0 while that cannot be said."""
        if len(self._seen) < 2:
            return 0.0
        (then, before), (now, finished) = self._seen[0], self._seen[-1]
        return max(0.0, (finished - before) / (now - then))


def line(now: Summary, extent: Extent, rate: float, width: int, bound: str = "") -> str:
    """Return one line of at most `width` columns; `bound` is what binds the run now.

    >>> now = Summary("fetch", None, 90, 10, 32, 0, 2.0, 32, {"429": 10})
    >>> line(now, Extent(), 50.0, 79)
    'fetch: 100 done, 50/s, 10 failed (10 429), 32 in flight, 2 s'
    >>> line(now, Extent(total=400), 50.0, 79)
    'fetch: 100 of 400 (25%), 6 s left, 50/s, 10 failed (10 429), 32 in flight'
    >>> line(now, Extent(total=400), 50.0, 99, "held by rate=50/s")
    'fetch: 100 of 400 (25%), 6 s left, 50/s, 10 failed (10 429), 32 in flight, held by rate=50/s'
    >>> line(now, Extent(about=1_000_000), 50.0, 44)
    'fetch: 100 of about 1,000,000 (0%), 6 h left'
    """
    return fitted(now.name, parts_of(now, extent, rate, bound), width)


def lines(now: Summary, extent: Extent, rate: float, width: int, bound: str = "") -> list[str]:
    """Return one line, and a second one where that has no room for all.

    >>> now = Summary("fetch", None, 90, 10, 32, 0, 2.0, 32, {"429": 10})
    >>> lines(now, Extent(total=400), 50.0, 79, "held by rate=50/s")
    ['fetch: 100 of 400 (25%), 6 s left, 50/s, 10 failed (10 429), 32 in flight,', '  held by rate=50/s']
    """
    parts = parts_of(now, extent, rate, bound)
    if width < ROOMY:
        return [fitted(now.name, parts, width)]
    count, first = len(parts), fitted(now.name, parts, width - 1)
    while count > 1 and not first.endswith(plain(parts[count - 1])):
        count -= 1
        first = fitted(now.name, parts[:count], width - 1)
    if count == len(parts):
        return [first]
    second = plain(parts[count])
    for part in map(plain, parts[count + 1 :]):
        if columns_of(second) + columns_of(part) + 4 > width:
            break
        second += f", {part}"
    while columns_of(second) + 2 > width:
        second = second[:-1]
    return [f"{first},", f"  {second}"]


def parts_of(now: Summary, extent: Extent, rate: float, bound: str) -> list[str]:
    """Return what there is to say, the most important first."""
    done, rate = now.finished, rate or now.rate
    total = extent.total if extent.total is not None else now.total
    whole = total if total is not None else extent.about
    parts: list[str] = []
    if whole is None or whole < done:
        parts.append(f"{done:,} done")
    else:
        share = 100 * done // whole if whole else 100
        parts.append(f"{done:,} of {'about ' if total is None else ''}{whole:,} ({share}%)")
        if rate > 0 and done < whole and not now.stopping:
            parts.append(f"{duration((whole - done) / rate)} left")
    if done:
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
    if now.stopping and not now.done:
        parts.append("ending")
    if now.failed:
        parts.append(f"{now.failed:,} failed ({kinds_of(now.failures)})")
    waits = pending(now)
    if bound and not now.stopping:
        waits.insert(now.in_flight > 0, bound)
    parts += waits
    if whole is None:
        parts.append(duration(now.elapsed))
    if len(now.workers) > 1:
        parts.append(made_by(now.workers))
    return parts


def made_by(workers: Mapping[str, Mapping[str, Any]]) -> str:
    """Say how many calls each worker process or node has made.

    >>> made_by({"worker 1": {"calls": 1200, "seconds": 1.2}, "worker 2": {"calls": 900, "seconds": 1.3}})
    'worker 1: 1,200 calls, worker 2: 900'
    >>> made_by({f"worker {n}": {"calls": n, "seconds": 1.0} for n in range(1, 9)})
    'worker 1: 1 calls, worker 2: 2, worker 3: 3 and 5 more'
    """
    said = [f"{name}: {it['calls']:,.0f}" for name, it in [*workers.items()][:MOST_WORKERS]]
    said[0] += " calls"
    return ", ".join(said) + (f" and {len(workers) - len(said):,} more" if len(workers) > len(said) else "")


def fitted(name: str, parts: list[str], width: int) -> str:
    """Put parts behind a name, as many as fit; the first is always there, and the name as far as there is room.

    >>> [fitted("fetch_all", ["3 of 40 (7%)", "9 s left"], width) for width in (40, 26, 18, 13, 5)]
    ['fetch_all: 3 of 40 (7%), 9 s left', 'fetch_all: 3 of 40 (7%)', 'fet…: 3 of 40 (7%)', '3 of 40 (7%)', '3 of ']
    """
    name, first = plain(name), plain(parts[0])
    room = min(LONGEST_NAME, width - len(first) - 2)
    if len(name) > room:
        name = f"{name[: room - 1]}…" if room > 2 else ""
    text = f"{name}: {first}" if name else first
    for part in map(plain, parts[1:]):
        if columns_of(text) + 2 + columns_of(part) > width:
            break
        text += f", {part}"
    while columns_of(text) > width:
        text = text[:-1]
    return text


def duration(seconds: float) -> str:
    """Say a time as people do.

    >>> [duration(it) for it in (0.4, 59, 200, 4000, 90_000, 2e9)]
    ['0 s', '59 s', '3 min', '1 h 7 min', '25 h', 'years']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 5 * 60 and minutes % 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 60:,.0f} h" if minutes < 60 * 24 * 365 else "years"


def plain(text: str) -> str:
    r"""Leave nothing in a text that acts on a terminal.

    >>> plain("a\x1b[2Jb\nc")
    'a [2Jb c'
    """
    return text if text.isprintable() else "".join(it if it.isprintable() else " " for it in text)
