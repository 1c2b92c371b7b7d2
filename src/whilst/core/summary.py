"""The counts of a run at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from .account import BUSY, shares
from .frozen import NamedTuple
from .timings import NO_TIMINGS, Slow, Snapshot, Times

if TYPE_CHECKING:
    from .advice import Advice

BUSY_CPU = 0.85  # of a processor; calls that keep one so busy do not wait, and cannot be told from their waits
LATE = 0.003  # seconds; a free loop is late by a fraction of one ms, one that waits for a thread by 5
MANY_QUEUED = 0.5  # of the time in which a processor was wanted; from then on it is the machine that is short of them

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NO_LEVELS: Mapping[int, tuple[int, float, float]] = MappingProxyType({})


class Summary(NamedTuple):
    """What a run has done so far; a frozen snapshot.

    Attributes:
        name: the name of the run: `name=`, or the name of the function.
        total: how many inputs there will be, if that is known.
        ok, failed: outcomes so far.
        in_flight: calls that are running now.
        abandoned: blocking calls that still run although the run waits for them no longer (a thread cannot be stopped).
        left_behind: where those calls are, one line each.
        elapsed: seconds from the first iteration to now, or to the end.
        concurrency: how many calls may be in flight at once.
        failures: how many failures of each kind (an HTTP status such as "429", else the exception's class).
        done: whether the run has ended.
        recalled: outcomes that came from the journal instead of a call; they count in ok and failed too.
        retried: attempts after the first one of each input.
        hedged: second calls beside late ones.
        waiting: inputs that wait for another attempt.
        rejected: calls that were answered with "slower" (429, 503, refused connections).
        paused: seconds until calls go on, if all are paused: the other side asked for it, or a breaker is open.
        stopping: whether nothing new is started any more, because the run was told to end, or has ended.
        held: why calls wait now, in words: which key is paused, for how long and why; the rate that refusals have
            taught; retries that wait for their budget.
        notes: what else you should know: breakers that opened, headers that were ignored, retries inside retries.
        lane_time: seconds of all lanes, by what they were spent on; they add up to lanes x time. `account` has the
            shares; docs/where-the-time-goes.md explains the reasons.
        peak: the largest number of calls in flight at once.
        called: calls that have ended.
        cpu: processor seconds of the whole process during the run.
        queued: the share of the time in which the run's loop wanted a processor, in which other programs had them all;
            0.0 where that cannot be known.
        late: by how many seconds the run's loop is late for what is due, usually, not counting what it queued for a
            processor. 3 ms and more say that calls hold it, or that threads hold the interpreter.
        hanging: the calls that have been in flight the longest, if that is a second or more, the oldest first.
        retry_waits: seconds that inputs waited for another attempt, by reason: "backoff", "retry_after", "budget".
        step_time: for a flow, seconds that inputs spent at each step, by its path and by the reason; see `steps`.
        join_time: for each `together` of a flow, by its path: how many seconds the other branches waited for which one.
        stage_time: for a flow with stages, the `lane_time` of each stage, by its path; see `stages`.
        workers: for each worker process or node, by its name: "calls", how many it made; "seconds", how long they
            took; "computed", for how many seconds it had or wanted a processor, where that is known. Else empty.
        levels: what calls took by how many were in flight when they began, if that moved with a limit: how many to
            (calls, mean, median), in seconds.
        bounded: the name of the limit that allows no more calls at once than there are lanes; else "".
        timings: the data for `times`.
        failed_time: seconds of calls that failed, by the kind of failure; those that were tried again count too.
        processors: how many processors this process may use; 0 if that is not known.
        given_by: for each limit that is one number, by its name: with which argument it is given, and at which step of
            a flow.
        shared: outcomes of inputs that shared the call of an equal one; they count in ok and failed too.

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
    held: tuple[str, ...] = ()
    lane_time: Mapping[str, float] = _NOTHING
    peak: int = 0
    called: int = 0
    cpu: float = 0.0
    hanging: tuple[Slow, ...] = ()
    retry_waits: Mapping[str, float] = _NOTHING
    step_time: Mapping[str, Mapping[str, float]] = _NOTHING
    join_time: Mapping[str, Mapping[str, float]] = _NOTHING
    stage_time: Mapping[str, Mapping[str, float]] = _NOTHING
    workers: Mapping[str, Mapping[str, Any]] = _NOTHING
    levels: Mapping[int, tuple[int, float, float]] = _NO_LEVELS
    timings: Snapshot = NO_TIMINGS
    shared: int = 0
    bounded: str = ""
    queued: float = 0.0
    late: float = 0.0
    failed_time: Mapping[str, float] = _NOTHING
    processors: int = 0
    given_by: Mapping[str, tuple[str, str]] = _NOTHING

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled and copied with plain dicts for the mappings, which are views that cannot be."""
        return type(self), tuple(_as_dict(value) for value in self)

    @property
    def finished(self) -> int:
        """Outcomes so far, good and bad."""
        return self.ok + self.failed

    @property
    def rate(self) -> float:
        """Outcomes a second since the start; those that came from the journal are no work, and not counted."""
        return (self.finished - self.recalled) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def account(self) -> dict[str, float]:
        """Shares of the lane-time, by what it was spent on, the largest first; they add up to 1.

        Reasons are "busy", "source", "consumer", "limit: rate=100/s" and so on by name, "pushback", "paused",
        "retries", "journal", "order", "start" and "tail".

        >>> import time, whilst
        >>> run = whilst.map(time.sleep, [0.05] * 4, concurrency=2)
        >>> _ = run.list()
        >>> next(iter(run.summary().account))
        'busy'
        """
        return shares(self.lane_time)

    @property
    def times(self) -> Times:
        """How long calls took: percentiles, and the slowest inputs."""
        return self.timings.times(self.called)

    @property
    def sequential(self) -> float:
        """Seconds of all calls in sum: what the run would have taken one by one."""
        if self.step_time:  # an input's own time has its waits for permits in it
            return sum(spent.get(BUSY, 0.0) for spent in self.step_time.values())
        return self.times.mean * self.called

    @property
    def wanted(self) -> float:
        """Processor seconds that the process would have used, had there been one for it all the time; at least `cpu`.

        An estimate: as if all its threads had queued as long as that of the run's loop, and no two computed at a time.

        >>> import whilst
        >>> now = whilst.map(abs, []).summary()._replace(elapsed=5.0)
        >>> now._replace(cpu=1.0, queued=0.75).wanted, now._replace(cpu=1.0, queued=0.9).wanted
        (4.0, 5.0)
        """
        most = max(self.cpu, self.elapsed)
        return min(most, self.cpu / (1.0 - self.queued)) if self.queued < 1.0 else most

    @property
    def keeps_up(self) -> bool:
        """Whether this process has time for more; if not, a busy lane may wait for it, and not for the other side."""
        return self.wanted <= BUSY_CPU * self.elapsed and self.late < LATE

    @property
    def worked(self) -> float:
        """How many of these seconds this process computed."""
        return min(self.cpu, self.sequential)

    @property
    def waited(self) -> float:
        """How many of these seconds a call waited."""
        return self.sequential - self.worked

    @property
    def speedup(self) -> float | None:
        """How many times as fast the run was as its calls one by one; None if they computed more than they waited."""
        if self.elapsed <= 0 or self.sequential <= 0 or self.wanted >= BUSY_CPU * self.elapsed:
            return None
        return self.sequential / self.elapsed

    @property
    def best_speedup(self) -> float | None:
        """The same, if every lane had been busy all the time."""
        if self.speedup is None or self.stage_time:  # of stages each has its own number of lanes
            return None
        longest = 0.0 if self.step_time else self.times.longest  # which has waits for permits in it
        least = max(longest, self.sequential / max(1, self.concurrency), self.cpu)
        return max(self.speedup, self.sequential / least) if least > 0 else None

    @property
    def steps(self) -> dict[str, dict[str, float]]:
        """For a flow, the share of the inputs' time at each step, by its path and by what it was spent on."""
        total = sum(sum(spent.values()) for spent in self.step_time.values())
        return {
            path: {reason: seconds / total for reason, seconds in sorted(spent.items(), key=lambda it: -it[1])}
            for path, spent in self.step_time.items()
            if total > 0 and spent
        }

    @property
    def stages(self) -> dict[str, dict[str, float]]:
        """For a flow with stages, the `account` of each stage, by its path."""
        return {path: shares(spent) for path, spent in self.stage_time.items()}

    @property
    def advice(self) -> tuple[Advice, ...]:
        """What would make such a run faster: at most three pieces of advice, each with its evidence."""
        from .advising import advice_on

        return advice_on(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as types of JSON, by their names; docs/summary.schema.json is the schema.

        >>> import whilst
        >>> run = whilst.map(abs, [-1, 2])
        >>> _ = run.list()
        >>> run.summary().to_dict()["ok"]
        2
        """
        from .telling import as_dict

        return as_dict(self)

    @property
    def line(self) -> str:
        """The counts in one line."""
        done = f"{self.ok:,} ok"
        if self.failed:
            done += f", {self.failed:,} failed ({kinds_of(self.failures)})"
        of = f" of {self.total:,}" if self.total is not None and self.total != self.finished else ""
        took = f"{done}{of} in {self.elapsed:.2f} s ({self.rate:,.0f}/s)"
        return f"{self.name}: {', '.join([took, *efforts(self), *pending(self)])}"

    def __str__(self) -> str:
        from .telling import told

        return told(self)

    def __repr__(self) -> str:
        return f"<Summary of {self.line}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from .telling import as_html

        return as_html(self)


if not TYPE_CHECKING:  # for people without a type checker: the line that works

    def _unknown(summary: Summary, name: str) -> None:
        from .habits import unknown_attribute

        raise unknown_attribute("Summary", name)

    Summary.__getattr__ = _unknown


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
    if now.shared:
        said.append(f"{now.shared:,} shared the call of an equal input")
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
    said += now.held
    if now.abandoned:
        inside = f": {'; '.join(now.left_behind[:3])}" if now.left_behind else ""
        said.append(f"{now.abandoned:,} left behind{inside}")
    return said


def _as_dict(value: Any) -> Any:
    """Return a mapping and those in it as dicts, and anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return {key: _as_dict(it) for key, it in cast("Mapping[object, Any]", value).items()}
