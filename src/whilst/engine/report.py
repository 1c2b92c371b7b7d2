"""What does a run say of itself? Read from any thread, while it goes on."""

from __future__ import annotations

from typing import Protocol

from ..core.plan import Plan
from ..core.summary import Summary
from ..lanes.port import Lanes
from .failing import Failures
from .intake import Intake


class Owned(Protocol):
    """What a run owns besides lanes, closed with it."""

    @property
    def abandoned(self) -> int:
        """How many calls were given up and still run."""
        ...

    @property
    def retried(self) -> int:
        """How many attempts its steps made beyond their first ones."""
        ...

    @property
    def opened(self) -> int:
        """How often breakers of its steps have opened."""
        ...

    @property
    def hedged(self) -> int:
        """How many second calls its steps made beside late ones."""
        ...

    @property
    def notes(self) -> dict[str, None]:
        """What a reader of the summary should know."""
        ...

    def left_behind(self) -> tuple[str, ...]:
        """Name those calls."""
        ...

    async def close(self) -> None:
        """Close everything."""


class Told(Protocol):
    """The driver, as far as it is told of."""

    plan: Plan
    scope: Owned | None
    intake: Intake
    lanes: Lanes
    failures: Failures
    done: int
    unwanted: int
    recalled: int
    finished: bool
    stopped: bool

    @property
    def stopping(self) -> bool:
        """Whether some inputs are not wanted any more."""
        ...


def summary_of(run: Told, elapsed: float) -> Summary:
    """Count."""
    plan, scope, intake, failures = run.plan, run.scope, run.intake, run.failures
    done, failed = run.done, failures.count  # while this is read, more may be done and begun: hence the bounds below
    return Summary(
        name=plan.name,
        total=plan.total,
        ok=max(0, done - failed - run.unwanted),
        failed=failed,
        in_flight=0 if run.finished else max(0, min(intake.in_flight(done), plan.concurrency)),
        abandoned=run.lanes.abandoned + (scope.abandoned if scope is not None else 0),
        elapsed=elapsed,
        concurrency=plan.concurrency if intake.gate is None else intake.gate.concurrency,
        failures=dict(failures.kinds),
        left_behind=_left_behind(run),
        done=run.finished,
        recalled=run.recalled,
        retried=intake.retried + (scope.retried if scope is not None else 0),
        hedged=scope.hedged if scope is not None else 0,
        waiting=intake.waiting,
        rejected=failures.rejected,
        stopping=run.stopped or run.finished,
        notes=_notes(run),
    )


def _notes(run: Told) -> tuple[str, ...]:
    opened = sum(it.opened for it in (run.intake.gate, run.scope) if it is not None)
    of_steps = run.scope.notes if run.scope is not None else ()
    return (*run.intake.notices, *run.failures.notes(opened), *of_steps)


def _left_behind(run: Told) -> tuple[str, ...]:
    source = run.intake.source.waiting if run.stopping else ""
    calls = run.scope.left_behind() if run.scope is not None else ()
    return run.lanes.left_behind() + calls + ((source,) if source else ())
