"""What happens in a run besides its outcomes: one list, for the logger, `--log json`, the trace and OpenTelemetry."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from math import inf
from typing import Any

from .outcome import short
from .secrets import without_secrets


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run has begun.

    Attributes:
        run: its name.
        total: how many inputs there will be, if that is known.
        concurrency: how many calls may be in flight at once, at first.
    """

    run: str
    total: int | None
    concurrency: int

    def __str__(self) -> str:
        of = "" if self.total is None else f" over {self.total:,} inputs"
        return f"{self.run}: started{of}, at most {self.concurrency:,} calls at once"


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A call failed and will be made again.

    Attributes:
        run: the name of its run.
        index: the position of the input; inside `each`, of the stage's item.
        path: of the step in its flow; "" in a plain map.
        attempt: the number of the attempt, from 1.
        kind: the kind of the failure, as the summary counts it.
        wait: seconds until the next attempt.
        input: the input as text, shortened and without secrets.
        error: what the call raised.
        started: when the call began, in seconds from the start of the run.
        took: how many seconds it took.
    """

    run: str
    index: int
    path: str
    attempt: int
    kind: str
    wait: float
    input: str
    error: Exception
    started: float
    took: float

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return (
            f"{self.run}: attempt {self.attempt} of input {self.index} ({self.input}){where} failed ({self.kind}); "
            f"again in {self.wait:.3g} s"
        )


@dataclass(frozen=True, slots=True)
class Paused:
    """Calls are held up for a time, because the other side said so or somebody here did.

    Attributes:
        run: the name of its run.
        limit: what is paused: a limit, or what calls share.
        key: of the limit's `by`, as text; "" for all.
        seconds: for how long; infinite until it is resumed.
        why: what was said.
    """

    run: str
    limit: str
    key: str
    seconds: float
    why: str

    def __str__(self) -> str:
        key = f" {self.key}" if self.key else ""
        if self.seconds == inf:  # by hand, and so it is said
            return f"{self.run}:{key} {self.why}"
        return f"{self.run}:{key} paused for {self.seconds:.3g} s: {self.why}"


@dataclass(frozen=True, slots=True)
class Resumed:
    """Calls that were held up may start again.

    Attributes:
        run: the name of its run.
        limit: what was paused.
        key: of the limit's `by`, as text; "" for all.
    """

    run: str
    limit: str
    key: str

    def __str__(self) -> str:
        key = f" {self.key}" if self.key else ""
        return f"{self.run}:{key} goes on"


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """So many calls failed that nothing is sent for a time but single calls that probe.

    Attributes:
        run: the name of its run.
        limit: whose calls they are.
        key: of the limit's `by`, as text; "" for all.
        seconds: until the first probe.
    """

    run: str
    limit: str
    key: str
    seconds: float

    def __str__(self) -> str:
        key = f" {self.key}" if self.key else ""
        return f"{self.run}:{key} is down, it seems: nothing is sent for {self.seconds:.3g} s but a call that probes"


@dataclass(frozen=True, slots=True)
class CallAbandoned:
    """A call was given up that could not be ended; it goes on, and is counted.

    Attributes:
        run: the name of its run.
        index: the position of the input; inside `each`, of the stage's item.
        where: what was called.
    """

    run: str
    index: int
    where: str

    def __str__(self) -> str:
        return f"{self.run}: the call of {self.where} for input {self.index} goes on although it was given up"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run has ended.

    Attributes:
        run: its name.
        why: "" if it came to its end, else what ended it early.
        ok: how many inputs have a value.
        failed: how many have an error.
        seconds: how long it took.
    """

    run: str
    why: str
    ok: int
    failed: int
    seconds: float

    def __str__(self) -> str:
        early = f" early: {self.why}" if self.why else ""
        return f"{self.run}: ended{early}, {self.ok:,} ok, {self.failed:,} failed, {self.seconds:.3g} s"


Event = RunStarted | AttemptFailed | Paused | Resumed | BreakerOpened | CallAbandoned | RunEnded


def name_of_event(event: Event) -> str:
    """Return what JSON calls it.

    >>> name_of_event(RunEnded("fetch", "", 3, 0, 0.5))
    'run_ended'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def values_of(event: Event) -> dict[str, Any]:
    """Return the attributes of an event by their names."""
    return {field.name: getattr(event, field.name) for field in fields(event)}


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as JSON has it: its name under "event", then its attributes; an error as its text.

    >>> as_json(RunStarted("fetch", 20, 5))
    {'event': 'run_started', 'run': 'fetch', 'total': 20, 'concurrency': 5}
    """
    found: dict[str, Any] = {"event": name_of_event(event)}
    for name, value in values_of(event).items():
        if isinstance(value, BaseException):
            found[name] = short(value)
        elif isinstance(value, float) and value in (float("inf"), float("-inf")):
            found[name] = None  # JSON knows no infinity: until somebody resumes it
        else:
            found[name] = without_secrets(value) if isinstance(value, str) else value
    return found
