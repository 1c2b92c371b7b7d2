"""The counts of a run at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Summary(NamedTuple):
    """What a run has done so far; a frozen snapshot.

    Attributes:
        name: what the run is called (the function's name unless `name=` said otherwise).
        total: how many inputs there will be, where that is known.
        ok, failed: outcomes so far.
        in_flight: calls that are running now.
        abandoned: blocking calls still running although the run has given them up (a thread cannot be stopped).
        left_behind: where those calls are, one line each.
        elapsed: seconds from the first iteration to now, or to the end.
        concurrency: how many calls may be in flight at once.
        failures: how many failures of each kind (an HTTP status such as "429", else the exception's class).
        done: whether the run has ended.
        recalled: outcomes that came from the journal instead of a call; they count in ok and failed too.
        retried: attempts beyond the first ones.
        hedged: second calls beside late ones.
        waiting: inputs that wait for another attempt.
        rejected: calls that were answered with "slower" (429, 503, refused connections).
        paused: seconds until calls go on, where all of them are held up: the other side asked for it, or a breaker is
            open.
        stopping: whether nothing new is started any more: the run was told to end, or has ended.
        notes: what else a reader should know: breakers that opened, headers that were not believed, double retries.

    >>> import whilst
    >>> run = whilst.map(abs, [-1, 2])
    >>> _ = run.list()
    >>> run.summary().ok, run.summary().failed, run.summary().done
    (2, 0, True)
    """

    name: str
    total: int | None
    ok: int
    failed: int
    in_flight: int
    abandoned: int
    elapsed: float
    concurrency: int
    failures: Mapping[str, int] = MappingProxyType({})
    left_behind: tuple[str, ...] = ()
    done: bool = False
    recalled: int = 0
    retried: int = 0
    hedged: int = 0
    waiting: int = 0
    rejected: int = 0
    paused: float = 0.0
    stopping: bool = False
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> int:
        """Outcomes so far, good and bad."""
        return self.ok + self.failed

    @property
    def rate(self) -> float:
        """Outcomes a second since the start."""
        return self.finished / self.elapsed if self.elapsed > 0 else 0.0

    def __str__(self) -> str:
        done = f"{self.ok:,} ok"
        if self.failed:
            done += f", {self.failed:,} failed ({kinds_of(self.failures)})"
        of = f" of {self.total:,}" if self.total is not None and self.total != self.finished else ""
        took = f"{done}{of} in {self.elapsed:.2f} s ({self.rate:,.0f}/s)"
        return f"{self.name}: {', '.join([took, *efforts(self), *pending(self)])}"


# The words that everything says of a run: its summary, the live line, the last message of a command.


def kinds_of(failures: Mapping[str, int], most: int = 3) -> str:
    """Name the commonest kinds of failures.

    >>> kinds_of({"429": 4, "TimeoutError": 8, "500": 1, "502": 1})
    '8 TimeoutError, 4 429, 1 500, …'
    """
    first = sorted(failures.items(), key=lambda it: -it[1])[:most]
    return ", ".join(f"{count:,} {kind}" for kind, count in first) + (", …" if len(failures) > most else "")


def efforts(now: Summary) -> list[str]:
    """Say what it took, where that was more or less than a call an input."""
    said: list[str] = []
    if now.recalled:
        said.append(f"{now.recalled:,} of them from the journal")
    if now.retried:
        said.append(f"{now.retried:,} {'retry' if now.retried == 1 else 'retries'}")
    if now.hedged:
        said.append(f"{now.hedged:,} hedged")
    if now.rejected:
        said.append(f'{now.rejected:,} {"call was" if now.rejected == 1 else "calls were"} told "slower"')
    return said


def pending(now: Summary) -> list[str]:
    """Say what has not come to its end."""
    said: list[str] = []
    if now.in_flight:
        said.append(f"{now.in_flight:,} in flight")
    if now.waiting:
        said.append(f"{now.waiting:,} to be tried again")
    if now.paused >= 0.5:
        said.append(f"paused for {now.paused:,.0f} s")
    if now.abandoned:
        inside = f": {'; '.join(now.left_behind[:3])}" if now.left_behind else ""
        said.append(f"{now.abandoned:,} left behind{inside}")
    return said
